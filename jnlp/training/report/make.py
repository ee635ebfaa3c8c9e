"""Makes the report of a classifier from its probabilities on labelled rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.training.report.suspects import find_near, find_suspects
from jnlp.training.report.value import Bin, ClassificationReport, Near, Point, Row, Threshold
from jnlp.types import ProblemType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jnlp.training.classifier.targets import Goal
    from jnlp.types import Example, FloatArray

SHOWN = 200
"""Errors, suspects and near texts in a report, at most of each."""
PRECISIONS = (0.8, 0.9, 0.95, 0.99)
_BINS = 10
_POINTS = 100
_WIDTH = 200
_CURVES = 12
_NUMBERS = 500


def make_report(
    title: str,
    measured_on: str,
    probable: FloatArray,
    examples: Sequence[Example],
    goal: Goal,
    scores: Mapping[str, Any],
    /,
    *,
    out_of_fold: tuple[FloatArray, Sequence[Example]] | None = None,
    methods: Sequence[Mapping[str, object]] = (),
    cautions: Sequence[str] = (),
    details: Mapping[str, object] | None = None,
) -> ClassificationReport:
    """Return the report of a model on labelled rows.

    Args:
        title: What was scored.
        measured_on: Which rows.
        probable: `[n, k]`, the model's probabilities (in a regression its values) on rows that it was not trained on.
        examples: The n rows.
        goal: The labels and the problem.
        scores: As `jnlp.training.classifier.evaluation.measure` returns them.
        out_of_fold: Probabilities of rows by models that have not seen them, and the rows, to find wrong labels among.
            None: those of `probable`.
        methods: Other methods' scores on the same rows.
        cautions: Why the scores may mislead.
        details: What is needed to repeat the measurement.
    """
    targets = goal.targets(examples)
    single = goal.problem is ProblemType.SINGLE_LABEL
    guesses, sure = _guesses(probable, goal)
    labels = [label_of(example) for example in examples]
    wrong = _wrong(probable, targets, goal)
    looked, looked_at = (probable, examples) if out_of_fold is None else out_of_fold
    suspects: list[Row] = []
    near: list[Near] = []
    if goal.problem is not ProblemType.REGRESSION:
        names = [label_of(example) for example in looked_at]
        near = [
            Near(round(similarity, 3), *(_row(looked_at[row], names[row], "", 0.0) for row in pair))
            for *pair, similarity in find_near([example.text for example in looked_at], names)[:SHOWN]
        ]
    if single:
        rows = find_suspects(looked, goal.targets(looked_at).astype(np.int64))
        found, confident = _guesses(looked, goal)
        suspects = [_row(looked_at[r], label_of(looked_at[r]), found[r], confident[r]) for r in rows[:SHOWN]]
    return ClassificationReport(
        title,
        measured_on,
        goal.problem.value,
        goal.labels,
        int(scores["rows"]),
        int(scores["distinct_rows"]),
        scores["metrics"],
        {name: (float(low), float(high)) for name, (low, high) in scores.get("intervals", {}).items()},
        scores.get("majority_baseline"),
        tuple(methods),
        scores.get("per_class", {}),
        tuple(tuple(row) for row in scores.get("confusion", ())),
        _calibration(probable, targets) if single else (),
        _curves(probable, targets, goal),
        _thresholds(probable, targets, goal),
        _numbers(probable, targets) if goal.problem is ProblemType.REGRESSION else (),
        tuple(_row(examples[row], labels[row], guesses[row], sure[row]) for row in wrong[:SHOWN]),
        tuple(suspects),
        tuple(near),
        tuple(cautions),
        dict(details or {}),
    )


def label_of(example: Example, /) -> str:
    """Return an example's labels as a person reads them.

    Example:
        >>> from jnlp.types import Example
        >>> label_of(Example("安くて軽い", ("価格", "携帯")))
        '価格, 携帯'
    """
    if isinstance(example.target, tuple):
        return ", ".join(example.target) or "–"
    return str(example.target)


def _guesses(probable: FloatArray, goal: Goal) -> tuple[list[str], list[float]]:
    """Return each row's guess, and how sure it is."""
    if goal.problem is ProblemType.REGRESSION:
        return [f"{value:.3g}" for value in probable[:, 0]], probable[:, 0].tolist()
    if goal.problem is ProblemType.SINGLE_LABEL:
        best = probable.argmax(axis=1)
        return [goal.labels[place] for place in best], probable.max(axis=1).tolist()
    given = [[label for label, p in zip(goal.labels, row, strict=True) if p >= 0.5] for row in probable]
    return [", ".join(names) or "–" for names in given], np.maximum(probable, 1 - probable).min(axis=1).tolist()


def _wrong(probable: FloatArray, targets: NDArray[np.generic], goal: Goal) -> list[int]:
    """Return the rows that are guessed wrong, the most confident (of numbers the farthest) first."""
    if goal.problem is ProblemType.REGRESSION:
        apart = np.abs(probable[:, 0] - targets[:, 0].astype(float))
        order: list[int] = np.argsort(-apart, kind="stable").tolist()
        return order
    if goal.problem is ProblemType.SINGLE_LABEL:
        wrong = np.flatnonzero(probable.argmax(axis=1) != targets.astype(np.int64))
        sure = probable.max(axis=1)
    else:
        apart = np.abs(probable - targets.astype(float))
        wrong, sure = np.flatnonzero((apart > 0.5).any(axis=1)), apart.max(axis=1)
    chosen: list[int] = wrong[np.argsort(-sure[wrong], kind="stable")].tolist()
    return chosen


def _row(example: Example, label: str, guess: str, probability: float) -> Row:
    text = example.text if isinstance(example.text, str) else " / ".join(example.text)
    shown = " ".join(text[: 2 * _WIDTH].split())
    return Row(
        example.place,
        shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + "…",
        label,
        guess,
        round(float(probability), 4),
    )


def _calibration(probable: FloatArray, targets: NDArray[np.generic]) -> tuple[Bin, ...]:
    """Return ten bins of equal width that hold rows."""
    confidence = probable.max(axis=1).astype(float)
    right = probable.argmax(axis=1) == targets.astype(np.int64)
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    bins = [np.flatnonzero(place == number) for number in range(_BINS)]
    return tuple(Bin(float(confidence[b].mean()), float(right[b].mean()), len(b)) for b in bins if len(b))


def _curves(probable: FloatArray, targets: NDArray[np.generic], goal: Goal) -> dict[str, tuple[Point, ...]]:
    """Return the curves of the labels with the most rows."""
    if goal.problem is ProblemType.REGRESSION:
        return {}
    positive = _positive(targets, goal)
    shown = np.argsort(-positive.sum(axis=0), kind="stable")[:_CURVES]
    return {goal.labels[k]: _curve(probable[:, k], positive[:, k]) for k in sorted(shown) if positive[:, k].any()}


def _positive(targets: NDArray[np.generic], goal: Goal) -> NDArray[np.bool_]:
    if goal.problem is ProblemType.SINGLE_LABEL:
        found: NDArray[np.bool_] = targets.astype(np.int64)[:, None] == np.arange(len(goal.labels))
        return found
    return targets.astype(bool)


def _curve(probable: FloatArray, positive: NDArray[np.bool_]) -> tuple[Point, ...]:
    """Return the points of a curve from the highest threshold on, at most a hundred."""
    threshold, precision, recall = _sweep(probable, positive)
    rows = np.unique(np.linspace(0, len(threshold) - 1, _POINTS).astype(int))
    return tuple(Point(float(threshold[r]), float(precision[r]), float(recall[r])) for r in rows)


def _sweep(
    probable: FloatArray, positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return every threshold from the highest on, with the precision and the recall there."""
    order = np.argsort(-probable, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(probable[order][1:] != probable[order][:-1], True)  # rows of one probability are given together
    precision, recall = hits / np.arange(1, len(order) + 1), hits / max(1, int(positive.sum()))
    return probable[order][last].astype(np.float64), precision[last], recall[last]


def _thresholds(probable: FloatArray, targets: NDArray[np.generic], goal: Goal) -> tuple[Threshold, ...]:
    if goal.problem is ProblemType.REGRESSION:
        return ()
    found: list[Threshold] = []
    if goal.problem is ProblemType.SINGLE_LABEL:
        right = probable.argmax(axis=1) == targets.astype(np.int64)
        threshold, precision, _ = _sweep(probable.max(axis=1), right)
        answered = np.array([(probable.max(axis=1) >= t).mean() for t in threshold])
        found += [_reached("", wished, threshold, precision, answered) for wished in PRECISIONS]
    positive = _positive(targets, goal)
    for k, label in enumerate(goal.labels):
        if positive[:, k].any():
            sweep = _sweep(probable[:, k], positive[:, k])
            found += [_reached(label, wished, *sweep) for wished in PRECISIONS]
    return tuple(found)


def _reached(
    label: str,
    wished: float,
    threshold: NDArray[np.float64],
    precision: NDArray[np.float64],
    recall: NDArray[np.float64],
) -> Threshold:
    places = np.flatnonzero(precision >= wished)
    if not len(places):
        return Threshold(label, wished, None, 0.0, 0.0)
    at = int(places[-1])
    return Threshold(label, wished, float(threshold[at]), float(precision[at]), float(recall[at]))


def _numbers(probable: FloatArray, targets: NDArray[np.generic]) -> tuple[tuple[float, float], ...]:
    rows = np.unique(np.linspace(0, len(targets) - 1, min(_NUMBERS, len(targets))).astype(int))
    return tuple((float(targets[row, 0]), float(probable[row, 0])) for row in rows)
