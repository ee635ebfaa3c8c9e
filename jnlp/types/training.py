"""Trainers, their examples and their reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from jnlp.types.heads import Models
from jnlp.types.records import Text

if TYPE_CHECKING:
    from pathlib import Path

Progress = Callable[[str, int, int, Mapping[str, float]], None]
"""What reports the steps of a long run: called with (phase, done, total, figures)."""

O = TypeVar("O")  # noqa: E741 - the options of a trainer


@dataclass(frozen=True, slots=True)
class Example:
    """One training example: a text or pair and its target (a label, a list of labels, a number).

    Args:
        text: The text or pair.
        target: What the model learns to predict; empty for a positive pair.
        group: Examples of one group (an article, an author) are held out together.
        negatives: For a pair, hard negatives: second texts that do not match the first.
        place: The row's id, or its file and line, for reports.

    Example:
        >>> jnlp.Example("対応が早くて助かった。", "良い").target
        '良い'
    """

    text: Text
    target: str | tuple[str, ...] | float
    group: str | None = None
    negatives: tuple[str, ...] = ()
    place: str = ""


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The result of a training run: the model folder, its scores, and how they were measured.

    Args:
        folder: Where the model was written.
        metrics: Scores on held-out data, by name.
        rows: The number of examples by split.
        details: Everything needed to repeat the run: seed, versions, options, base model.
        caution: Why the scores are unreliable and what to do about it, a line each, or None.
        methods: Of each method that was tried its scores on the same validation rows, by name.
        chosen: The method that was kept and why, or None.

    Example:
        >>> from pathlib import Path
        >>> report = jnlp.TrainReport(Path("my-model"), {"accuracy": 0.9}, {"train": 90, "valid": 10}, {"seed": 0})
        >>> report.metrics["accuracy"]
        0.9
    """

    folder: Path
    metrics: Mapping[str, float]
    rows: Mapping[str, int]
    details: Mapping[str, object]
    caution: str | None = None
    methods: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    chosen: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class TrainerSpec(Generic[O]):
    """A trainer as a value: `jnlp train NAME TRAIN.csv -o DIR`.

    Args:
        name: The name that users type.
        summary: One line for `--help`.
        options: A frozen slotted dataclass, like a task's.
        make: `"package.module:function"`, called with no argument; returns a `Trainer`.
        pairs: True if it learns from pairs, which need a second text and no label. Its options may name the columns
            `negatives` and `group`.
        model: The model to start from without `--model`; None: the configured one.
        single: The option which, when it is given, lets rows of one text be learned from too; None: there is none.

    Example:
        >>> nlp.trainer("classifier").options.__name__
        'ClassifierOptions'
    """

    name: str
    summary: str
    options: type[O]
    make: str
    pairs: bool = False
    single: str | None = None
    model: str | None = None


class Trainer(Protocol):
    """Fits a model to examples."""

    def fit(
        self,
        train: Sequence[Example],
        valid: Sequence[Example] | None,
        options: Any,
        out: Path,
        /,
        *,
        models: Models,
        base: Path,
        device: str,
        progress: Progress,
    ) -> TrainReport:
        """Train on top of the model folder `base`, write a model folder to `out`, and report.

        Args:
            train: Training examples.
            valid: Validation examples, or None to hold some of `train` out.
            options: The trainer's options.
            out: The folder to make; written next to its place and renamed when complete.
            models: For trainers that need other models.
            base: The folder of the model to start from.
            device: Where to train: `auto`, `cpu`, `cuda` …
            progress: Called with (phase, done, total, figures).
        """
        ...
