"""Fine-tunes a model for one cell of a grid, by the model card's head, and scores it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from jnlp.encoder.packing import batches, pack
from jnlp.encoder.runtime import Runtime
from jnlp.training import metrics
from jnlp.training.classifier.finetune import ClassifierObjective, FullModel, predict
from jnlp.training.classifier.finetuned import build_model, classifier_config
from jnlp.training.classifier.options import ClassifierOptions
from jnlp.training.classifier.targets import Goal, goal, typed
from jnlp.training.epochs import Pace, fit
from jnlp.training.folder import encode, read_config
from jnlp.training.micro_batches import micro_tokens, precision
from jnlp.types import Choice, Example, Measured, ProblemType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from jnlp.encoder.modernbert import ModernBertForSequenceClassification
    from jnlp.training.folder import Sequences
    from jnlp.types import Evaluation, Progress, Text
    from jnlp_evaluate.protocols import Cell, Rows

BATCH = 32
"""Rows per step; the model card gives no batch size."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """All rows of a task, tokenised once for all cells.

    Args:
        sequences: The token sequences of each row: one, or one for each answer.
        targets: As `Goal.targets` makes them.
        goal: The labels and the problem.
    """

    sequences: list[list[Any]]
    targets: NDArray[np.generic]
    goal: Goal

    def within(self, rows: Rows, tokens: int | None, /) -> Rows:
        """Return the rows with no more to train on than a number of tokens; None: all."""
        if tokens is None:
            return rows
        read = np.cumsum([sum(map(len, self.sequences[row])) for row in rows.train])
        return replace(rows, train=rows.train[: max(1, int((read <= tokens).sum()))])


class CardObjective(ClassifierObjective):
    """The classifier's objective without a choice of the epoch: the last one is scored, as in the model card."""

    def evaluate(self) -> dict[str, float]:
        """Return no score."""
        return {}


@dataclass(frozen=True, slots=True)
class ChoiceModel:
    """A model with one logit over question–answer pairs; a row's logits are those of its answers."""

    module: ModernBertForSequenceClassification
    rows: Sequence[Sequence[Sequences]]
    device: torch.device

    def parts(self, rows: Sequence[int], /) -> list[list[int]]:
        """Group rows by length under the token budget."""
        most = micro_tokens(self.module.config, self.device)
        return [[rows[i] for i in group] for group in batches([self.tokens([r]) for r in rows], most)]

    def logits(self, rows: Sequence[int], /) -> Tensor:
        """Return fp32 logits `[rows, answers]`."""
        packed = pack([answer.windows[0] for row in rows for answer in self.rows[row]]).to(self.device)
        with precision(self.device):
            out: Tensor = self.module(packed)
        return out.float().view(len(rows), -1)

    def tokens(self, rows: Sequence[int], /) -> int:
        """Return the tokens of the rows."""
        return sum(len(answer) for row in rows for answer in self.rows[row])


class Backbone(Protocol):
    """How a model is read and built; the protocol is the same for all."""

    def encode(self, texts: Sequence[Text], max_length: int, /) -> Sequence[Any]:
        """Tokenise texts or pairs; longer ones are cut."""
        ...

    def network(self, goal: Goal, options: ClassifierOptions, place: torch.device, /) -> torch.nn.Module:
        """Return the encoder with a new head: linear, GELU, linear on the first token."""
        ...

    def learner(self, network: Any, rows: Sequence[Sequence[Any]], place: torch.device, /) -> Any:
        """Return what maps rows, each one text or one for each answer, to logits: a `Learner`."""
        ...


class PackedBackbone:
    """Reads and builds a ModernBERT, which jnlp runs on packed tokens."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def encode(self, texts: Sequence[Text], max_length: int, /) -> list[Sequences]:
        """Tokenise texts or pairs; longer ones are cut."""
        return encode(self.base, texts, max_length, most=1)[0]

    def network(self, goal: Goal, options: ClassifierOptions, place: torch.device, /) -> torch.nn.Module:
        """Return the encoder with a new head."""
        model = build_model(classifier_config(read_config(self.base), goal, options), self.base, options).to(place)
        model.head.add_module("norm", torch.nn.Identity())  # the card's head: linear, GELU, linear
        return model

    def learner(self, network: Any, rows: Sequence[Sequence[Any]], place: torch.device, /) -> FullModel | ChoiceModel:
        """Return what maps rows to logits."""
        if all(len(row) == 1 for row in rows):
            return FullModel(network, [row[0] for row in rows], place)
        return ChoiceModel(network, rows, place)


def prepare(evaluation: Evaluation, rows: Sequence[Example | Choice], backbone: Backbone, /) -> Prepared:
    """Tokenise all rows of a task; texts longer than the task's length are cut.

    Raises:
        JnlpError: A row has no label, or no label is left to learn.
    """
    if evaluation.measured is Measured.CHOICE:
        choices = [row for row in rows if isinstance(row, Choice)]
        pairs = [(row.question, answer) for row in choices for answer in row.answers]
        flat = backbone.encode(pairs, evaluation.max_length)
        width = len(choices[0].answers)
        grouped = [list(flat[start : start + width]) for start in range(0, len(flat), width)]
        labels = Goal(tuple(map(str, range(width))), ProblemType.SINGLE_LABEL)
        return Prepared(grouped, np.array([row.right for row in choices], dtype=np.int64), labels)
    regression = evaluation.measured is Measured.REGRESSION
    problem = ProblemType.REGRESSION if regression else ProblemType.SINGLE_LABEL
    examples = typed([row for row in rows if isinstance(row, Example)], problem)
    found = goal(examples, problem)
    flat = backbone.encode([example.text for example in examples], evaluation.max_length)
    return Prepared([[one] for one in flat], found.targets(examples), found)


def run_cell(
    evaluation: Evaluation,
    prepared: Prepared,
    rows: Rows,
    cell: Cell,
    backbone: Backbone,
    device: str,
    progress: Progress,
    /,
) -> dict[str, Any]:
    """Train one cell and return its scores on the validation and the test rows, its tokens and seconds."""
    began = time.monotonic()
    place, _ = Runtime(device=device).place()
    choice = evaluation.measured is Measured.CHOICE
    options = ClassifierOptions(
        epochs=cell.epochs, lr=cell.rate, batch_size=BATCH, patience=0, pooling="cls", seed=cell.run
    )
    one = Goal(("right",), ProblemType.SINGLE_LABEL) if choice else prepared.goal
    model = backbone.network(one, options, place)
    targets = [prepared.targets[list(part)] for part in (rows.train, rows.valid, rows.test)]
    learners = [
        backbone.learner(model, [prepared.sequences[row] for row in part], place)
        for part in (rows.train, rows.valid, rows.test)
    ]
    objective = CardObjective(
        learners[0], targets[0], learners[1], targets[1], prepared.goal, batch_size=options.batch_size
    )
    fitted = fit(objective, Pace.of(options, cell.rate), progress)
    said = [predict(one, len(truth)) for one, truth in zip(learners[1:], targets[1:], strict=True)]
    valid, test = (score(evaluation.metric, logits, truth) for logits, truth in zip(said, targets[1:], strict=True))
    return {
        "rate": cell.rate,
        "epochs": cell.epochs,
        "run": cell.run,
        "valid": valid,
        "test": test,
        "rows": [len(rows.train), len(rows.valid), len(rows.test)],
        "tokens": fitted.tokens,
        "seconds": round(time.monotonic() - began, 1),
        "right": _right(evaluation.metric, said[1], targets[2]),
    }


def score(metric: str, logits: NDArray[np.float32], truth: NDArray[np.generic], /) -> float:
    """Return a task's score of logits `[n, k]`.

    Example:
        >>> score("accuracy", np.array([[0.1, 0.9], [0.8, 0.2]], dtype=np.float32), np.array([1, 1]))
        0.5
    """
    if metric == "spearman":
        return metrics.spearman(logits[:, 0].astype(float), truth[:, 0].astype(float))
    matrix = metrics.confusion(truth.astype(np.int64), logits.argmax(axis=1), logits.shape[1])
    return metrics.macro_f1(matrix) if metric == "macro_f1" else metrics.accuracy(matrix)


def _right(metric: str, logits: NDArray[np.float32], truth: NDArray[np.generic]) -> str:
    """Return which test rows are right, as 0 and 1, for a paired comparison of two models; empty for numbers."""
    if metric == "spearman":
        return ""
    return "".join("1" if right else "0" for right in logits.argmax(axis=1) == truth.astype(np.int64))
