"""The objective of fine-tuning a sequence classifier: batches of packed tokens, and the loss.

A learner maps row numbers to logits. `FullModel` runs the encoder each time; `HeadOnly` runs it once and fits the head
to its pooled states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.packing import batches, pack
from jnlp.encoder.pooling import pool
from jnlp.training.classifier.evaluation import main_score
from jnlp.training.epochs import SCORE, Stateless
from jnlp.training.micro_batches import micro_tokens, precision
from jnlp.types import ProblemType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from jnlp.encoder.modernbert import ModernBertForSequenceClassification
    from jnlp.training.classifier.targets import Goal
    from jnlp.training.folder import Sequences
    from jnlp.types import Progress


class Learner(Protocol):
    """Maps rows of one data set to logits, with gradients."""

    module: torch.nn.Module

    def parts(self, rows: Sequence[int], /) -> list[list[int]]:
        """Split rows into groups for one forward pass each."""
        ...

    def logits(self, rows: Sequence[int], /) -> Tensor:
        """Return fp32 logits `[rows, k]`."""
        ...

    def tokens(self, rows: Sequence[int], /) -> int:
        """Return the tokens of the rows."""
        ...


@dataclass(frozen=True, slots=True)
class FullModel:
    """The whole model over token sequences; the logits of a text are the mean of its windows', as in use."""

    module: ModernBertForSequenceClassification
    sequences: Sequence[Sequences]
    device: torch.device

    def parts(self, rows: Sequence[int], /) -> list[list[int]]:
        """Group rows by length under the token budget."""
        most = micro_tokens(self.module.config, self.device)
        return [[rows[i] for i in group] for group in batches([len(self.sequences[r]) for r in rows], most)]

    def logits(self, rows: Sequence[int], /) -> Tensor:
        """Run the model, in bf16 if the device supports it."""
        texts = [self.sequences[row] for row in rows]
        packed = pack([window for text in texts for window in text.windows]).to(self.device)
        with precision(self.device):
            out: Tensor = self.module(packed)
        return join(out.float(), texts)

    def tokens(self, rows: Sequence[int], /) -> int:
        """Return the tokens of the rows."""
        return sum(len(self.sequences[row]) for row in rows)


class HeadOnly:
    """The head over precomputed pooled states of a frozen encoder, float32 `[windows, d]`."""

    def __init__(
        self, model: ModernBertForSequenceClassification, pooled: Tensor, sequences: Sequence[Sequences]
    ) -> None:
        self.sequences = sequences
        self.starts = np.cumsum([0, *(len(text.windows) for text in sequences)]).tolist()
        self.module = torch.nn.ModuleDict({"head": model.head, "drop": model.drop, "classifier": model.classifier})
        self.pooled = pooled

    def parts(self, rows: Sequence[int], /) -> list[list[int]]:
        """Return all rows as one group."""
        return [list(rows)] if rows else []

    def logits(self, rows: Sequence[int], /) -> Tensor:
        """Run the head."""
        inner = self.module
        windows = [number for row in rows for number in range(self.starts[row], self.starts[row + 1])]
        out: Tensor = inner["classifier"](inner["drop"](inner["head"](self.pooled[windows])))
        return join(out, [self.sequences[row] for row in rows])

    def tokens(self, rows: Sequence[int], /) -> int:
        """Return the number of rows: each is one pooled state."""
        return len(rows)


def join(logits: Tensor, texts: Sequence[Sequences], /) -> Tensor:
    """Return the logits of each text, `[n, k]`: the mean over its windows `[windows, k]`, weighted by their tokens."""
    if len(logits) == len(texts):
        return logits
    owner = torch.tensor([number for number, text in enumerate(texts) for _ in text.windows], device=logits.device)
    shares = torch.tensor([share for text in texts for share in text.shares], device=logits.device)
    return logits.new_zeros(len(texts), logits.shape[1]).index_add(0, owner, logits * shares[:, None])


@torch.no_grad()
def pooled_states(
    model: ModernBertForSequenceClassification,
    texts: Sequence[Sequences],
    device: torch.device,
    progress: Progress,
    /,
) -> Tensor:
    """Return the encoder's pooled states of all windows, float32 `[windows, d]`, the head's input."""
    model.eval()
    sequences = [window for text in texts for window in text.windows]
    out = torch.empty(len(sequences), model.config.hidden_size, device=device)
    done = 0
    for rows in batches([len(sequence) for sequence in sequences], micro_tokens(model.config, device)):
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


class ClassifierObjective(Stateless):
    """The objective for `epochs.fit`: a learner, its targets, and the validation rows.

    Args:
        train: A learner over the training rows.
        targets: As `Goal.targets` makes them.
        valid: A learner over the validation rows with the same module.
        valid_targets: Likewise.
        goal: The labels and the problem.
        batch_size: Rows per step.
        weights: float32 `[k]`, the weight of each class in the loss, or None.
        share: The number of this process and of all that divide the rows of a batch; their gradients are to be added.
    """

    def __init__(
        self,
        train: Learner,
        targets: NDArray[np.generic],
        valid: Learner,
        valid_targets: NDArray[np.generic],
        goal: Goal,
        /,
        *,
        batch_size: int,
        weights: NDArray[np.float32] | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.train, self.valid, self.valid_targets, self.goal = train, valid, valid_targets, goal
        self.module = train.module
        self.batch_size, self.share = batch_size, share
        device = next(train.module.parameters()).device
        self.truth = torch.from_numpy(targets).to(device)
        self.weights = None if weights is None else torch.from_numpy(weights).to(device)

    def batches(self, epoch: int, rng: np.random.Generator, /) -> list[list[int]]:
        """Return all rows in random order, in batches of nearly equal size."""
        del epoch
        rows = rng.permutation(len(self.truth))
        return [batch.tolist() for batch in np.array_split(rows, -(-len(rows) // self.batch_size))]

    def backward(self, batch: list[int], /) -> tuple[Tensor, int]:
        """Accumulate the gradients of the mean loss over the rows, part by part: of this process's share of them."""
        total = torch.zeros((), dtype=torch.float64, device=self.truth.device)
        rank, size = self.share
        rows = batch[rank::size]
        for part in self.train.parts(rows):
            loss = _loss(self.train.logits(part), self.truth[part], self.goal.problem, self.weights) / len(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total, self.train.tokens(rows)

    def evaluate(self) -> dict[str, float]:
        """Return the main score of the validation rows: macro-F1, or Spearman's coefficient for numbers."""
        return {SCORE: main_score(predict(self.valid, len(self.valid_targets)), self.valid_targets, self.goal)}


def _loss(logits: Tensor, truth: Tensor, problem: ProblemType, weights: Tensor | None) -> Tensor:
    """Return the sum over rows of cross-entropy, of its binary form averaged over labels, or of squared error."""
    if problem is ProblemType.SINGLE_LABEL:
        return F.cross_entropy(logits, truth, weight=weights, reduction="sum")
    if problem is ProblemType.MULTI_LABEL:
        return F.binary_cross_entropy_with_logits(logits, truth, pos_weight=weights, reduction="sum") / logits.shape[1]
    return F.mse_loss(logits, truth, reduction="sum")


def class_weights(targets: NDArray[np.generic], goal: Goal, /) -> NDArray[np.float32]:
    """Return weights that balance the classes: n / (k · count), whose mean over rows is 1.

    For multi-label the weight of a present label, absent / present, between 1 and 20.
    """
    if goal.problem is ProblemType.MULTI_LABEL:
        present = targets.astype(np.float64).sum(axis=0)
        weights = np.clip((len(targets) - present) / np.maximum(present, 1), 1.0, 20.0)
    else:
        counts = np.bincount(targets.astype(np.int64), minlength=len(goal.labels))
        weights = len(targets) / (len(goal.labels) * np.maximum(counts, 1))
    return np.asarray(weights, dtype=np.float32)
