"""The objective of pre-training: masked language modelling over packs of documents."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from jnlp.encoder.packing import Packed, pack, send
from jnlp.training.dense_encoder import LONGEST, DenseEncoder
from jnlp.training.team import Alone
from jnlp_pretrain.masking import mask
from jnlp_pretrain.packs import Packs, plan_packs
from jnlp_pretrain.predictions import cross_entropy
from jnlp_pretrain.tokenizer_train import PAD

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
    cursor: dict[str, int] = field(init=False)
    _plan: Packs | None = None
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
            packs = self._take(stage, length)
            tokens += sum(len(sequence) for sequences in packs for sequence in sequences)
            if part in mine:
                rng = np.random.default_rng(
                    _Seed((self.recipe.seed, step, part), spawn_key=(self.turn,) if self.turn else ())
                )
                batch = self._batch(packs, length, stage.mask, rng)
                with self.team.accumulating(self._wrapped, last=part == mine[-1]):
                    with self._precision():
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
        self._plan = None

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
            self._plan = None
        set_thetas(self.model, stage)
        return stage, length

    def _take(self, stage: Stage, length: int) -> list[list[IntArray]]:
        """Return the packs of a micro-batch; after the end of a portion the next one continues."""
        packs: list[list[IntArray]] = []
        room = stage.micro_batch
        while True:
            if self._plan is None:
                self._plan = self._portion(stage, length)
            plan, number = self._plan, self.cursor["row"]
            if number == len(plan):
                self.cursor |= {"turn": self.cursor["turn"] + 1, "row": 0}
                self._plan = None
                continue
            # without packing rows differ widely: a batch holds as many as its tokens allow
            room -= plan.size(number) if stage.packing == "none" else length
            if room < 0:
                return packs
            packs += plan.batch(number, 1)
            self.cursor["row"] += 1

    def _portion(self, stage: Stage, length: int) -> Packs:
        seed, turn = self.recipe.seed, self.cursor["turn"]
        return plan_packs(
            self.shards, length, self.ends, seed=seed, turn=turn, packing=stage.packing, weights=stage.mix
        )

    def _batch(self, packs: Sequence[Sequence[IntArray]], length: int, rate: float, rng: np.random.Generator) -> Batch:
        device = next(self.loss.parameters()).device
        tokens = sum(len(sequence) for sequences in packs for sequence in sequences)
        dense = length <= LONGEST and device.type == "cpu" and tokens >= _FULL * length * len(packs)
        filled = [_fill_gap(sequences, length) for sequences in packs] if dense else packs
        packed = pack([*itertools.chain.from_iterable(filled)])
        masked = mask(packed.ids.numpy(), rate, self.model.config.vocab_size, rng)
        packed = replace(packed, ids=torch.from_numpy(masked.ids)).to(device)
        at, targets = (send(torch.from_numpy(x), device) for x in (masked.at, masked.targets))
        return Batch(packed, at, targets, length if dense else None, tokens)

    def _precision(self) -> torch.autocast:
        device = next(self.loss.parameters()).device
        return torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.optimisation.dtype == "bf16")

    def _score(self, shard: Shard) -> tuple[float, float] | None:
        packs = plan_packs([replace(shard, weight=1.0)], _VALID_LENGTH, self.ends, seed=self.recipe.seed)
        if not len(packs):
            return None
        chosen = packs.batch(0, _VALID_TOKENS // _VALID_LENGTH)
        batch = self._batch(chosen, _VALID_LENGTH, _VALID_MASK, np.random.default_rng(0))
        with self._precision():
            logits = self.loss.logits(batch)
        accuracy = (logits.argmax(-1) == batch.targets).float().mean().item()
        return accuracy, F.cross_entropy(logits, batch.targets).item()


def set_thetas(model: ModernBertForMaskedLM, stage: Stage) -> None:
    """Set the RoPE bases of a model and its config to those of a stage."""
    wanted = replace(model.config, global_rope_theta=stage.global_theta, local_rope_theta=stage.local_theta)
    if wanted != model.config:  # an equal config that is another object would be compiled for again
        model.config = model.model.config = wanted


def _fill_gap(sequences: Sequence[IntArray], length: int) -> list[IntArray]:
    """Return a pack with its gap filled by a sequence of padding, which is never predicted."""
    gap = length - sum(len(sequence) for sequence in sequences)
    return [*sequences, np.full(gap, PAD, np.int64)] if gap else list(sequences)
