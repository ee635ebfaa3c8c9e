"""The models that methods made of the same rows, and the choice between them on the same validation rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.training.calibration import row_losses
from jnlp.training.classifier.evaluation import (
    balanced_score,
    both_scores,
    is_surely_better,
    measure,
    right_labels,
)
from jnlp.types import ProblemType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from jnlp.training.classifier.targets import Goal
    from jnlp.types import FloatArray

MAJORITY, LINEAR, FEW_SHOT, FINETUNE = "majority", "linear", "few-shot", "finetune"

_DRAWS = 200
_NAMES = {
    ProblemType.SINGLE_LABEL: "mean of accuracy and macro F1",
    ProblemType.MULTI_LABEL: "mean of micro and macro F1",
    ProblemType.REGRESSION: "rank correlation",
}


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A fitted model, and what it says of the held-out rows.

    Args:
        name: The method.
        valid: Its logits `[n, k]` of the validation rows, not calibrated.
        test: Its logits of the test rows, or None if there are none.
        temperature: What its logits are to be divided by.
        seconds: How long it took.
        facts: What else the report says of it.
        write: Writes its files into a folder.
        out_of_fold: Probabilities `[n, k]` of all rows (training, validation, test) by models that had not seen the
            row, or None.
        crossed: Logits `[n, k]` of the training rows by models that had not seen the row, or None.
    """

    name: str
    valid: FloatArray
    test: FloatArray | None
    temperature: float
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    write: Callable[[Path], None] = lambda _: None
    out_of_fold: FloatArray | None = None
    crossed: FloatArray | None = None


def majority(targets: NDArray[np.generic], rows: int, goal: Goal, /) -> FloatArray:
    """Return the logits `[rows, k]` of the guess that needs no text: the shares of the labels, or the mean number."""
    if goal.problem is ProblemType.REGRESSION:
        found = targets.astype(np.float64).mean(axis=0)
    elif goal.problem is ProblemType.MULTI_LABEL:
        share = (targets.astype(np.float64).sum(axis=0) + 1) / (len(targets) + 2)
        found = np.log(share / (1 - share))
    else:
        found = np.log(np.bincount(targets.astype(np.int64), minlength=len(goal.labels)) + 1.0)
    return np.tile(found, (rows, 1)).astype(np.float32)


def choose(
    candidates: Sequence[Candidate],
    truth: NDArray[np.generic],
    goal: Goal,
    /,
    *,
    trained: NDArray[np.generic] | None = None,
) -> tuple[Candidate, str]:
    """Return the candidate to keep, and why.

    A fine-tuned model has to lead by more than one standard error of the difference: its epoch was chosen on these
    very rows, so its score is too good. Nor may it pay for that with accuracy: of labels it has to be more accurate by
    one standard error, or no less accurate with a log loss that is less by one. Where all of them say something of the
    training rows without having seen them, they are compared on these too: few rows have very few to validate on.

    Args:
        candidates: The cheapest first.
        truth: The targets of the validation rows.
        goal: The labels and the problem.
        trained: The targets of the training rows.
    """
    if trained is not None and len(candidates) > 1 and all(one.crossed is not None for one in candidates):
        truth = np.concatenate([truth, trained])
        widened = [replace(one, valid=np.concatenate([one.valid, one.crossed])) for one in candidates]
        best, why = choose(widened, truth, goal)
        return candidates[widened.index(best)], f"{why}, on {len(truth)} rows with those of cross-validation"
    best, *others = candidates
    why = "it was asked for" if not others else ""
    name = _NAMES[goal.problem]
    for other in others:
        lead, error = _lead(other, best, truth, goal)
        figures = (
            f"{balanced_score(other.valid, truth, goal):.3f} against {balanced_score(best.valid, truth, goal):.3f}"
        )
        if lead > error and (less := _less_accurate(other, best, truth, goal)):
            why = f"{other.name} is {less}, though its {name} is better: {figures}"
        elif lead > error and not _is_sure(other, best, truth, goal):
            why = f"{other.name} is not more accurate by more than chance, though its {name} is better: {figures}"
        elif lead > error:
            best, why = other, f"its {name} is the best by more than chance: {figures}"
        else:
            why = f"{other.name} is not better by more than chance ({name} {figures})"
    return best, why


def _less_accurate(one: Candidate, other: Candidate, truth: NDArray[np.generic], goal: Goal) -> str:
    """Return how much less accurate one is than the other, in words, or nothing if it is not."""
    if goal.problem is ProblemType.REGRESSION:
        return ""
    first, second = (both_scores(model.valid, truth, goal)[0] for model in (one, other))
    return f"less accurate ({first:.3f} against {second:.3f})" if first < second else ""


def _is_sure(one: Candidate, other: Candidate, truth: NDArray[np.generic], goal: Goal) -> bool:
    """Return whether one is better than the other by accuracy or log loss, not by macro F1 alone; of numbers always."""
    if goal.problem is ProblemType.REGRESSION:
        return True
    right = [right_labels(model.valid, truth, goal) for model in (one, other)]
    losses = [row_losses(model.valid, truth, goal.problem, model.temperature) for model in (one, other)]
    return is_surely_better(right[0] - right[1], losses[1] - losses[0])


def compared(
    candidates: Sequence[Candidate], targets: Sequence[NDArray[np.generic]], goal: Goal, /
) -> list[dict[str, Any]]:
    """Return a row for each method, with its scores on the validation rows and on the test rows.

    Args:
        candidates: The models.
        targets: Of the training rows, the validation rows, and the test rows if there are any.
        goal: The labels and the problem.
    """
    guesses = [majority(targets[0], len(rows), goal) for rows in targets[1:]]
    guess = Candidate(MAJORITY, guesses[0], guesses[1] if len(guesses) > 1 else None, 1.0, 0.0)
    rows: list[dict[str, Any]] = []
    for one in (guess, *candidates):
        row: dict[str, Any] = {"method": one.name, "seconds": round(one.seconds, 1)}
        for name, logits, truth in zip(("validation", "test"), (one.valid, one.test), targets[1:], strict=False):
            if logits is not None:
                row[name] = measure(logits, truth, goal, one.temperature, draws=0)["metrics"]
        rows.append(row)
    return rows


def _lead(one: Candidate, other: Candidate, truth: NDArray[np.generic], goal: Goal) -> tuple[float, float]:
    """Return how far one's score is above the other's, and the bootstrapped standard error of that."""
    rng = np.random.default_rng(0)

    def difference(rows: NDArray[np.int64]) -> float:
        first, second = (balanced_score(model.valid[rows], truth[rows], goal) for model in (one, other))
        return first - second

    drawn = [difference(rng.integers(0, len(truth), len(truth))) for _ in range(_DRAWS)]
    return difference(np.arange(len(truth))), float(np.std(drawn))
