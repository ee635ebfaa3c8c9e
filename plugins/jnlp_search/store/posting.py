"""The passages that have a word or a phrase, and where it is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from jnlp.types import IntArray

SHIFT = 24
"""Bits of a position in a passage."""

_PLACE = (1 << SHIFT) - 1


@dataclass(frozen=True, slots=True)
class Posting:
    """The passages that have a word or a phrase, in as few bytes as the numbers need.

    Args:
        chunks: int32 or int64 `[n]`, ascending.
        starts: Where the positions in each begin, int32 or int64 `[n + 1]`.
        positions: uint16 or int32 `[m]`, ascending in each passage.
    """

    chunks: IntArray
    starts: IntArray
    positions: IntArray

    @property
    def nbytes(self) -> int:
        """Its size in memory."""
        return self.chunks.nbytes + self.starts.nbytes + self.positions.nbytes

    def counts(self, at: IntArray, /) -> IntArray:
        """Return how often it is in passages.

        Args:
            at: Where these are in `chunks`, int64 `[k]`.
        """
        found: IntArray = self.starts[at + 1] - self.starts[at]
        return found

    def places(self, at: IntArray | None = None, /) -> IntArray:
        """Return `chunk << 24 | position` of each occurrence, int64, ascending.

        Args:
            at: The passages to look at, where these are in `chunks`; None is all.
        """
        import numpy as np

        if at is None:
            chunks, counts, positions = self.chunks, np.diff(self.starts), self.positions
        else:
            chunks, counts = self.chunks[at], self.counts(at)
            positions = self.positions[spread(self.starts[at], counts)]
        return np.repeat(chunks.astype(np.int64) << SHIFT, counts) | positions

    def within(self, chunks: IntArray, /) -> Iterator[tuple[int, list[int]]]:
        """Yield those of some passages that have it, with its positions in each.

        Args:
            chunks: int64 `[n]`.
        """
        at, here = find_in(chunks, self.chunks)
        for chunk, place in zip(chunks[here].tolist(), at[here].tolist(), strict=True):
            yield chunk, self.positions[self.starts[place] : self.starts[place + 1]].tolist()


def posting_of(places: IntArray, /) -> Posting:
    """Return the passages of occurrences, `chunk << 24 | position`, int64 ascending."""
    import numpy as np

    starts, chunks = changes(places >> SHIFT)
    positions = places & _PLACE
    wide = max(int(chunks.max(initial=0)), len(places)) >= 1 << 31
    number = np.int64 if wide else np.int32
    position = np.int32 if int(positions.max(initial=0)) >= 1 << 16 else np.uint16
    return Posting(chunks.astype(number), np.append(starts, len(places)).astype(number), positions.astype(position))


def find_in(some: IntArray, others: IntArray, /) -> tuple[IntArray, NDArray[np.bool_]]:
    """Return where numbers would be in others, both ascending, and which of them are there.

    Example:
        >>> import numpy as np
        >>> at, here = find_in(np.array([2, 3]), np.array([1, 3]))
        >>> at[here].tolist(), here.tolist()
        ([1], [False, True])
    """
    import numpy as np

    if not len(others):
        return np.zeros(len(some), np.int64), np.zeros(len(some), np.bool_)
    if others.itemsize < some.itemsize:  # numpy would widen all of the others
        at = others.searchsorted(np.minimum(some, others[-1]).astype(others.dtype))
    else:
        at = np.minimum(others.searchsorted(some), len(others) - 1)
    return at, others[at] == some


def spread(starts: IntArray, counts: IntArray, /) -> IntArray:
    """Return the numbers from each start on, as many as counted, int64.

    Example:
        >>> import numpy as np
        >>> spread(np.array([5, 20]), np.array([2, 3])).tolist()
        [5, 6, 20, 21, 22]
    """
    import numpy as np

    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))


def changes(numbers: IntArray, /) -> tuple[IntArray, IntArray]:
    """Return where ascending numbers change, and what to: each number once, after the place of its first.

    Example:
        >>> import numpy as np
        >>> [found.tolist() for found in changes(np.array([3, 3, 5]))]
        [[0, 2], [3, 5]]
    """
    import numpy as np

    new = np.ones(len(numbers), np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    places = new.nonzero()[0]
    return places, numbers[places]
