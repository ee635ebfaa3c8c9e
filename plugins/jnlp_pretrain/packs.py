"""Plans the packs of a pass: documents are sampled by weight, cut at sentence ends, shuffled and packed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp_pretrain.packing import SPECIAL_TOKENS, alone, best_fit, naive
from jnlp_pretrain.tokenizer_train import BOS, EOS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jnlp_pretrain.shards import Shard

    IntArray = NDArray[np.int64]

PACKINGS = {"naive": naive, "best-fit": best_fit, "none": alone}
PORTION = 1 << 26
"""Tokens planned at once. A larger pass is planned in portions, each a random part of the documents."""


@dataclass(frozen=True, slots=True)
class Packs:
    """The order of one portion: `pieces[p] = (shard, start, stop)`; pack i has the pieces `first[i]:first[i + 1]`."""

    length: int
    shards: Sequence[Shard]
    pieces: IntArray
    first: IntArray

    def __len__(self) -> int:
        return len(self.first) - 1

    def batch(self, start: int, count: int) -> list[list[IntArray]]:
        """Return packs start to start + count, each as its sequences, int64, including `<s>` and `</s>`."""
        packs = []
        for pack in range(start, min(start + count, len(self))):
            chosen = self.pieces[self.first[pack] : self.first[pack + 1]].tolist()
            packs.append([self._sequence(shard, left, right) for shard, left, right in chosen])
        return packs

    def size(self, pack: int) -> int:
        """Return the tokens of a pack."""
        chosen = self.pieces[self.first[pack] : self.first[pack + 1]]
        return int((chosen[:, 2] - chosen[:, 1] + SPECIAL_TOKENS).sum())

    def _sequence(self, shard: int, start: int, stop: int) -> IntArray:
        sequence = np.empty(stop - start + SPECIAL_TOKENS, np.int64)
        sequence[0], sequence[1:-1], sequence[-1] = BOS, self.shards[shard].tokens[start:stop], EOS
        return sequence


def plan_packs(
    shards: Sequence[Shard],
    length: int,
    ends: Sequence[int],
    *,
    seed: int,
    turn: int = 0,
    packing: str = "naive",
    weights: Mapping[str, float] | None = None,
) -> Packs:
    """Plan the packs of one portion of the endless stream of passes; the same arguments give the same packs.

    Documents are sampled by weight, cut into pieces of at most `length - 2` tokens (at a sentence end, if there is one
    in the second half), shuffled and packed. All tokens of a sampled document are used.

    Args:
        shards: The sources.
        length: Maximum tokens of a pack.
        ends: Ids of the pieces that end a sentence.
        seed: The seed of the run.
        turn: The number of the portion.
        packing: A key of `PACKINGS`.
        weights: How often a document of a source is seen in a pass, on average; replaces the shards' own.
    """
    weight = [(weights or {}).get(shard.name, shard.weight) for shard in shards]
    total = sum(
        w * (len(shard.tokens) + SPECIAL_TOKENS * len(shard.ends)) for w, shard in zip(weight, shards, strict=True)
    )
    portions = max(round(total / PORTION), 1)
    number, part = divmod(turn, portions)
    tables: list[IntArray] = []
    for index, shard in enumerate(shards):
        drawn = _draw(len(shard.ends), weight[index], np.random.default_rng((seed, number, index)))
        cuts = _cut_documents(shard, np.sort(drawn[part::portions]), length - SPECIAL_TOKENS, np.asarray(ends))
        tables.append(np.column_stack((np.full(len(cuts), index, np.int64), cuts)))
    rng = np.random.default_rng((seed, turn, length))
    pieces = np.concatenate(tables)
    pieces, first = PACKINGS[packing](pieces[rng.permutation(len(pieces))], length)
    if packing == "best-fit":  # its rows come sorted by length
        pieces, first = _shuffle(pieces, first, rng)
    return Packs(length, shards, pieces, first)


def _draw(documents: int, weight: float, rng: np.random.Generator) -> IntArray:
    """Return the documents of a pass in random order: each ⌊weight⌋ times, and once more by the remaining chance."""
    copies = np.full(documents, int(weight)) + (rng.random(documents) < weight % 1)
    return rng.permutation(np.repeat(np.arange(documents), copies))


def _cut_documents(shard: Shard, documents: IntArray, size: int, ends: IntArray) -> IntArray:
    """Return the pieces of documents, `[pieces, 2]` starts and stops."""
    stops = shard.ends[documents]
    starts = np.where(documents > 0, shard.ends[documents - 1], 0)
    long = stops - starts > size
    table = [np.column_stack((starts[~long], stops[~long]))]
    for start, stop in zip(starts[long].tolist(), stops[long].tolist(), strict=True):
        table.append(start + _cut_document(np.isin(shard.tokens[start:stop], ends), size))
    cuts = np.concatenate(table)
    return cuts[cuts[:, 1] > cuts[:, 0]]


def _cut_document(marks: NDArray[np.bool_], size: int) -> IntArray:
    # the last position at or before i after which a sentence has ended
    last = np.maximum.accumulate(np.where(marks, np.arange(1, len(marks) + 1), 0)).tolist()
    cuts: list[tuple[int, int]] = []
    start = 0
    while len(marks) - start > size:
        stop = last[start + size - 1]
        stop = stop if stop > start + size // 2 else start + size
        cuts.append((start, stop))
        start = stop
    cuts.append((start, len(marks)))
    return np.array(cuts, np.int64)


def _shuffle(pieces: IntArray, first: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return packs in random order."""
    order = rng.permutation(len(first) - 1)
    sizes = np.diff(first)[order]
    starts = np.cumsum(sizes) - sizes
    index = np.repeat(first[:-1][order] - starts, sizes) + np.arange(sizes.sum())
    return pieces[index], np.concatenate(([0], np.cumsum(sizes)))
