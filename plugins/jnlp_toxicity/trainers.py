"""The spec of `jnlp train toxicity`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from jnlp.types import Option, TrainerSpec


@dataclass(frozen=True, slots=True)
class ToxicityTrainingOptions:
    """How the decision of `jnlp toxicity` is fitted to rows."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    toxic: Annotated[
        tuple[str, ...], Option("The labels that mean toxic; default: toxic, 1, 有害 and the like.", metavar="LABELS")
    ] = ()
    test_share: Annotated[float, Option("Share of the rows to measure on, without --valid.", gt=0, lt=0.9)] = 0.2
    seed: Annotated[int, Option("Seed of the rows held out.", ge=0)] = 0


TOXICITY_TRAINER: TrainerSpec[ToxicityTrainingOptions] = TrainerSpec(
    "toxicity",
    "Fit the decision of `jnlp toxicity` to your own rows.",
    ToxicityTrainingOptions,
    "jnlp_toxicity.training:make_trainer",
    model="tiny-toxicity",
)
