"""The options that all trainers share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

from jnlp.types import Option

_NO_MATTER = ("resume", "teacher_cache")
"""Options that do not decide the model."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How a model is fitted in epochs."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    epochs: Annotated[int, Option("Passes over the training rows; the best is kept.", ge=1)] = 3
    lr: Annotated[float | None, Option("Peak learning rate; by the model's width where none is given.", gt=0)] = None
    batch_size: Annotated[int, Option("Rows a step.", ge=1)] = 16
    max_length: Annotated[int, Option("Longest training text in tokens; the rest of it is cut.", ge=4)] = 512
    weight_decay: Annotated[float, Option("Weight decay of AdamW.", ge=0)] = 0.01
    warmup: Annotated[float, Option("Share of the run in which the learning rate rises.", ge=0, lt=1)] = 0.1
    patience: Annotated[int, Option("Epochs without a better score before it stops; 0: never.", ge=0)] = 3
    valid_share: Annotated[
        float, Option("Share of the rows that chooses the epoch, where --valid gives none.", gt=0, lt=0.5)
    ] = 0.1
    weights: Annotated[str, Option("Number format of the saved weights.", choices=("fp32", "bf16", "fp16"))] = "fp32"
    seed: Annotated[int, Option("Decides the split, the order of rows and all that is random.", ge=0)] = 0
    resume: Annotated[
        bool | None,
        Option(
            "Go on from a stopped run with the same rows and options, or never; without either: where there is one."
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class PairOptions(TrainingOptions):
    """How a model is fitted to pairs of texts."""

    negatives: Annotated[
        str | None, Option("Column of texts that do not answer: one text or a list.", metavar="COLUMN")
    ] = None
    group: Annotated[
        str | None, Option("Column of what is held out together: an article, an author.", metavar="COLUMN")
    ] = None


def recorded(options: TrainingOptions, /, **settled: Any) -> dict[str, Any]:
    """Return what a report says of the options: all that decides the model.

    Args:
        options: The options.
        settled: Values that the run has chosen where the options left them open.
    """
    return {name: value for name, value in asdict(options).items() if name not in _NO_MATTER} | settled
