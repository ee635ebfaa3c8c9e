"""Fine-tunes a sequence classifier over packed tokens: the batches, the loss, the epochs.

What is fitted is a function from row numbers to logits: `FullModel` runs the encoder each time, `HeadOnly` has run it
once and fits the head to its pooled states.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.packing import batches, pack
from jnlp.encoder.pooling import pool
from jnlp.encoder.runtime import has_bf16
from jnlp.training.classifier.evaluation import main_score
from jnlp.training.optim import optimisers
from jnlp.types import ProblemType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from torch import Tensor

    from jnlp.encoder.modernbert import ModernBertForSequenceClassification
    from jnlp.training.classifier.targets import Goal

    Ids = NDArray[np.int64]
    Progress = Callable[[str, int, int, Mapping[str, float]], None]

MICRO_TOKENS = 8192
"""Tokens in one forward pass: small enough for the caches and any GPU, large enough to keep them busy."""


class Learner(Protocol):
    """Maps rows of one data set to logits, with gradients."""

    module: torch.nn.Module

    def parts(self, rows: Sequence[int], /) -> list[list[int]]:
        """Divide rows into groups that go through together."""
        ...

    def logits(self, rows: Sequence[int], /) -> Tensor:
        """Return fp32 logits `[rows, k]`."""
        ...


@dataclass(frozen=True, slots=True)
class FullModel:
    """The whole model over token sequences."""

    module: ModernBertForSequenceClassification
    sequences: Sequence[Ids]
    device: torch.device

    def parts(self, rows: Sequence[int], /) -> list[list[int]]:
        """Group rows by length under the token budget."""
        return [[rows[i] for i in group] for group in batches([len(self.sequences[r]) for r in rows], MICRO_TOKENS)]

    def logits(self, rows: Sequence[int], /) -> Tensor:
        """Run the model, in bf16 where the device computes it."""
        packed = pack([self.sequences[row] for row in rows]).to(self.device)
        with precision(self.device):
            out: Tensor = self.module(packed)
        return out.float()


class HeadOnly:
    """The head over pooled states that a frozen encoder gave once: float32 `[n, d]`."""

    def __init__(self, model: ModernBertForSequenceClassification, pooled: Tensor) -> None:
        self.module = torch.nn.ModuleDict({"head": model.head, "drop": model.drop, "classifier": model.classifier})
        self.pooled = pooled

    def parts(self, rows: Sequence[int], /) -> list[list[int]]:
        """All rows at once."""
        return [list(rows)] if rows else []

    def logits(self, rows: Sequence[int], /) -> Tensor:
        """Run the head."""
        inner = self.module
        out: Tensor = inner["classifier"](inner["drop"](inner["head"](self.pooled[list(rows)])))
        return out


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a model is fitted.

    Args:
        epochs: Passes over the training rows.
        batch_size: Rows a step.
        lr: Peak learning rate of AdamW; it rises over `warmup` of the steps and falls to 0 linearly.
        weight_decay: Of matrices, not of norms, biases and embeddings.
        warmup: Share of the steps.
        patience: Epochs without a better score before it stops; 0 never stops.
        seed: Of the order of rows and of dropout.
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    warmup: float
    patience: int
    seed: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """The epochs' figures and the best of them; the module holds its weights."""

    epochs: tuple[dict[str, float], ...]
    best: int


def precision(device: torch.device, /) -> AbstractContextManager[Any]:
    """Return bf16 autocast where the device computes in bf16, else nothing."""
    if has_bf16(str(device)):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


@torch.no_grad()
def pooled_states(
    model: ModernBertForSequenceClassification, sequences: Sequence[Ids], device: torch.device, progress: Progress, /
) -> Tensor:
    """Return the encoder's pooled states of all sequences, float32 `[n, d]`: what the head reads."""
    model.eval()
    out = torch.empty(len(sequences), model.config.hidden_size, device=device)
    done = 0
    for rows in batches([len(sequence) for sequence in sequences], MICRO_TOKENS):
        packed = pack([sequences[row] for row in rows]).to(device)
        # fp32: the states are computed once, and inference may run in either precision.
        out[rows] = pool(model.model(packed), packed, model.config.classifier_pooling).float()
        done += len(rows)
        progress("encoding", done, len(sequences), {})
    return out


@torch.no_grad()
def predict(learner: Learner, count: int, /) -> NDArray[np.float32]:
    """Return the logits `[count, k]` of all rows, in order, without dropout."""
    learner.module.eval()
    rows: list[int] = []
    parts: list[Tensor] = []
    for part in learner.parts(range(count)):
        rows.extend(part)
        parts.append(learner.logits(part).cpu())
    if not parts:
        raise ValueError("no rows to predict")
    joined = torch.cat(parts).numpy()
    out = np.empty_like(joined)
    out[rows] = joined
    return out


def fit(
    train: Learner,
    targets: NDArray[np.generic],
    valid: Learner,
    valid_targets: NDArray[np.generic],
    goal: Goal,
    schedule: Schedule,
    weights: NDArray[np.float32] | None,
    progress: Progress,
    /,
) -> Fitted:
    """Fit a learner, and leave the weights of its best epoch in it.

    Args:
        train: A learner over the training rows.
        targets: As `Goal.targets` makes them.
        valid: A learner over the validation rows with the same module.
        valid_targets: Likewise.
        goal: The labels and the problem.
        schedule: The pace.
        weights: float32 `[k]`, the weight of each class in the loss, or None.
        progress: Called after each step and epoch.
    """
    torch.manual_seed(schedule.seed)
    order = np.random.default_rng(schedule.seed)
    steps = -(-len(targets) // schedule.batch_size)
    (optimiser,) = optimisers(train.module, "adamw", lr=schedule.lr, matrix_lr=0.0, weight_decay=schedule.weight_decay)
    total = steps * schedule.epochs
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _linear(step, total, schedule.warmup))
    device = next(train.module.parameters()).device
    truth = torch.from_numpy(targets).to(device)
    scale = None if weights is None else torch.from_numpy(weights).to(device)
    history: list[dict[str, float]] = []
    best, kept = -1, {}
    for epoch in range(schedule.epochs):
        losses = []
        for step, batch in enumerate(np.array_split(order.permutation(len(targets)), steps)):
            losses.append(_step(train, batch.tolist(), truth, goal.problem, scale))
            torch.nn.utils.clip_grad_norm_(train.module.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            rate.step()
            progress("training", epoch * steps + step + 1, total, {"loss": losses[-1]})
        score = main_score(predict(valid, len(valid_targets)), valid_targets, goal)
        history.append({"loss": float(np.mean(losses)), "valid": score})
        progress("training", (epoch + 1) * steps, total, history[-1])
        if best < 0 or score > history[best]["valid"]:
            best, kept = epoch, {k: v.detach().clone() for k, v in train.module.state_dict().items()}
        elif schedule.patience and epoch - best >= schedule.patience:
            progress("training", total, total, history[best])
            break
    train.module.load_state_dict(kept)
    train.module.eval()
    return Fitted(tuple(history), best)


def _step(learner: Learner, rows: list[int], truth: Tensor, problem: ProblemType, weights: Tensor | None) -> float:
    """Leave the gradients of the mean loss over the rows, part by part; return that loss."""
    learner.module.train()
    total = 0.0
    for part in learner.parts(rows):
        loss = _loss(learner.logits(part), truth[part], problem, weights) / len(rows)
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def _loss(logits: Tensor, truth: Tensor, problem: ProblemType, weights: Tensor | None) -> Tensor:
    """Return the sum over rows of cross-entropy, of its binary form averaged over labels, or of squared error."""
    if problem is ProblemType.SINGLE_LABEL:
        return F.cross_entropy(logits, truth, weight=weights, reduction="sum")
    if problem is ProblemType.MULTI_LABEL:
        return F.binary_cross_entropy_with_logits(logits, truth, pos_weight=weights, reduction="sum") / logits.shape[1]
    return F.mse_loss(logits, truth, reduction="sum")


def _linear(step: int, total: int, warmup: float) -> float:
    """Return the factor of the peak rate: up over the share `warmup` of the steps, then down to 0."""
    rise = max(1, round(total * warmup))
    return (step + 1) / rise if step < rise else max(0.0, (total - step) / max(1, total - rise))


def class_weights(targets: NDArray[np.generic], goal: Goal, /) -> NDArray[np.float32]:
    """Return weights that let every class count alike: n / (k · count), whose mean over rows is 1.

    For multi-label the weight of a present label, absent / present, between 1 and 20.
    """
    if goal.problem is ProblemType.MULTI_LABEL:
        present = targets.astype(np.float64).sum(axis=0)
        weights = np.clip((len(targets) - present) / np.maximum(present, 1), 1.0, 20.0)
    else:
        counts = np.bincount(targets.astype(np.int64), minlength=len(goal.labels))
        weights = len(targets) / (len(goal.labels) * np.maximum(counts, 1))
    return np.asarray(weights, dtype=np.float32)
