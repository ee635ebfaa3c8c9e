"""The options that all trainers share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

from jnlp.types import Option

_NO_MATTER = ("resume", "teacher_cache")
"""Options that do not affect the model."""

GROUP = Option("Column whose equal values (an article, an author) are held out together.", metavar="COLUMN")
"""The column of groups, of every trainer that has one."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """The options of fitting a model in epochs."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    epochs: Annotated[int, Option("Passes over the training rows; the best is kept.", ge=1)] = 3
    lr: Annotated[float | None, Option("Peak learning rate (default: by the model's width).", gt=0)] = None
    batch_size: Annotated[int, Option("Rows per step.", ge=1)] = 16
    max_length: Annotated[int, Option("Maximum length of a training text in tokens; longer ones are cut.", ge=4)] = 512
    weight_decay: Annotated[float, Option("Weight decay of AdamW.", ge=0)] = 0.01
    warmup: Annotated[float, Option("Share of the run in which the learning rate rises.", ge=0, lt=1)] = 0.1
    patience: Annotated[int, Option("Epochs without a better score before it stops; 0: never.", ge=0)] = 3
    valid_share: Annotated[
        float, Option("Share of the rows that selects the epoch, without --valid.", gt=0, lt=0.5)
    ] = 0.1
    weights: Annotated[str, Option("Number format of the saved weights.", choices=("fp32", "bf16", "fp16"))] = "fp32"
    seed: Annotated[int, Option("Seed of the split, the order of rows and everything random.", ge=0)] = 0
    resume: Annotated[
        bool | None,
        Option("Continue a stopped run with the same rows and options, or never; default: if there is one."),
    ] = None


@dataclass(frozen=True, slots=True)
class PairOptions(TrainingOptions):
    """How a model is fitted to pairs of texts."""

    negatives: Annotated[str | None, Option("Column of hard negatives: one text or a list.", metavar="COLUMN")] = None
    group: Annotated[str | None, GROUP] = None


def recorded(options: TrainingOptions, /, **settled: Any) -> dict[str, Any]:
    """Return what a report says of the options: all that decides the model.

    Args:
        options: The options.
        settled: Values that the run has chosen where the options left them open.
    """
    return {name: value for name, value in asdict(options).items() if name not in _NO_MATTER} | settled
