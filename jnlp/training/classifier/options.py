"""What the trainer of classifiers is asked for, and the rows that it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from jnlp.training.options import GROUP, TrainingOptions
from jnlp.types import Option

if TYPE_CHECKING:
    from jnlp.types import Example

METHODS = ("auto", "linear", "few-shot", "finetune")
PROBLEMS = ("auto", "single", "multi", "regression")


@dataclass(frozen=True, slots=True)
class ClassifierOptions(TrainingOptions):
    """How a classifier is trained."""

    method: Annotated[
        str,
        Option(
            "linear: n-grams and frozen vectors, in seconds. few-shot: vectors tuned to few rows. finetune: the whole"
            " model. auto: those that suit the rows, and the best is kept.",
            choices=METHODS,
        ),
    ] = "auto"
    embedder: Annotated[
        str, Option("Model whose vectors linear and few-shot use with the n-grams, or none.", metavar="MODEL|none")
    ] = "tiny-search"
    time_limit: Annotated[
        float | None,
        Option("Minutes for fine-tuning, and for few-shot; default with auto: 3 each.", metavar="MINUTES", gt=0),
    ] = None
    max_length: Annotated[
        int, Option("Tokens of a window; longer texts are read in several windows, as in use.", ge=4)
    ] = 512
    refit: Annotated[bool, Option("Fit the chosen linear model again on all rows, including held-out ones.")] = True
    epochs: Annotated[int, Option("Passes over the training rows; the best is kept.", ge=1)] = 10
    layer_decay: Annotated[
        float,
        Option("Multiplies the rate of fine-tuning for each layer further from the head; 1: one rate.", gt=0, le=1),
    ] = 1.0
    head_only: Annotated[bool, Option("Freeze the encoder and train only the head: faster, less accurate.")] = False
    problem: Annotated[str, Option("One label per text, several, or a number.", choices=PROBLEMS)] = "auto"
    class_weights: Annotated[
        str, Option("Give rare labels the same total weight as common ones.", choices=("none", "balanced"))
    ] = "none"
    group: Annotated[str | None, GROUP] = None
    dropout: Annotated[float, Option("Dropout before the last layer.", ge=0, lt=1)] = 0.1
    test_share: Annotated[
        float, Option("Share of the rows held out for the scores; 0: report the validation scores.", ge=0, lt=0.5)
    ] = 0.1
    pooling: Annotated[
        str, Option("The head's input: the mean of all tokens, or the first.", choices=("mean", "cls"))
    ] = "mean"


@dataclass(frozen=True, slots=True)
class Sets:
    """The training, validation and test sets; without `test`, the scores are those of `valid`."""

    train: list[Example]
    valid: list[Example]
    test: list[Example]
