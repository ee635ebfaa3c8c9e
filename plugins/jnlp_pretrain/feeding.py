"""Makes corrupted batches of packs on the host: in place, or ahead of a GPU in processes of their own.

A GPU takes a batch in less time than Python needs to make one next to the thread that drives the GPU. So each stage and
length of packs has a process that plans portions and makes batches, and a queue of them.
"""

from __future__ import annotations

import itertools
import multiprocessing
import queue
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import JnlpError
from jnlp_pretrain.masking import mask
from jnlp_pretrain.packs import Packs, plan_packs
from jnlp_pretrain.repeats import repeat
from jnlp_pretrain.tokenizer_train import PAD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.context import SpawnProcess

    from numpy.typing import NDArray

    from jnlp_pretrain.recipe import Recipe, Stage
    from jnlp_pretrain.shards import Shard

    IntArray = NDArray[np.int64]

AHEAD = 512
"""Batches in a queue: half a minute's work of a GPU, while the next portion is planned."""

_PATIENCE = 300.0  # seconds until the first batch, which needs the plan of a portion


@dataclass(frozen=True, slots=True)
class HostBatch:
    """A corrupted batch.

    Args:
        ids, positions: int64 `[T]`, tokens and their positions in their sequences.
        lengths: The lengths of the sequences.
        at, targets: int64 `[m]`, the positions to predict and their true ids.
        tokens: Tokens without padding.
        dense: Whether sequences fill their packs exactly.
    """

    ids: IntArray
    positions: IntArray
    lengths: tuple[int, ...]
    at: IntArray
    targets: IntArray
    tokens: int
    dense: bool


@dataclass(slots=True)
class Reader:
    """Reads the packs of one stage and length, from a position in the endless stream of passes.

    Args:
        recipe: The recipe.
        shards: The text.
        ends: Ids of the pieces that end a sentence.
        stage: The stage.
        length: The length of packs.
        turn, row: The next portion, and the next pack of it.
    """

    recipe: Recipe
    shards: Sequence[Shard]
    ends: Sequence[int]
    stage: Stage
    length: int
    turn: int = 0
    row: int = 0
    _plan: Packs | None = None

    def take(self) -> list[list[IntArray]]:
        """Return the packs of a micro-batch; after the end of a portion the next one continues."""
        packs: list[list[IntArray]] = []
        room = self.stage.micro_batch
        while True:
            if self._plan is None:
                self._plan = plan_packs(
                    self.shards,
                    self.length,
                    self.ends,
                    seed=self.recipe.seed,
                    turn=self.turn,
                    packing=self.stage.packing,
                    weights=self.stage.mix,
                )
            if self.row == len(self._plan):
                self.turn, self.row, self._plan = self.turn + 1, 0, None
                continue
            # without packing rows differ widely: a batch holds as many as its tokens allow
            room -= self._plan.size(self.row) if self.stage.packing == "none" else self.length
            if room < 0:
                return packs
            packs += self._plan.batch(self.row, 1)
            self.row += 1


def corrupt(
    packs: Sequence[Sequence[IntArray]],
    length: int,
    rate: float,
    vocabulary: int,
    rng: np.random.Generator,
    *,
    dense: float,
    repeats: float = 0.0,
    ends: Sequence[int] = (),
) -> HostBatch:
    """Return packs as one masked batch.

    Args:
        packs: The sequences of each pack.
        length: The length of packs.
        rate: The share of tokens to predict.
        vocabulary: The number of pieces.
        rng: Draws what is masked.
        dense: The share of the packs that has to be filled for dense attention; over 1: never.
        repeats: The share of longer sequences that say things twice, see `repeat`.
        ends: Ids of the pieces that end a sentence.
    """
    tokens = sum(len(sequence) for sequences in packs for sequence in sequences)
    filled = tokens >= dense * length * len(packs)
    parts = [*itertools.chain.from_iterable(fill_gap(sequences, length) for sequences in packs)] if filled else None
    parts = parts or [*itertools.chain.from_iterable(packs)]
    lengths = tuple(map(len, parts))
    stops = np.cumsum(lengths)
    said = repeat(parts, repeats, ends, vocabulary, rng)
    masked = mask(said.ids, rate, vocabulary, rng, said.marks if repeats else None)
    positions = np.arange(len(masked.ids)) - np.repeat(stops - lengths, lengths)
    return HostBatch(masked.ids, positions, lengths, masked.at, masked.targets, tokens, filled)


def fill_gap(sequences: Sequence[IntArray], length: int) -> list[IntArray]:
    """Return a pack with its gap filled by a sequence of padding, which is never predicted."""
    gap = length - sum(len(sequence) for sequence in sequences)
    return [*sequences, np.full(gap, PAD, np.int64)] if gap else list(sequences)


@dataclass(slots=True)
class Ahead:
    """A process that makes the batches of a reader ahead of time.

    Args:
        reader: What it reads, and from where.
        vocabulary: The number of pieces.
        threshold: See `corrupt`.
    """

    reader: Reader
    vocabulary: int
    threshold: float
    _queue: multiprocessing.queues.Queue[tuple[HostBatch, int, int]] = field(init=False)
    _process: SpawnProcess = field(init=False)

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would take CUDA's locks with it
        self._queue = context.Queue(AHEAD)
        self._process = context.Process(
            target=_produce, args=(self._queue, self.reader, self.vocabulary, self.threshold), daemon=True
        )
        self._process.start()

    def next(self) -> tuple[HostBatch, int, int]:
        """Return the next batch, and the portion and the pack after it.

        Raises:
            JnlpError: The process has ended.
        """
        for _ in range(round(_PATIENCE)):
            try:
                return self._queue.get(timeout=1.0)
            except queue.Empty:
                if not self._process.is_alive():
                    break
        raise JnlpError("the process that prepares batches has ended", hint="see its own error above")

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def batch_of(reader: Reader, vocabulary: int, rng: np.random.Generator, *, dense: float) -> HostBatch:
    """Return the next batch of a reader."""
    stage = reader.stage
    return corrupt(
        reader.take(),
        reader.length,
        stage.mask,
        vocabulary,
        rng,
        dense=dense,
        repeats=stage.repeats,
        ends=reader.ends,
    )


def _produce(
    into: multiprocessing.queues.Queue[tuple[HostBatch, int, int]], reader: Reader, vocabulary: int, threshold: float
) -> None:
    seed = reader.recipe.seed
    while True:
        rng = np.random.default_rng((seed, reader.length, reader.turn, reader.row))
        batch = batch_of(reader, vocabulary, rng, dense=threshold)
        into.put((batch, reader.turn, reader.row))
