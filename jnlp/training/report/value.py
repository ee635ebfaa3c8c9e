"""The report of a classifier on labelled rows, as a value."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read with the type hints of the dataclass
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of similar confidence.

    Args:
        confidence: The mean probability of the guessed label.
        accuracy: The share of right guesses.
        rows: How many rows.
    """

    confidence: float
    accuracy: float
    rows: int


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a precision–recall curve: the scores when a label is given at a probability of `threshold` or more."""

    threshold: float
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """The lowest probability at which a label reaches a precision.

    Args:
        label: The label; empty: the guessed one, whichever it is.
        wished: The wished precision.
        threshold: From which probability on the label is given; None: no probability reaches it.
        precision: The precision there.
        recall: The share of the label's rows that is found there; for an empty label the share of rows answered.
    """

    label: str
    wished: float
    threshold: float | None
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the data in which the model and the label differ.

    Args:
        place: The row's id, or its file and line.
        text: Its text, shortened.
        label: What the data says.
        guess: What the model says.
        probability: The model's probability of its guess; in a regression how far the guess is from the number.
    """

    place: str
    text: str
    label: str
    guess: str
    probability: float


@dataclass(frozen=True, slots=True)
class Near:
    """Two rows with nearly the same text and different labels.

    Args:
        similarity: The Jaccard similarity of their character 4-grams.
    """

    similarity: float
    first: Row
    second: Row


@dataclass(frozen=True, slots=True)
class ClassificationReport:
    """How good a classifier is on labelled rows, and where it errs.

    Args:
        title: What was scored.
        measured_on: Which rows: `test`, `validation`, or the name of a file.
        problem: `single_label_classification`, `multi_label_classification` or `regression`.
        labels: The labels, in the order of the confusion matrix.
        rows: How many rows; `distinct_rows` counts equal texts once.
        metrics: The scores.
        intervals: 95 % intervals of some scores.
        majority: The accuracy of always guessing the commonest label.
        methods: The methods compared, with their scores on the validation rows, and on the test rows.
        per_class: Precision, recall, F1 and rows of each label.
        confusion: True labels by guessed labels.
        calibration: Confidence against accuracy.
        curves: Precision–recall curves by label.
        thresholds: From which probability on a precision is reached.
        numbers: In a regression, pairs of number and guess; at most 500.
        errors: Wrong guesses, the most confident first.
        suspects: Rows whose label is probably wrong.
        near: Nearly equal texts with different labels.
        cautions: Why the scores may mislead.
        details: What is needed to repeat the measurement.

    Example:
        >>> from jnlp.training.report.value import ClassificationReport
        >>> report = ClassificationReport("レビュー", "test", "regression", ("score",), 2, 2, {"r2": 0.5})
        >>> report.metrics["r2"]
        0.5
    """

    title: str
    measured_on: str
    problem: str
    labels: tuple[str, ...]
    rows: int
    distinct_rows: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    majority: float | None = None
    methods: tuple[Mapping[str, object], ...] = ()
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
    calibration: tuple[Bin, ...] = ()
    curves: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    thresholds: tuple[Threshold, ...] = ()
    numbers: tuple[tuple[float, float], ...] = ()
    errors: tuple[Row, ...] = ()
    suspects: tuple[Row, ...] = ()
    near: tuple[Near, ...] = ()
    cautions: tuple[str, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)
