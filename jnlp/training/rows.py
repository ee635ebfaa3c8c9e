"""Rows of packed pieces: documents cut at sentence ends, shuffled, and laid out so that no position is padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp.training.tokenizer_train import BOS, EOS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jnlp.training.shards import Shard

    IntArray = NDArray[np.int64]

_MIN_PIECE = 8  # a row's last gap under this many tokens goes to the piece before it, not to a stub of its own


@dataclass(frozen=True, slots=True)
class Rows:
    """The order of one pass: `pieces[p] = (shard, start, stop)`, and row r holds pieces `first[r]:first[r + 1]`."""

    length: int
    shards: Sequence[Shard]
    pieces: IntArray
    first: IntArray

    def __len__(self) -> int:
        return len(self.first) - 1

    def batch(self, start: int, count: int) -> tuple[IntArray, IntArray]:
        """Return ids int64 `[t]` and sequence lengths int64 `[s]` of rows start to start + count."""
        chosen = self.pieces[self.first[start] : self.first[min(start + count, len(self))]]
        parts: list[NDArray[np.int64]] = []
        for shard, left, right in chosen:
            parts += [_BOS, self.shards[shard].tokens[left:right].astype(np.int64), _EOS]
        return np.concatenate(parts), chosen[:, 2] - chosen[:, 1] + 2


_BOS, _EOS = np.array([BOS], np.int64), np.array([EOS], np.int64)


def plan_rows(shards: Sequence[Shard], length: int, ends: Sequence[int], *, seed: int, turn: int = 0) -> Rows:
    """Plan one pass over shards in rows of exactly `length` tokens; the same arguments give the same rows.

    Documents are cut into pieces of at most `length - 2` tokens, at sentence ends where one stands in the second
    half; pieces are shuffled and fill rows one after the other (naive packing), each with its `<s>` and `</s>`.

    Args:
        shards: The sources; a weight over 1 repeats pieces, its fraction drawing a share of them.
        length: Tokens in a row.
        ends: Ids of the pieces that end a sentence.
        seed: The seed of the run.
        turn: The number of the pass.
    """
    rng = np.random.default_rng((seed, turn, length))
    tables: list[IntArray] = []
    for number, shard in enumerate(shards):
        cuts = _cut(shard, length - 2, np.asarray(ends))
        copies = np.full(len(cuts), max(int(shard.weight), 1))
        copies += rng.random(len(cuts)) < max(shard.weight, 1.0) % 1
        cuts = np.repeat(cuts, copies, axis=0)
        tables.append(np.column_stack((np.full(len(cuts), number, np.int64), cuts)))
    pieces = np.concatenate(tables)
    return _fill(shards, pieces[rng.permutation(len(pieces))], length)


def _cut(shard: Shard, size: int, ends: IntArray) -> IntArray:
    """Return `[pieces, 2]` starts and stops."""
    marks = np.isin(np.asarray(shard.tokens), ends)
    # the last position at or before i after which a sentence has ended
    last = np.maximum.accumulate(np.where(marks, np.arange(1, len(marks) + 1), 0))
    cuts: list[tuple[int, int]] = []
    start = 0
    for end in shard.ends.tolist():
        while end - start > size:
            stop = int(last[start + size - 1])
            stop = stop if stop > start + size // 2 else start + size
            cuts.append((start, stop))
            start = stop
        if end > start:
            cuts.append((start, end))
        start = end
    return np.array(cuts, np.int64).reshape(-1, 2)


def _fill(shards: Sequence[Shard], pieces: IntArray, length: int) -> Rows:
    table: list[tuple[int, int, int]] = []
    first = [0]
    room = length
    for shard, start, stop in pieces.tolist():
        while stop - start > 0:
            take = min(stop - start, room - 2)
            left = room - 2 - take
            if 0 < left < _MIN_PIECE + 2:  # too small for another piece: lend tokens from the document around it
                start, take = _stretch(shards[shard], start, take, left)
                if take != room - 2:
                    break  # the document is too short to lend: the piece is left out
            table.append((shard, start, start + take))
            start += take
            room -= take + 2
            if room == 0:
                first.append(len(table))
                room = length
    del table[first[-1] :]
    return Rows(length, shards, np.array(table, np.int64).reshape(-1, 3), np.array(first, np.int64))


def _stretch(shard: Shard, start: int, take: int, missing: int) -> tuple[int, int]:
    """Return a piece grown by `missing` tokens to the left within its document, as far as the document goes."""
    document = int(np.searchsorted(shard.ends, start, side="right"))
    floor = int(shard.ends[document - 1]) if document else 0
    grown = min(missing, start - floor)
    return start - grown, take + grown
