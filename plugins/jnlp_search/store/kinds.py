"""The kinds of vector index: which one an index of a size has, and how each is built and asked.

| kind | FAISS factory | search |
|---|---|---|
| `flat` | none: the raw vectors themselves | exact |
| HNSW | `HNSW16,SQ8` | graph over 8-bit codes, then exact cosines of the candidates |
| IVF | `IVF2048,PQ64x4fs` | some of the clusters, 1 bit a number, then exact cosines of the candidates |

The exact cosines come from the raw vectors (`store/raw.py`), which every kind keeps. So codes only choose candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.errors import UsageError
from jnlp.patterns import deferred
from jnlp_search.options import AUTO
from jnlp_search.store.raw import SLICE, floats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jnlp.types import FloatArray, IntArray
    from jnlp_search.store.raw import Halves
    from jnlp_search.store.schema import Manifest

FLAT = "flat"

HNSW = "HNSW16,SQ8"
EF_CONSTRUCTION = 80

TRAINED_ON = 64
"""Vectors a cluster that k-means is trained on, at most."""

ROUNDS = 10
"""Rounds of k-means."""

LEAST = 1_000
"""Under so many vectors, no clusters are trained: an index is a graph, or flat if a factory was chosen."""

POOL = 4
"""Candidates whose exact cosine is computed, for each that is asked for."""

LEAST_POOL = 200
LEAST_PROBES = 32
PROBED = 32
"""One cluster in so many is searched."""

_FACTORY = deferred(
    r"((OPQ\d+(_\d+)?|PCAR?\d+),)?"
    r"(IVF(?P<lists>\d+)(_HNSW\d*)?,[\w+]+|HNSW\d*(,(Flat|SQ\w+|PQ\w+))?|SQ(8|4|6|fp16|bf16)|PQ[\w+]+|RaBitQ\d*)"
)


def check_factory(text: str, dimension: int, /) -> None:
    """Raise unless a FAISS factory string is one that an index can have.

    Raises:
        UsageError: FAISS does not know it, or it is of a kind that cannot be filtered.
    """
    import faiss

    if text in (AUTO, FLAT):
        return
    hint = "auto, flat, or for example IVF4096,RaBitQ; IVF1024,PQ64x4fs; HNSW32,SQ8; SQ8 (docs/search.md, Vectors)"
    if not _FACTORY.fullmatch(text):
        raise UsageError(f"--factory {text} is no kind of index that jnlp keeps", hint=hint)
    try:
        faiss.index_factory(dimension, text, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        why = str(error).strip().splitlines()[-1].rpartition("Error: ")[2]
        raise UsageError(
            f"--factory {text} cannot be made for vectors of {dimension}: {why:.200}", hint=hint
        ) from error


def wanted_kind(count: int, manifest: Manifest, /) -> str:
    """Return the kind for so many vectors: `flat`, or a FAISS factory string."""
    factory = manifest.factory
    if factory == AUTO:
        if count < manifest.flat_below:
            return FLAT
        trainable = max(manifest.hnsw_below, LEAST)
        return HNSW if count < trainable else f"IVF{_lists(count)},{_codes(manifest.dimension)}"
    known = _FACTORY.fullmatch(factory)
    trained = 4 * int(known["lists"] or 0) if known else 0
    return FLAT if count < max(LEAST, trained) else factory


def fits(kind: str, count: int, manifest: Manifest, /) -> bool:
    """Return True if an index of a kind may stay as it is, now that it has so many vectors.

    The number of clusters need not be the best one: training is repeated when it is off by more than a factor of 4.
    """
    wanted = wanted_kind(count, manifest)
    if kind == wanted:
        return True
    if manifest.factory != AUTO or FLAT in (kind, wanted):
        return False
    now, best = (_FACTORY.fullmatch(name) for name in (kind, wanted))
    if not now or not best or not now["lists"] or not best["lists"]:
        return False
    return kind.partition(",")[2] == wanted.partition(",")[2] and 0.25 <= int(now["lists"]) / int(best["lists"]) <= 4


def _codes(dimension: int) -> str:
    """Return the codes of clusters: a byte for eight numbers, read 32 at once, where the dimension can be cut so."""
    return f"PQ{dimension // 4}x4fs" if dimension % 8 == 0 else "RaBitQ"


def _lists(count: int) -> int:
    """Return the number of clusters, about twice the root of the number of vectors, a power of 2."""
    lists = 256
    while lists < 65_536 and lists * lists < 2 * count:
        lists *= 2
    return lists


def make(kind: str, sample: FloatArray, /) -> Any:
    """Return an empty FAISS index that takes chunks as ids, trained on a sample `[n, d]`."""
    import faiss

    index = faiss.index_factory(sample.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    ivf = _ivf(index)
    if ivf is not None:
        ivf.cp.max_points_per_centroid, ivf.cp.min_points_per_centroid, ivf.cp.niter = TRAINED_ON, 1, ROUNDS
    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexHNSW):
        inner.hnsw.efConstruction = EF_CONSTRUCTION
    if not index.is_trained:
        index.train(sample)
    if ivf is None:
        index = faiss.IndexIDMap(index)
    return index


def sample_size(kind: str, /) -> int:
    """Return how many vectors a kind is trained on."""
    known = _FACTORY.fullmatch(kind)
    return max(20_000, TRAINED_ON * int(known["lists"] or 0)) if known else 20_000


def add(index: Any, parts: Iterable[tuple[IntArray, Halves]], dimension: int, /) -> None:
    """Add raw vectors to an index, a slice at a time."""
    for chunks, rows in parts:
        for first in range(0, len(chunks), SLICE):
            cut = slice(first, first + SLICE)
            if len(chunks[cut]):
                index.add_with_ids(floats(rows[cut], dimension), chunks[cut])


def flat(dimension: int, parts: Iterable[tuple[IntArray, Halves]], /) -> Any:
    """Return an exact FAISS index of raw vectors, in memory."""
    import faiss
    import numpy as np

    index = faiss.IndexIDMap(
        faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    )
    for chunks, rows in parts:
        if len(chunks):
            codes = np.ascontiguousarray(rows[:, :dimension]).view(np.uint8)
            index.add_sa_codes(codes, np.ascontiguousarray(chunks))
    return index


def nearest(rows: Halves, dimension: int, vectors: FloatArray, limit: int, /) -> tuple[IntArray, FloatArray]:
    """Return the positions and exact cosines of the nearest rows of each vector, `[q, limit]`, best first.

    FAISS reads half precision several times as fast as numpy converts it, and sums up as in a flat index.

    Args:
        rows: Raw vectors, float16 `[n, width]`.
        dimension: Of the vectors.
        vectors: float32 `[q, d]` of length 1.
        limit: Maximum number of rows.
    """
    import faiss
    import numpy as np

    faiss.omp_set_num_threads(1)
    index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add_sa_codes(np.ascontiguousarray(rows[:, :dimension]).view(np.uint8))
    scores, found = index.search(vectors, min(limit, len(rows)))
    return found, scores


def candidates(index: Any, vectors: FloatArray, limit: int, share: float, selector: Any, /) -> list[IntArray]:
    """Return the chunks that an index of codes finds for each vector, in no order.

    Args:
        index: As `make` gave it.
        vectors: float32 `[q, d]` of length 1.
        limit: How many hits are wanted; more candidates than that are returned.
        share: The share of the vectors that the selector leaves.
        selector: What may be found, or None.
    """
    count = min(max(LEAST_POOL, POOL * limit), index.ntotal)
    _, found = index.search(vectors, count, params=_parameters(index, count, share, selector))
    return [chunks[chunks >= 0] for chunks in found]


def _parameters(index: Any, count: int, share: float, selector: Any) -> Any:
    """Return how to search: the fewer vectors may be found, the more of the index is looked at."""
    import faiss

    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexIDMap):
        inner = faiss.downcast_index(inner.index)
    if isinstance(inner, faiss.IndexPreTransform):
        below = _of(faiss.downcast_index(inner.index), count, share, selector)
        return _made(faiss.SearchParametersPreTransform, index_params=below)
    return _of(inner, count, share, selector)


def _of(inner: Any, count: int, share: float, selector: Any) -> Any:
    import faiss

    named = {} if selector is None else {"sel": selector}
    if isinstance(inner, faiss.IndexIVF):
        probes = int(max(LEAST_PROBES, inner.nlist // PROBED) / share)
        return _made(faiss.SearchParametersIVF, nprobe=min(inner.nlist, probes), **named)
    if isinstance(inner, faiss.IndexHNSW):
        return _made(faiss.SearchParametersHNSW, efSearch=int(count / share), **named)  # type: ignore[attr-defined]
    return _made(faiss.SearchParameters, **named)


def _made(kind: Any, **named: Any) -> Any:
    """Return search parameters; their types do not tell what they take."""
    return kind(**named)


def _ivf(index: Any) -> Any:
    import faiss

    return faiss.try_extract_index_ivf(index)
