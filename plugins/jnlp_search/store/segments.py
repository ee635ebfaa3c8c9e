"""Segments: immutable files of raw vectors, and FAISS files of codes that choose candidates among them.

New vectors go into small flat segments without codes. When they have become many, `tidy` makes one large segment of
all, of the kind that fits the size (`store/kinds.py`): new files next to the old ones, then one commit that names them.

Native code parses a FAISS file, so one that this index did not write is never given to it. It can be rebuilt from the
raw vectors.
"""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

from jnlp.io.durable import replacing
from jnlp_search.store import kinds, raw
from jnlp_search.store.catalog import SEGMENTS
from jnlp_search.store.checks import DamagedIndexError
from jnlp_search.store.codes import CODES, intact, read_codes
from jnlp_search.store.entries import Segment
from jnlp_search.store.kinds import FLAT
from jnlp_search.store.raw import ChangedError, Raw, floats
from jnlp_search.store.vectors import open_raw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from jnlp.types import FloatArray, IntArray
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.raw import Halves
    from jnlp_search.store.schema import Manifest

SMALL = 50_000
"""Flat segments under so many vectors are merged when there are more than `MANY`."""

MANY = 8

WAITING = 64
"""During a build, small segments are merged when there are more than so many."""

TAIL = 50
"""Flat segments may have one vector for so many with codes, before all become one segment."""


def write(catalog: Catalog, chunks: IntArray, vectors: FloatArray, /) -> None:
    """Write a flat segment and record it in the open transaction.

    A kill before the commit leaves a file that the catalogue does not list; the next writer removes it.

    Args:
        catalog: In a transaction.
        chunks: int64 `[n]`, ascending.
        vectors: float32 `[n, d]` of length 1.
    """
    write_rows(catalog, vectors.shape[1], chunks, raw.halves(vectors))


def write_rows(catalog: Catalog, dimension: int, chunks: IntArray, rows: Halves, /) -> None:
    """Write a flat segment of raw rows, float16 `[n, width]`, in the open transaction; see `write`."""
    cuts = (slice(first, first + raw.SLICE) for first in range(0, len(chunks), raw.SLICE))
    catalog.add_segment(_write_raw(catalog, dimension, chunks, ((chunks[cut], rows[cut]) for cut in cuts)))


def merge(catalog: Catalog, segments: Sequence[Segment], kind: str, /) -> None:
    """Replace segments by one of a kind without tombstones: its files first, then one commit."""
    import numpy as np

    manifest = catalog.manifest()
    assert manifest is not None
    files = [open_raw(catalog.folder, segment, manifest.dimension) for segment in segments]
    dead = catalog.tombstones()
    keep = [~_among(file.chunks, dead) for file in files]
    gone = [file.chunks[~kept] for file, kept in zip(files, keep, strict=True)]
    new = None
    if any(kept.any() for kept in keep):
        merged = _Merged(catalog.folder, files, keep)
        new = _write_raw(catalog, manifest.dimension, merged.chunks, merged.parts())
        if kind != FLAT:
            new = _write_codes(catalog, new, kind, _codes(catalog, segments, keep, merged, kind, manifest))
    with catalog.transaction():
        if new is not None:
            catalog.add_segment(new)
        catalog.db.executemany("DELETE FROM segments WHERE id = ?", [(segment.id,) for segment in segments])
        rows = ((chunk,) for chunk in np.concatenate(gone).tolist())
        catalog.db.executemany("DELETE FROM tombstones WHERE chunk = ?", rows)
    remove_unnamed(catalog)


def remove_unnamed(catalog: Catalog, /) -> None:
    """Remove the segment files that the catalogue does not list."""
    _remove(catalog.folder / SEGMENTS, {name for segment in catalog.segments() for name in segment.files})


def gather(catalog: Catalog, /) -> None:
    """Merge small flat segments during a build, if there are very many."""
    small = _small(catalog)
    if len(small) > WAITING:
        merge(catalog, small, FLAT)


def tidy(catalog: Catalog, /) -> None:
    """Give the index the kind that fits its size, merge small segments if there are many, and drop old tombstones."""
    manifest = catalog.manifest()
    if manifest is None:
        return
    segments = catalog.segments()
    dead = _dead(catalog, segments)
    alive = sum(segment.count for segment in segments) - sum(dead.values())
    main = max((one for one in segments if one.codes), key=lambda one: one.count, default=None)
    kind = kinds.wanted_kind(alive, manifest)
    if main is not None and kinds.fits(main.kind, alive, manifest):
        tail = sum(segment.count for segment in segments if segment is not main)
        worn = 4 * dead[main.id] > main.count
        if worn or tail > max(manifest.flat_below, main.count // TAIL):
            merge(catalog, segments, main.kind)
            return
    elif segments and (kind != FLAT or main is not None):
        merge(catalog, segments, kind)
        return
    small = _small(catalog)
    if len(small) > MANY:
        for group in _groups(small):
            merge(catalog, group, FLAT)
    left = catalog.segments()
    dead = _dead(catalog, left)
    for segment in left:
        if segment.codes is None and 4 * dead[segment.id] > segment.count:
            merge(catalog, [segment], FLAT)


def compact(catalog: Catalog, /) -> None:
    """Merge small segments, and rewrite all others that have tombstones."""
    tidy(catalog)
    segments = catalog.segments()
    main = next((segment for segment in segments if segment.codes), None)
    if main is not None:
        if len(segments) > 1 or len(catalog.tombstones()):
            merge(catalog, segments, main.kind)
        return
    for group in _groups(_small(catalog)):
        merge(catalog, group, FLAT)
    left = catalog.segments()
    dead = _dead(catalog, left)
    for segment in left:
        if dead[segment.id]:
            merge(catalog, [segment], FLAT)


def _small(catalog: Catalog) -> list[Segment]:
    return [segment for segment in catalog.segments() if segment.count < SMALL and segment.codes is None]


def _groups(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Yield groups of two or more adjacent segments with about `SMALL` vectors together."""
    group: list[Segment] = []
    for segment in segments:
        group.append(segment)
        if sum(member.count for member in group) >= SMALL:
            yield group
            group = []
    if len(group) > 1:
        yield group


def _dead(catalog: Catalog, segments: Sequence[Segment]) -> dict[int, int]:
    """Return the number of tombstones of each segment."""
    manifest, dead = catalog.manifest(), catalog.tombstones()
    if manifest is None or not len(dead):
        return dict.fromkeys((segment.id for segment in segments), 0)
    files = {segment.id: open_raw(catalog.folder, segment, manifest.dimension) for segment in segments}
    return {number: int((file.find(dead) >= 0).sum()) for number, file in files.items()}


def _among(chunks: IntArray, some: IntArray) -> NDArray[np.bool_]:
    """Return for each chunk if it is among some others, ascending."""
    import numpy as np

    if not len(some):
        return np.zeros(len(chunks), np.bool_)
    found: NDArray[np.bool_] = some[np.minimum(np.searchsorted(some, chunks), len(some) - 1)] == chunks
    return found


class _Merged:
    """The kept rows of several files, in the order of their chunks."""

    def __init__(self, folder: Path, files: Sequence[Raw], keep: Sequence[NDArray[np.bool_]]) -> None:
        import numpy as np

        self._folder, self._files = folder, files
        chunks = np.concatenate([file.chunks[kept] for file, kept in zip(files, keep, strict=True)])
        order = np.argsort(chunks, kind="stable")
        self.chunks = chunks[order]
        self._owner = np.repeat(np.arange(len(files)), [int(kept.sum()) for kept in keep])[order]
        self._at = np.concatenate([np.flatnonzero(kept) for kept in keep])[order]

    def parts(self, wanted: IntArray | None = None) -> Iterator[tuple[IntArray, Halves]]:
        """Yield chunks and rows in slices: all of them, or those at some positions."""
        import numpy as np

        places = np.arange(len(self.chunks)) if wanted is None else wanted
        for first in range(0, len(places), raw.SLICE):
            cut = places[first : first + raw.SLICE]
            owners = self._owner[cut]
            rows = np.empty((len(cut), self._files[0].rows.shape[1]), "<f2")
            for number in np.unique(owners).tolist():
                own = owners == number
                try:
                    rows[own] = self._files[number].take(self._at[cut[own]])
                except ChangedError as error:
                    raise DamagedIndexError(self._folder, error) from error
            yield self.chunks[cut], rows

    def sample(self, count: int, dimension: int) -> FloatArray:
        """Return some vectors, spread over all."""
        import numpy as np

        places = np.unique(np.linspace(0, len(self.chunks) - 1, min(count, len(self.chunks))).astype(np.int64))
        return np.concatenate([floats(rows, dimension) for _, rows in self.parts(places)])

    def except_of(self, number: int) -> IntArray:
        """Return the positions of the rows that are not of one file."""
        import numpy as np

        return np.flatnonzero(self._owner != number)


def _codes(
    catalog: Catalog,
    segments: Sequence[Segment],
    keep: Sequence[NDArray[np.bool_]],
    merged: _Merged,
    kind: str,
    manifest: Manifest,
) -> Any:
    """Return a FAISS index of the merged rows; codes and clusters that are there already are used again."""
    import faiss

    faiss.omp_set_num_threads(1)
    for number, (segment, kept) in enumerate(zip(segments, keep, strict=True)):
        if segment.kind == kind and intact(catalog.folder / SEGMENTS, segment):
            index = read_codes(catalog.folder / SEGMENTS, segment)
            if kept.all():
                kinds.add(index, merged.parts(merged.except_of(number)), manifest.dimension)
                return index
            if kind.startswith("IVF"):
                index.reset()
                kinds.add(index, merged.parts(), manifest.dimension)
                return index
    index = kinds.make(kind, merged.sample(kinds.sample_size(kind), manifest.dimension))
    kinds.add(index, merged.parts(), manifest.dimension)
    return index


def _write_raw(catalog: Catalog, dimension: int, chunks: IntArray, parts: Iterator[tuple[IntArray, Halves]]) -> Segment:
    """Write raw vectors under the next number; the caller records the segment."""
    row = catalog.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'segments'").fetchone()
    number = int(row[0]) + 1 if row else 1
    name = f"{number:06d}{raw.ENDING}"
    digest = raw.write(catalog.folder / SEGMENTS / name, dimension, len(chunks), parts)
    return Segment(number, name, digest, len(chunks), int(chunks[0]), int(chunks[-1]), FLAT, None, None)


def _write_codes(catalog: Catalog, segment: Segment, kind: str, index: Any) -> Segment:
    import dataclasses

    import faiss

    name = f"{segment.id:06d}{CODES}"
    path = catalog.folder / SEGMENTS / name
    digest = hashlib.blake2b(digest_size=32)
    for there in (path, path.with_name(path.name + ".part")):
        if there.is_dir():
            shutil.rmtree(there)
    with replacing(path) as file:

        def put(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        # Through Python, so that a full disk is an OSError.
        faiss.write_index(index, faiss.PyCallbackIOWriter(put))  # type: ignore[attr-defined]
    return dataclasses.replace(segment, kind=kind, codes=name, codes_digest=digest.hexdigest())


def _remove(folder: Path, named: set[str]) -> None:
    """Remove the files of a folder that the catalogue does not list; a reader may keep one open."""
    for path in folder.iterdir():
        if path.name in named and not path.is_dir():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
