"""The objective of pre-training: masked language modelling over packed rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.packing import Packed
from jnlp.training.attention_rows import attending_in_rows
from jnlp.training.masking import Masked, mask
from jnlp.training.rows import Rows, plan_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jnlp.encoder.modernbert import ModernBertForMaskedLM
    from jnlp.training.recipe import Recipe
    from jnlp.training.shards import Shard

    IntArray = NDArray[np.int64]

_VALID_TOKENS = 4_096  # of each source, at each evaluation


@dataclass(slots=True)
class MaskedLMObjective:
    """Masked language modelling over packed rows; deterministic given the recipe and where it stands."""

    recipe: Recipe
    model: ModernBertForMaskedLM
    shards: Sequence[Shard]
    held_out: Sequence[Shard]
    ends: Sequence[int]
    cursor: dict[str, int] = field(default_factory=lambda: {"stage": 0, "turn": 0, "row": 0})
    plan: Rows | None = None

    def backward(self, step: int, progress: float, /) -> tuple[float, int]:
        """Accumulate the gradients of one step over its micro-batches."""
        o = self.recipe.optimisation
        stage = self.recipe.stages[self._enter(self.recipe.stage(progress))]
        parts, tokens, loss = o.batch // o.micro_batch, 0, 0.0
        for part in range(parts):
            ids, lengths = self._rows(o.micro_batch // stage.length)
            rng = np.random.default_rng((self.recipe.seed, step, part))
            masked = mask(ids, stage.mask, self.model.config.vocab_size, rng)
            rows, bf16 = attending_in_rows(self.model.model, stage.length), o.dtype == "bf16"
            with rows, torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = self.model(_packed(masked, lengths), torch.from_numpy(masked.at))
            error = F.cross_entropy(logits.float(), torch.from_numpy(masked.targets)) / parts
            error.backward()  # type: ignore[no-untyped-call]
            loss, tokens = loss + error.item(), tokens + len(ids)
        return loss, tokens

    def evaluate(self) -> dict[str, float]:
        """Return masked accuracy and loss on held-out rows of each source, and their means over sources."""
        self.model.eval()
        scores = {shard.name: self._score(shard) for shard in self.held_out}
        self.model.train()
        found = {name: score for name, score in scores.items() if score is not None}
        figures = {f"accuracy/{name}": accuracy for name, (accuracy, _) in found.items()}
        figures |= {f"loss/{name}": loss for name, (_, loss) in found.items()}
        if found:
            accuracies, losses = zip(*found.values(), strict=True)
            figures |= {"accuracy": float(np.mean(accuracies)), "held_out_loss": float(np.mean(losses))}
        return figures

    def state(self) -> dict[str, int]:
        """Return the stage, the pass and the row that come next."""
        return dict(self.cursor)

    def load_state(self, state: dict[str, Any], /) -> None:
        """Continue at a stage, pass and row."""
        self.cursor = {key: int(value) for key, value in state.items()}
        self.plan = None

    def _enter(self, stage: int) -> int:
        if stage != self.cursor["stage"]:
            # a pass of its own, so that a later stage does not begin with the text an earlier one began with
            self.cursor = {"stage": stage, "turn": self.cursor["turn"] + 1, "row": 0}
            self.plan = None
        if self.plan is None:
            self.plan = self._pass(self.shards, self.recipe.stages[stage].length, self.cursor["turn"])
        return stage

    def _rows(self, count: int) -> tuple[IntArray, IntArray]:
        assert self.plan is not None
        if self.cursor["row"] + count > len(self.plan):
            self.cursor["turn"] += 1
            self.cursor["row"] = 0
            self.plan = self._pass(self.shards, self.plan.length, self.cursor["turn"])
        batch = self.plan.batch(self.cursor["row"], count)
        self.cursor["row"] += count
        return batch

    def _pass(self, shards: Sequence[Shard], length: int, turn: int) -> Rows:
        return plan_rows(shards, length, self.ends, seed=self.recipe.seed, turn=turn)

    @torch.no_grad()
    def _score(self, shard: Shard) -> tuple[float, float] | None:
        length = self.recipe.stages[0].length
        rows = self._pass([replace(shard, weight=1.0)], length, 0)
        if not len(rows):
            return None
        ids, lengths = rows.batch(0, max(_VALID_TOKENS // length, 1))
        masked = mask(ids, 0.15, self.model.config.vocab_size, np.random.default_rng(0))
        bf16 = self.recipe.optimisation.dtype == "bf16"
        with attending_in_rows(self.model.model, length), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = self.model(_packed(masked, lengths), torch.from_numpy(masked.at)).float()
        targets = torch.from_numpy(masked.targets)
        return (logits.argmax(-1) == targets).float().mean().item(), F.cross_entropy(logits, targets).item()


def _packed(masked: Masked, lengths: IntArray) -> Packed:
    stops = np.cumsum(lengths)
    positions = np.arange(stops[-1]) - np.repeat(stops - lengths, lengths)
    return Packed(
        torch.from_numpy(masked.ids),
        torch.from_numpy(positions),
        torch.from_numpy(np.concatenate(([0], stops)).astype(np.int32)),
        tuple(lengths.tolist()),
    )
