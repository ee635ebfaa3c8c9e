"""Searches the vectors of an open index: exactly, or candidates by codes and then exactly among these."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp_search.store import kinds
from jnlp_search.store.catalog import SEGMENTS
from jnlp_search.store.checks import DamagedIndexError
from jnlp_search.store.codes import intact, read_codes
from jnlp_search.store.raw import ChangedError
from jnlp_search.store.vectors import Vectors, open_raw

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from jnlp.types import FloatArray, IntArray
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.entries import Segment
    from jnlp_search.store.raw import Raw
    from jnlp_search.store.schema import Manifest

EXACT = 20_000
"""Up to so many selected chunks, all their vectors are compared."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An open segment: its raw vectors, its FAISS index, if this has codes only, and what of it is deleted."""

    raw: Raw
    index: Any
    coded: bool
    dead: int = 0


class Segments:
    """The segments of an open index, kept in step with the catalogue."""

    def __init__(self, folder: Path, /) -> None:
        self._folder = folder
        self._loaded: dict[int, _Loaded] = {}
        self._version: int | None = None
        self._vectors = Vectors(folder, ())
        self._alive: NDArray[np.uint8] | None = None
        self._chosen: tuple[IntArray, NDArray[np.uint8]] | None = None

    def sync(self, catalog: Catalog, manifest: Manifest, version: int, /) -> None:
        """Load new segments and drop removed ones, if the snapshot's version has changed.

        Raises:
            GoneError: A writer has removed a file meanwhile.
            DamagedIndexError: Raw vectors are not what was written.
        """
        if version == self._version:
            return
        catalog.check_seal(quick=True)
        dead = catalog.tombstones()
        loaded: dict[int, _Loaded] = {}
        for segment in catalog.segments():
            known = self._loaded.get(segment.id) or self._load(segment, manifest)
            buried = int((known.raw.find(dead) >= 0).sum()) if len(dead) else 0
            loaded[segment.id] = _Loaded(known.raw, known.index, known.coded, buried)
        last = max((int(one.raw.chunks[-1]) for one in loaded.values() if len(one.raw)), default=0)
        self._alive = _bitmap(dead, last, inverted=True) if len(dead) else None
        self._loaded, self._version, self._chosen = loaded, version, None
        self._vectors = Vectors(self._folder, [one.raw for one in loaded.values()])

    def cosines(self, vector: FloatArray, chunks: Sequence[int], /) -> dict[int, float]:
        """Return the exact cosine by chunk."""
        import numpy as np

        return self._vectors.nearest(np.asarray(chunks, np.int64), vector[None], len(chunks))[0]

    def search(self, vectors: FloatArray, limit: int, /, *, among: IntArray | None = None) -> list[dict[int, float]]:
        """Return the cosine by chunk of the nearest chunks of each vector; FAISS is asked for all vectors at once.

        Args:
            vectors: float32 `[q, d]` of length 1.
            limit: Maximum number of chunks.
            among: The chunks to look among, int64 ascending; None is all.
        """
        if among is not None and len(among) <= EXACT:
            return self._vectors.nearest(among, vectors, limit)
        found = self._search(vectors, limit, among)
        return [{chunk: -score for score, chunk in sorted(pairs)[:limit]} for pairs in found]

    def _search(self, vectors: FloatArray, limit: int, among: IntArray | None) -> list[list[tuple[float, int]]]:
        """Return pairs of a negative cosine and a chunk for each vector."""
        import faiss

        # FAISS keeps this number for each calling thread. With more, they would wait for each other on a busy machine.
        faiss.omp_set_num_threads(1)
        bits = self._alive if among is None else self._bits(among)
        total = sum(len(one.raw) for one in self._loaded.values())
        share = 1.0 if among is None else max(len(among) / max(total, 1), 1e-6)
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]
        found: list[list[tuple[float, int]]] = [[] for _ in vectors]
        near: list[list[IntArray]] = [[] for _ in vectors]
        for one in self._loaded.values():
            if not one.index.ntotal:
                continue
            chosen = selector if among is not None or one.dead else None
            if one.coded:
                for own, chunks in zip(near, kinds.candidates(one.index, vectors, limit, share, chosen), strict=True):
                    own.append(chunks)
                continue
            parameters = None if chosen is None else faiss.SearchParameters(sel=chosen)  # type: ignore[call-arg]
            scores, numbers = one.index.search(vectors, min(limit, one.index.ntotal), params=parameters)
            for pairs, row, chunks in zip(found, scores.tolist(), numbers.tolist(), strict=True):
                pairs += [(-score, chunk) for score, chunk in zip(row, chunks, strict=True) if chunk >= 0]
        for pairs, own, vector in zip(found, near, vectors, strict=True):
            for chunks in own:
                exact = self._vectors.nearest(chunks, vector[None], limit)[0]
                pairs += [(-cosine, chunk) for chunk, cosine in exact.items()]
        return found

    def _bits(self, among: IntArray) -> NDArray[np.uint8]:
        """Return the bitmap of selected chunks; that of the last selection is kept."""
        if self._chosen is None or self._chosen[0] is not among:
            self._chosen = among, _bitmap(among, int(among[-1]))
        return self._chosen[1]

    def _load(self, segment: Segment, manifest: Manifest) -> _Loaded:
        raw = open_raw(self._folder, segment, manifest.dimension)
        folder = self._folder / SEGMENTS
        if segment.codes is not None and intact(folder, segment):
            # A writer that merges segments may remove the file between the check and here.
            with suppress(RuntimeError, FileNotFoundError):
                return _Loaded(raw, read_codes(folder, segment, memory_share=manifest.memory_share), True)
        # A reader never writes: without its codes it compares every vector, and the next writer makes them.
        try:
            return _Loaded(raw, kinds.flat(manifest.dimension, raw.parts()), False)
        except ChangedError as error:
            raise DamagedIndexError(self._folder, error) from error


def _bitmap(chunks: IntArray, last: int, *, inverted: bool = False) -> NDArray[np.uint8]:
    """Return a bit for each number up to the last: set for the chunks, or for all others."""
    import numpy as np

    bits = np.full(last + 1, inverted, np.bool_)
    bits[chunks[chunks <= last]] = not inverted
    return np.packbits(bits, bitorder="little")
