"""Immutable FAISS files: written atomically, loaded only if their digest matches the catalogue's.

Native code parses a FAISS file, so a file that this index did not write is never given to it. Every file can be rebuilt
from the catalogue's vectors.
"""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp.io.durable import replacing
from jnlp_search.store.catalog import SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from jnlp.types import FloatArray, IntArray
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.entries import Segment

SMALL = 50_000
"""Segments under so many vectors are merged when there are more than `MANY`, up to about so many in one: a merge holds
them in memory."""

MANY = 8


def write(catalog: Catalog, chunks: IntArray, vectors: FloatArray, /) -> int:
    """Write a segment file and record it in the open transaction; returns its number.

    A kill before the commit leaves a file that the catalogue does not list; the next writer removes it.

    Args:
        catalog: In a transaction.
        chunks: int64 `[n]`, ascending.
        vectors: float32 `[n, d]` of length 1.
    """
    sql = "INSERT INTO segments (file, kind, sha256, count, first, last) VALUES ('', 'flat', '', ?, ?, ?)"
    number = int(catalog.db.execute(sql, (len(chunks), int(chunks[0]), int(chunks[-1]))).lastrowid or 0)
    name = f"{number:06d}.faiss"
    digest = _write_file(catalog.path.parent / SEGMENTS / name, chunks, vectors)
    catalog.db.execute("UPDATE segments SET file = ?, sha256 = ? WHERE id = ?", (name, digest, number))
    return number


def repair(catalog: Catalog, /) -> int:
    """Remove files that the catalogue does not list, and rewrite missing or damaged ones.

    Returns:
        The number of segments rewritten.
    """
    folder = catalog.path.parent / SEGMENTS
    if not folder.is_dir():
        folder.unlink(missing_ok=True)  # a file of that name is not ours
        folder.mkdir()
    segments = catalog.segments()
    _remove(folder, {segment.file for segment in segments})
    bad = [segment for segment in segments if not intact(folder, segment)]
    for segment in bad:
        merge(catalog, [segment])
    return len(bad)


def merge(catalog: Catalog, segments: Sequence[Segment], /) -> None:
    """Replace segments by one without tombstones, in one commit."""
    with catalog.transaction():
        chunks, vectors = catalog.segment_vectors(segment.id for segment in segments)
        new = write(catalog, chunks, vectors) if len(chunks) else None
        for segment in segments:
            catalog.db.execute("UPDATE vectors SET segment = ? WHERE segment = ?", (new, segment.id))
            catalog.db.execute("DELETE FROM segments WHERE id = ?", (segment.id,))
    remove_unnamed(catalog)


def remove_unnamed(catalog: Catalog, /) -> None:
    """Remove the segment files that the catalogue does not list."""
    _remove(catalog.path.parent / SEGMENTS, {segment.file for segment in catalog.segments()})


def tidy(catalog: Catalog, /) -> None:
    """Merge small segments if there are many, and rewrite segments that have lost a quarter."""
    segments = catalog.segments()
    small = [segment for segment in segments if segment.count < SMALL]
    if len(small) > MANY:
        for group in _groups(small):
            merge(catalog, group)
    for segment in catalog.segments():
        if 4 * len(catalog.tombstones(segment.id)) > segment.count:
            merge(catalog, [segment])


def compact(catalog: Catalog, /) -> None:
    """Merge small segments, and rewrite all others that have tombstones."""
    small = [segment for segment in catalog.segments() if segment.count < SMALL]
    for group in _groups(small):
        merge(catalog, group)
    for segment in catalog.segments():
        if len(catalog.tombstones(segment.id)):
            merge(catalog, [segment])


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


def intact(folder: Path, segment: Segment, /) -> bool:
    """Return True if a segment's file exists with the recorded digest."""
    try:
        return _digest(folder / segment.file) == segment.sha256
    except (OSError, ValueError, TypeError):  # missing, a folder, or no name at all
        return False


@dataclass(frozen=True, slots=True)
class _Loaded:
    index: Any
    dead: IntArray


class Segments:
    """The segments of an open index, kept in step with the catalogue."""

    def __init__(self, folder: Path, /) -> None:
        self._folder = folder / SEGMENTS
        self._loaded: dict[int, _Loaded] = {}
        self._version: int | None = None

    def sync(self, catalog: Catalog, version: int, /) -> None:
        """Load new segments and drop removed ones, if the snapshot's version has changed."""
        if version == self._version:
            return
        catalog.check_seal()
        loaded: dict[int, _Loaded] = {}
        for segment in catalog.segments():
            known = self._loaded.get(segment.id)
            index = known.index if known else self._load(catalog, segment)
            loaded[segment.id] = _Loaded(index, catalog.tombstones(segment.id))
        self._loaded, self._version = loaded, version

    def search(self, vector: FloatArray, limit: int, /, *, among: IntArray | None = None) -> dict[int, float]:
        """Return the cosine by chunk of the nearest chunks.

        Args:
            vector: float32 `[d]` of length 1.
            limit: Maximum number of chunks.
            among: The chunks to look among, int64 ascending; None is all.
        """
        import faiss

        # FAISS keeps this number for each calling thread. One query takes one: searches do not crowd each other.
        faiss.omp_set_num_threads(1)
        found: list[tuple[float, int]] = []
        chosen = None if among is None else faiss.IDSelectorBitmap(_bitmap(among))  # type: ignore[call-arg, arg-type]
        for segment in self._loaded.values():
            if not segment.index.ntotal:
                continue
            parameters = None
            if chosen is not None:
                parameters = faiss.SearchParameters(sel=chosen)  # type: ignore[call-arg]
            elif len(segment.dead):
                batch = faiss.IDSelectorBatch(segment.dead)
                parameters = faiss.SearchParameters(sel=faiss.IDSelectorNot(batch))  # type: ignore[call-arg]
            count = min(limit, segment.index.ntotal)
            scores, chunks = segment.index.search(vector[None], count, params=parameters)
            found += [(-float(s), int(c)) for s, c in zip(scores[0], chunks[0], strict=True) if c >= 0]
        return {chunk: -score for score, chunk in sorted(found)[:limit]}

    def _load(self, catalog: Catalog, segment: Segment) -> Any:
        if intact(self._folder, segment):
            # A writer that merges segments may remove the file between the check and here.
            with suppress(RuntimeError, FileNotFoundError):
                return read_file(self._folder / segment.file)
        # A reader never writes: it searches what it makes in memory, and the next writer makes the file.
        return _index(*catalog.segment_vectors([segment.id]))


def _bitmap(chunks: IntArray) -> NDArray[np.uint8]:
    """Return a bit for each number up to the greatest chunk: set for the chunks. Deleted chunks are not among them."""
    import numpy as np

    bits = np.zeros(int(chunks[-1]) + 1 if len(chunks) else 1, np.bool_)
    bits[chunks] = True
    return np.packbits(bits, bitorder="little")


def read_file(path: Path, /) -> Any:
    """Open a segment's file with FAISS, mapped into memory.

    Raises:
        RuntimeError: It cannot be opened.
    """
    import faiss

    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except (TypeError, UnicodeError, NotImplementedError):  # FAISS takes names that are UTF-8 only
        with path.open("rb") as file:
            return faiss.read_index(faiss.PyCallbackIOReader(file.read))  # type: ignore[attr-defined]


def _index(chunks: IntArray, vectors: FloatArray) -> Any:
    import faiss

    index = faiss.IndexIDMap(faiss.IndexFlatIP(vectors.shape[1]))
    if len(chunks):
        index.add_with_ids(vectors, chunks)
    return index


def _write_file(path: Path, chunks: IntArray, vectors: FloatArray) -> str:
    import faiss

    digest = hashlib.sha256()
    for there in (path, path.with_name(path.name + ".part")):
        if there.is_dir():
            shutil.rmtree(there)
    with replacing(path) as file:

        def put(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        # Through Python, so that a full disk is an OSError.
        faiss.write_index(_index(chunks, vectors), faiss.PyCallbackIOWriter(put))  # type: ignore[attr-defined]
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(folder: Path, named: set[str]) -> None:
    """Remove the files of a folder that the catalogue does not list; a reader may keep one open."""
    for path in folder.iterdir():
        if path.name in named and not path.is_dir():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
