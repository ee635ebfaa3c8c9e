"""What the trainer of classifiers is asked for, and the rows that it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from jnlp.training.options import TrainingOptions
from jnlp.types import Option

if TYPE_CHECKING:
    from jnlp.types import Example

METHODS = ("auto", "linear", "finetune")
PROBLEMS = ("auto", "single", "multi", "regression")


@dataclass(frozen=True, slots=True)
class ClassifierOptions(TrainingOptions):
    """How a classifier is trained."""

    method: Annotated[
        str,
        Option(
            "linear: n-grams and frozen vectors, in seconds. finetune: the whole model. auto: both, and the better is"
            " kept.",
            choices=METHODS,
        ),
    ] = "auto"
    embedder: Annotated[
        str, Option("The model whose vectors linear reads beside n-grams, or none.", metavar="MODEL|none")
    ] = "tiny-search"
    time_limit: Annotated[
        float | None,
        Option("Minutes for fine-tuning; with auto 3 where none is given.", metavar="MINUTES", gt=0),
    ] = None
    refit: Annotated[bool, Option("Fit a linear model that is kept once more on all rows, those held out too.")] = True
    epochs: Annotated[int, Option("Passes over the training rows; the best is kept.", ge=1)] = 10
    head_only: Annotated[
        bool, Option("Leave the encoder as it is and train the head alone: fast, and less accurate.")
    ] = False
    problem: Annotated[str, Option("One label a text, several, or a number.", choices=PROBLEMS)] = "auto"
    class_weights: Annotated[
        str, Option("Let rare labels count as much as common ones.", choices=("none", "balanced"))
    ] = "none"
    dropout: Annotated[float, Option("Dropout before the last layer.", ge=0, lt=1)] = 0.1
    test_share: Annotated[
        float, Option("Share of the rows held out for the scores; 0: report the validation scores.", ge=0, lt=0.5)
    ] = 0.1
    pooling: Annotated[str, Option("What the head reads: all tokens or the first.", choices=("mean", "cls"))] = "mean"


@dataclass(frozen=True, slots=True)
class Sets:
    """What is trained on, what chooses, what is scored; without `test`, the scores are those of `valid`."""

    train: list[Example]
    valid: list[Example]
    test: list[Example]
