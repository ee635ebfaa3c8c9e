"""Ways to lay pieces of documents into rows; positions are never padded, a row simply holds fewer tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

SPECIAL_TOKENS = 2
"""`<s>` and `</s>` of each piece."""

_SHORTEST = 8  # tokens: a row's last gap below this stays empty rather than hold a stub


def naive(pieces: IntArray, length: int) -> tuple[IntArray, IntArray]:
    """Fill rows one after the other, cutting a piece where its row is full and going on with it in the next.

    Args:
        pieces: int64 `[n, 3]`: shard, start and stop, at most `length - 2` tokens each.
        length: Tokens in a row, the special ones included.

    Returns:
        The pieces as they were cut, and where each row begins among them, int64 `[rows + 1]`.
    """
    table: list[tuple[int, int, int]] = []
    first = [0]
    room = length
    for shard, start, stop in pieces.tolist():
        while start < stop:
            take = min(stop - start, room - SPECIAL_TOKENS)
            table.append((shard, start, start + take))
            start += take
            room -= take + SPECIAL_TOKENS
            if room < _SHORTEST + SPECIAL_TOKENS:
                first.append(len(table))
                room = length
    if first[-1] < len(table):
        first.append(len(table))
    return np.array(table, np.int64).reshape(-1, 3), np.array(first, np.int64)


def best_fit(pieces: IntArray, length: int) -> tuple[IntArray, IntArray]:
    """Put whole pieces together, longest first, each into the fullest row that still has room for it.

    Best-fit decreasing as in Ding et al. 2024, "Fewer truncations improve language modeling" (section 3), with a
    segment tree over the rooms that rows have left, in place of the rows themselves: n log(length) steps. No
    piece is cut. Arguments and result as `naive`; rows come in the order of their longest piece.
    """
    sizes = pieces[:, 2] - pieces[:, 1] + SPECIAL_TOKENS
    rows: list[list[int]] = []
    tree = _Rooms(length)
    for index in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[index])
        row, room = tree.pop(size) or (len(rows), length)
        if row == len(rows):
            rows.append([])
        rows[row].append(index)
        tree.push(room - size, row)
    order = [index for row in rows for index in row]
    first = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
    return pieces[order].reshape(-1, 3), first


def alone(pieces: IntArray, length: int) -> tuple[IntArray, IntArray]:
    """Leave each piece a row of its own. Arguments and result as `naive`."""
    del length
    return pieces, np.arange(len(pieces) + 1, dtype=np.int64)


class _Rooms:
    """Rows by the room they have left; finds the smallest room that is large enough in log(length) steps."""

    def __init__(self, length: int) -> None:
        self._width = 1 << length.bit_length()
        self._largest = [-1] * (2 * self._width)  # node -> the largest room below it that some row has
        self._rows: list[list[int]] = [[] for _ in range(length + 1)]

    def push(self, room: int, row: int) -> None:
        self._rows[room].append(row)
        self._set(room, room)

    def pop(self, size: int) -> tuple[int, int] | None:
        """Take out the row with the least room of at least `size`; return it and its room, or None."""
        room = self._find(size)
        if room is None:
            return None
        row = self._rows[room].pop()
        if not self._rows[room]:
            self._set(room, -1)
        return row, room

    def _set(self, room: int, value: int) -> None:
        node = room + self._width
        self._largest[node] = value
        while node > 1:
            node //= 2
            self._largest[node] = max(self._largest[2 * node], self._largest[2 * node + 1])

    def _find(self, size: int) -> int | None:
        if self._largest[1] < size:
            return None
        node = size + self._width
        if self._largest[node] >= size:
            return size
        while node % 2 or self._largest[node + 1] < 0:  # up, until there is a node to the right
            node //= 2
        node += 1
        while node < self._width:
            node = 2 * node if self._largest[2 * node] >= 0 else 2 * node + 1
        return node - self._width
