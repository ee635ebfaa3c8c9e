"""Reads the raw vectors of an index by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp_search.store.catalog import SEGMENTS
from jnlp_search.store.checks import DamagedIndexError
from jnlp_search.store.kinds import nearest
from jnlp_search.store.raw import ChangedError, Raw, floats, width_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from jnlp.types import FloatArray, IntArray
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.entries import Segment
    from jnlp_search.store.raw import Halves


class GoneError(Exception):
    """A writer has removed a file since the snapshot was taken: take another one."""


def open_raw(folder: Path, segment: Segment, dimension: int, /) -> Raw:
    """Open a segment's raw vectors.

    Args:
        folder: The index.
        segment: The segment.
        dimension: Of its vectors.

    Raises:
        GoneError: The file is missing.
        DamagedIndexError: It is not what was written.
    """
    try:
        return Raw.open(folder / SEGMENTS / segment.file, dimension, segment.digest)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise GoneError(segment.file) from error
    except ChangedError as error:
        raise DamagedIndexError(folder, error) from error


def open_all(catalog: Catalog, dimension: int, /) -> Vectors:
    """Open the raw vectors of all segments of a snapshot, or of a writer's catalogue.

    Raises:
        DamagedIndexError: A file is missing, or not what was written.
    """
    try:
        return Vectors(catalog.folder, [open_raw(catalog.folder, one, dimension) for one in catalog.segments()])
    except GoneError as error:
        raise catalog.damaged(f"{error} is missing") from error


class Vectors:
    """The raw vectors of several segments.

    Args:
        folder: The index.
        files: Their open files.
    """

    def __init__(self, folder: Path, files: Iterable[Raw], /) -> None:
        self._folder = folder
        self._files = [file for file in files if len(file)]
        self._dimension = self._files[0].dimension if self._files else 0

    def rows(self, chunks: IntArray, /) -> FloatArray:
        """Return the vectors of chunks, float32 `[n, d]`, in their order.

        Raises:
            DamagedIndexError: One is missing or was changed.
        """
        return floats(self.halves(chunks), self._dimension)

    def nearest(self, chunks: IntArray, vectors: FloatArray, limit: int, /) -> list[dict[int, float]]:
        """Return the exact cosines of the nearest of some chunks for each of several vectors, best first.

        Args:
            chunks: int64 `[n]`.
            vectors: float32 `[q, d]` of length 1.
            limit: Maximum number of chunks.
        """
        if not len(chunks):
            return [{} for _ in vectors]
        found, scores = nearest(self.halves(chunks), self._dimension, vectors, limit)
        return [
            dict(zip(chunks[at].tolist(), row.tolist(), strict=True)) for at, row in zip(found, scores, strict=True)
        ]

    def halves(self, chunks: IntArray, /) -> Halves:
        """Return the raw vectors of chunks, float16 `[n, width]`, in their order.

        Raises:
            DamagedIndexError: One is missing or was changed.
        """
        import numpy as np

        missing = np.ones(len(chunks), np.bool_)
        found = np.empty((len(chunks), width_of(self._dimension)), "<f2")
        for file in self._files:
            at = file.find(chunks)
            here = at >= 0
            if not here.any():
                continue
            try:
                if here.all():
                    return file.take(at)
                found[here] = file.take(at[here])
            except ChangedError as error:
                raise DamagedIndexError(self._folder, error) from error
            missing &= ~here
        if missing.any():
            raise DamagedIndexError(self._folder, f"the vector of passage {int(chunks[missing][0])} is missing")
        return found
