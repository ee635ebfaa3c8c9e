"""The objective of pre-training: masked language modelling over packs of documents."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from jnlp.encoder.packing import Packed, send
from jnlp.training.dense_encoder import LONGEST, DenseEncoder
from jnlp.training.team import Alone
from jnlp_pretrain.feeding import Ahead, HostBatch, Reader, batch_of, corrupt
from jnlp_pretrain.packs import plan_packs
from jnlp_pretrain.predictions import cross_entropy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from jnlp.encoder.modernbert import ModernBertForMaskedLM
    from jnlp.training.team import Team
    from jnlp_pretrain.recipe import Recipe, Stage
    from jnlp_pretrain.shards import Shard

    IntArray = NDArray[np.int64]

_VALID_TOKENS = 4_096  # of each source, at each evaluation
_VALID_LENGTH = 128
_VALID_MASK = 0.15
_Seed = np.random.SeedSequence
_FULL_GPU = 0.5  # on a GPU, where the dense form is compiled
_FULL = 0.9  # of the positions of rows: with fewer tokens, packed attention beats dense attention over the gaps


@dataclass(frozen=True, slots=True)
class Batch:
    """A corrupted batch on its device.

    Args:
        packed: The sequences, concatenated.
        at: Positions to predict, int64 `[m]`.
        targets: Their true ids, int64 `[m]`.
        length: The length of the packs, if the sequences fill them exactly; else None.
        tokens: Tokens without padding.
    """

    packed: Packed
    at: Tensor
    targets: Tensor
    length: int | None
    tokens: int


class MaskedLMLoss(nn.Module):
    """A masked LM and its loss as one module, so that it can be wrapped for several processes.

    Args:
        model: The model.
        compiled: The lengths of packs whose training is compiled.
        require_compile: Raise an error if torch cannot compile, instead of running uncompiled.
    """

    def __init__(
        self, model: ModernBertForMaskedLM, *, compiled: Collection[int] = (), require_compile: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self._training = DenseEncoder(model.model, compiled, require_compile=require_compile)
        self._scoring = DenseEncoder(model.model)  # never compiled: it would be compiled again for want of gradients

    def uncompiled(self) -> None:
        """Compile nothing from now on."""
        self._training = DenseEncoder(self.model.model)

    def logits(self, batch: Batch) -> Tensor:
        """Return fp32 logits `[m, vocabulary]` at the masked positions."""
        return self.model.logits(self._states(batch)).float()

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy over the masked positions."""
        decoder = self.model.decoder
        weight = decoder.matrix(self.model.model.embeddings.tok_embeddings.weight)
        return cross_entropy(self.model.head(self._states(batch)), weight, decoder.bias, batch.targets)

    def _states(self, batch: Batch) -> Tensor:
        """Return the states at the masked positions `[m, d]`."""
        if batch.length is None:
            states = self.model.model(batch.packed)
        else:
            states = (self._training if self.training else self._scoring)(batch.packed, batch.length)
        found: Tensor = states[batch.at]
        return found


@dataclass(slots=True)
class MaskedLMObjective:
    """Masked language modelling over packs; deterministic given the recipe, the turn and the position.

    Args:
        recipe: The recipe.
        loss: The model and its loss, on the model's device.
        shards: The training text.
        held_out: The held-out text.
        ends: Ids of the pieces that end a sentence.
        team: The processes that share the work; each computes every n-th micro-batch.
        finished: Called with the number of each completed stage except the last.
        turn: The first portion of the corpus.
        ahead: Make batches in other processes; None: on a GPU.
        cursor: The next stage, portion and pack.
    """

    recipe: Recipe
    loss: MaskedLMLoss
    shards: Sequence[Shard]
    held_out: Sequence[Shard]
    ends: Sequence[int]
    team: Team = field(default_factory=Alone)
    finished: Callable[[int], None] = lambda _number: None
    turn: int = 0
    ahead: bool | None = None
    cursor: dict[str, int] = field(init=False)
    _reader: Reader | None = None
    _ahead: dict[tuple[int, int], Ahead] = field(default_factory=dict)
    _wrapped: nn.Module | None = None

    def __post_init__(self) -> None:
        self.cursor = {"stage": 0, "length": 0, "turn": self.turn, "row": 0}

    @property
    def model(self) -> ModernBertForMaskedLM:
        """The model."""
        return self.loss.model

    def size(self, progress: float, /) -> int:
        """Return the approximate number of tokens of a step."""
        return self.recipe.stages[self.recipe.stage(progress)[0]].batch

    def rate(self, progress: float, /) -> float:
        """Return the factor of the optimiser's rates."""
        return self.recipe.rate(progress)

    def backward(self, step: int, progress: float, /) -> tuple[Tensor, int]:
        """Accumulate the gradients of one step over its micro-batches; return its loss and its tokens."""
        if self._wrapped is None:
            self._wrapped = self.team.prepare(self.loss)
        stage, length = self._enter(progress)
        parts, tokens, losses = stage.batch // stage.micro_batch, 0, []
        mine = range(self.team.rank, parts, self.team.size)
        for part in range(parts):
            made = self._next(stage, length, step, part)
            tokens += made.tokens
            if part in mine:
                batch = self._sent(made, length)
                with self.team.accumulating(self._wrapped, last=part == mine[-1]):
                    with self.precision():
                        error = self._wrapped(batch) / len(mine)
                    self.team.backward(error)
                losses.append(error.detach())
        return self.team.mean(torch.stack(losses).sum()), tokens

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return masked accuracy and loss on held-out text of each source, and their means over sources."""
        self.loss.eval()
        scores = {shard.name: self._score(shard) for shard in self.held_out}
        self.loss.train()
        found = {name: score for name, score in scores.items() if score is not None}
        figures = {f"accuracy/{name}": accuracy for name, (accuracy, _) in found.items()}
        figures |= {f"loss/{name}": loss for name, (_, loss) in found.items()}
        if found:
            accuracies, losses = zip(*found.values(), strict=True)
            figures |= {"accuracy": float(np.mean(accuracies)), "held_out_loss": float(np.mean(losses))}
        return figures

    def state(self) -> dict[str, int]:
        """Return the next stage, its pack length, the portion and the pack."""
        return dict(self.cursor)

    def load_state(self, state: dict[str, Any], /) -> None:
        """Continue at a stage, portion and pack."""
        self.cursor = {key: int(value) for key, value in state.items()}
        self._reader = None

    def _enter(self, progress: float) -> tuple[Stage, int]:
        number, done = self.recipe.stage(progress)
        stage = self.recipe.stages[number]
        length = stage.length(done)
        if (number, length) != (self.cursor["stage"], self.cursor["length"]):
            # a portion of its own, so that a later stage does not begin with the text an earlier one began with
            turn = self.cursor["turn"] + (1 if self.cursor["length"] else 0)
            for done_with in range(self.cursor["stage"], number):
                self.finished(done_with)
            self.cursor = {"stage": number, "length": length, "turn": turn, "row": 0}
            self._reader = None
        set_thetas(self.model, stage)
        return stage, length

    def start_ahead(self) -> None:
        """Start the processes that make batches for a GPU, before the clock runs."""
        if not self._runs_ahead or self._ahead:
            return
        at = self.cursor
        for number, stage in enumerate(self.recipe.stages):
            for place, span in enumerate(stage.rows):
                key, here = (number, span.length), (number, span.length) == (at["stage"], at["length"])
                if number < at["stage"] or key in self._ahead:
                    continue
                # portions of their own: no stage begins with the text that another began with
                turn, row = (at["turn"], at["row"]) if here else (self.turn + 1000 * number + 100 * place, 0)
                reader = Reader(self.recipe, self.shards, self.ends, stage, span.length, turn, row)
                self._ahead[key] = Ahead(reader, self.model.config.vocab_size, self._threshold(span.length))

    def close(self) -> None:
        """End the processes that make batches."""
        for ahead in self._ahead.values():
            ahead.close()
        self._ahead.clear()

    def _next(self, stage: Stage, length: int, step: int, part: int) -> HostBatch:
        """Return the next micro-batch, and move the cursor behind it."""
        if self._runs_ahead:
            self.start_ahead()
            made, turn, row = self._ahead[self.cursor["stage"], length].next()
        else:
            reader = self._reader_of(stage, length)
            rng = np.random.default_rng(
                _Seed((self.recipe.seed, step, part), spawn_key=(self.turn,) if self.turn else ())
            )
            made = batch_of(reader, self.model.config.vocab_size, rng, dense=self._threshold(length))
            turn, row = reader.turn, reader.row
        self.cursor |= {"turn": turn, "row": row}
        return made

    def _reader_of(self, stage: Stage, length: int) -> Reader:
        if self._reader is None:
            turn, row = self.cursor["turn"], self.cursor["row"]
            self._reader = Reader(self.recipe, self.shards, self.ends, stage, length, turn, row)
        return self._reader

    def _take(self, stage: Stage, length: int) -> list[list[IntArray]]:
        return self._reader_of(stage, length).take()

    def _batch(self, packs: Sequence[Sequence[IntArray]], length: int, rate: float, rng: np.random.Generator) -> Batch:
        size = self.model.config.vocab_size
        return self._sent(corrupt(packs, length, rate, size, rng, dense=self._threshold(length)), length)

    def _sent(self, made: HostBatch, length: int) -> Batch:
        """Return a batch on the model's device."""
        device = self._device
        starts = np.cumsum((0, *made.lengths), dtype=np.int32)
        ids, positions, starts_there, at, targets = (
            send(torch.from_numpy(x), device) for x in (made.ids, made.positions, starts, made.at, made.targets)
        )
        packed = Packed(ids, positions, starts_there, made.lengths)
        return Batch(packed, at, targets, length if made.dense else None, made.tokens)

    @property
    def _device(self) -> torch.device:
        return next(self.loss.parameters()).device

    @property
    def _runs_ahead(self) -> bool:
        ahead = self._device.type == "cuda" if self.ahead is None else self.ahead
        return ahead and self.team.size == 1

    def _threshold(self, length: int) -> float:
        """Return the share of packs that has to be filled for dense attention, over 1 for never."""
        if length > LONGEST:
            return 2.0
        return _FULL if self._device.type == "cpu" else _FULL_GPU

    def precision(self) -> torch.autocast:
        """Return the context of forward passes."""
        device = next(self.loss.parameters()).device
        return torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.optimisation.dtype == "bf16")

    def _score(self, shard: Shard) -> tuple[float, float] | None:
        packs = plan_packs([replace(shard, weight=1.0)], _VALID_LENGTH, self.ends, seed=self.recipe.seed)
        if not len(packs):
            return None
        chosen = packs.batch(0, _VALID_TOKENS // _VALID_LENGTH)
        batch = self._batch(chosen, _VALID_LENGTH, _VALID_MASK, np.random.default_rng(0))
        with self.precision():
            logits = self.loss.logits(batch)
        accuracy = (logits.argmax(-1) == batch.targets).float().mean().item()
        return accuracy, F.cross_entropy(logits, batch.targets).item()


def set_thetas(model: ModernBertForMaskedLM, stage: Stage) -> None:
    """Set the RoPE bases of a model and its config to those of a stage."""
    wanted = replace(model.config, global_rope_theta=stage.global_theta, local_rope_theta=stage.local_theta)
    if wanted != model.config:  # an equal config that is another object would be compiled for again
        model.config = model.model.config = wanted
