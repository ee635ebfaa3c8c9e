"""Files of raw vectors: half-precision rows that are mapped into memory, never rewritten, and checked row by row.

A file is a header, the rows, the chunk of each row and a checksum of each row:

    64 bytes             magic, dimension, number of rows, zeros
    [n, width] float16   rows of length 1; width is the dimension, rounded up to a multiple of 4, zeros at the end
    [n] int64            chunks, ascending
    [n] uint64           checksums, of chunk and row

The catalogue has a digest of chunks and checksums (`digest_of`). So a file is what was written if the digest and the
checksums of the rows agree; a search checks the rows that it reads.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from jnlp.io.durable import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from jnlp.types import FloatArray, IntArray

    Halves = NDArray[np.float16]
    Sums = NDArray[np.uint64]

ENDING = ".vectors"
MAGIC = b"JNLPVEC1"
HEADER = 64
SLICE = 1 << 15
"""Rows that are read, converted or written at once."""


class ChangedError(Exception):
    """A file of raw vectors is not what was written; the message says what is wrong."""


def width_of(dimension: int, /) -> int:
    """Return the numbers of a row: the dimension, rounded up to a multiple of 4, so that checksums read whole words."""
    return -(-dimension // 4) * 4


def halves(vectors: FloatArray, /) -> Halves:
    """Return vectors `[n, d]` as rows of a file, float16 `[n, width]`."""
    import numpy as np

    rows = np.zeros((len(vectors), width_of(vectors.shape[1])), "<f2")
    rows[:, : vectors.shape[1]] = vectors
    return rows


def floats(rows: Halves, dimension: int, /) -> FloatArray:
    """Return rows of a file as vectors, float32 `[n, d]`."""
    import numpy as np

    return np.ascontiguousarray(rows[:, :dimension], dtype=np.float32)


@cache
def _weights(words: int) -> Sums:
    """Return odd multipliers, one a word: an odd one loses no bit, so that no change of one word goes unseen."""
    import numpy as np

    with np.errstate(over="ignore"):
        mixed = np.arange(1, words + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    made: Sums = (mixed ^ (mixed >> np.uint64(31))) | np.uint64(1)
    return made


def sums_of(chunks: IntArray, rows: Halves, /) -> Sums:
    """Return a checksum of each row and its chunk, uint64 `[n]`: the words times odd numbers, added up modulo 2⁶⁴."""
    import numpy as np

    words = np.ascontiguousarray(rows).view("<u8")
    weights = _weights(words.shape[1] + 1)
    with np.errstate(over="ignore"):
        found: Sums = np.einsum("ij,j->i", words, weights[1:]) + chunks.astype(np.uint64) * weights[0]
    return found


def digest_of(chunks: IntArray, sums: Sums, /) -> str:
    """Return the digest that the catalogue has of a file."""
    digest = hashlib.blake2b(digest_size=32)
    digest.update(chunks.astype("<i8", copy=False).tobytes())
    digest.update(sums.astype("<u8", copy=False).tobytes())
    return digest.hexdigest()


def write(path: Path, dimension: int, count: int, parts: Iterable[tuple[IntArray, Halves]], /) -> str:
    """Write a file atomically and return its digest.

    Args:
        path: The file.
        dimension: Of the vectors.
        count: How many rows there are in all.
        parts: Chunks, ascending over all parts, and their rows.
    """
    from shutil import rmtree

    import numpy as np

    for there in (path, path.with_name(path.name + ".part")):
        if there.is_dir():
            rmtree(there)
    chunks: list[IntArray] = []
    sums: list[Sums] = []
    with replacing(path) as file:
        file.write(_header(dimension, count))
        for numbers, rows in parts:
            file.write(np.ascontiguousarray(rows, "<f2").tobytes())
            chunks.append(numbers.astype("<i8", copy=False))
            sums.append(sums_of(numbers, rows))
        numbers = np.concatenate(chunks) if chunks else np.empty(0, np.int64)
        checks = np.concatenate(sums) if sums else np.empty(0, np.uint64)
        assert len(numbers) == count, (len(numbers), count)
        file.write(numbers.tobytes())
        file.write(checks.astype("<u8", copy=False).tobytes())
    return digest_of(numbers, checks)


def _header(dimension: int, count: int) -> bytes:
    return struct.pack("<8sIQ", MAGIC, dimension, count).ljust(HEADER, b"\0")


@dataclass(frozen=True, slots=True)
class Raw:
    """An open file of raw vectors.

    Args:
        path: The file.
        dimension: Of its vectors.
        chunks: int64 `[n]`, ascending.
        sums: The checksums, uint64 `[n]`.
        rows: float16 `[n, width]`, mapped.
    """

    path: Path
    dimension: int
    chunks: IntArray
    sums: Sums
    rows: Halves

    @classmethod
    def open(cls, path: Path, dimension: int, digest: str | None, /) -> Self:
        """Open a file.

        Args:
            path: The file.
            dimension: Of its vectors.
            digest: The one that `write` returned; None reads as much as there is of a damaged file.

        Raises:
            FileNotFoundError: It is missing.
            ChangedError: Its size, header or digest is not what was written.
        """
        import numpy as np

        width = width_of(dimension)
        if path.is_dir():
            raise ChangedError(f"{path.name} is a folder")
        with path.open("rb") as file:
            size, header = os.fstat(file.fileno()).st_size, file.read(HEADER)
            count, rest = divmod(size - HEADER, 2 * width + 16)
            if count < 0 or rest or (digest is not None and header != _header(dimension, count)):
                raise ChangedError(f"{path.name} has a wrong size or header")
            if not count:
                return cls(path, dimension, np.empty(0, np.int64), np.empty(0, np.uint64), np.empty((0, width), "<f2"))
            data = np.memmap(file, np.uint8, "r")
        ids, checks = HEADER + 2 * width * count, size - 8 * count
        chunks: IntArray = np.asarray(data[ids:checks].view("<i8"))
        sums: Sums = np.asarray(data[checks:].view("<u8"))
        if digest is not None and digest_of(chunks, sums) != digest:
            raise ChangedError(f"{path.name} was changed")
        rows: Any = np.asarray(data[HEADER:ids].view("<f2").reshape(count, width))
        return cls(path, dimension, chunks, sums, rows)

    def __len__(self) -> int:
        return len(self.chunks)

    def find(self, chunks: IntArray, /) -> IntArray:
        """Return the positions of chunks, -1 for those that are not in the file."""
        import numpy as np

        if not len(self):
            return np.full(len(chunks), -1, np.int64)
        first = int(self.chunks[0])
        if int(self.chunks[-1]) - first == len(self) - 1:  # none is missing in between
            found = chunks - first
            return np.where((found >= 0) & (found < len(self)), found, -1)
        found = np.minimum(np.searchsorted(self.chunks, chunks), len(self) - 1)
        return np.where(self.chunks[found] == chunks, found, -1)

    def take(self, positions: IntArray, /) -> Halves:
        """Return rows by position, float16 `[k, width]`.

        Raises:
            ChangedError: A row is not what was written.
        """
        rows = self.rows[positions]
        self._check(self.chunks[positions], rows, self.sums[positions])
        return rows

    def parts(self, keep: NDArray[np.bool_] | None = None, /) -> Iterator[tuple[IntArray, Halves]]:
        """Yield chunks and rows in slices, all of them or those to keep.

        Raises:
            ChangedError: A row is not what was written.
        """
        for first in range(0, len(self), SLICE):
            cut = slice(first, first + SLICE)
            chunks, rows = self.chunks[cut], self.rows[cut]
            self._check(chunks, rows, self.sums[cut])
            yield (chunks, rows) if keep is None else (chunks[keep[cut]], rows[keep[cut]])

    def changed(self) -> IntArray:
        """Return the chunks whose rows are not what was written."""
        import numpy as np

        found = [np.empty(0, np.int64)]
        for first in range(0, len(self), SLICE):
            cut = slice(first, first + SLICE)
            chunks = self.chunks[cut]
            found.append(chunks[sums_of(chunks, self.rows[cut]) != self.sums[cut]])
        return np.concatenate(found)

    def _check(self, chunks: IntArray, rows: Halves, sums: Sums) -> None:
        wrong = sums_of(chunks, rows) != sums
        if wrong.any():
            raise ChangedError(f"the vector of passage {int(chunks[wrong][0])} was changed")
