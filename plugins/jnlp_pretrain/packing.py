"""Ways to put pieces of documents into packs. Packs are not padded; some have fewer tokens."""

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
    """Fill packs one after the other; a piece that does not fit is cut and continued in the next pack.

    Args:
        pieces: int64 `[n, 3]`: shard, start and stop, at most `length - 2` tokens each.
        length: Maximum tokens of a pack, including the special ones.

    Returns:
        The pieces after cutting, and the index of each pack's first piece, int64 `[packs + 1]`.
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
    """Put whole pieces together, longest first, each into the fullest pack with enough room.

    Best-fit decreasing as in Ding et al. 2024, "Fewer truncations improve language modeling" (section 3), with a
    segment tree over the remaining rooms instead of the packs: n log(length) steps. No piece is cut. Arguments and
    result as `naive`; packs are in the order of their longest piece.
    """
    sizes = pieces[:, 2] - pieces[:, 1] + SPECIAL_TOKENS
    packs: list[list[int]] = []
    tree = _Rooms(length)
    for index in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[index])
        pack, room = tree.pop(size) or (len(packs), length)
        if pack == len(packs):
            packs.append([])
        packs[pack].append(index)
        tree.push(room - size, pack)
    order = [index for pack in packs for index in pack]
    first = np.cumsum([0, *(len(pack) for pack in packs)], dtype=np.int64)
    return pieces[order].reshape(-1, 3), first


def alone(pieces: IntArray, length: int) -> tuple[IntArray, IntArray]:
    """Put each piece into its own pack. Arguments and result as `naive`."""
    del length
    return pieces, np.arange(len(pieces) + 1, dtype=np.int64)


class _Rooms:
    """Packs by their remaining room; finds the smallest sufficient room in log(length) steps."""

    def __init__(self, length: int) -> None:
        self._width = 1 << length.bit_length()
        self._largest = [-1] * (2 * self._width)  # node -> the largest room below it that some row has
        self._packs: list[list[int]] = [[] for _ in range(length + 1)]

    def push(self, room: int, pack: int) -> None:
        self._packs[room].append(pack)
        self._set(room, room)

    def pop(self, size: int) -> tuple[int, int] | None:
        """Remove the pack with the smallest room of at least `size`; return it and its room, or None."""
        room = self._find(size)
        if room is None:
            return None
        pack = self._packs[room].pop()
        if not self._packs[room]:
            self._set(room, -1)
        return pack, room

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
