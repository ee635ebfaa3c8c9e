"""The specs of the classify task and the classifier trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from jnlp.training.classifier.trainer import ClassifierOptions
from jnlp.types import Option, TaskSpec, TrainerSpec

TEMPLATES = ("{label}", "これは{label}に関する文章です。", "{label}についての話題")
"""The default templates of a label; the mean of all is used."""


@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """How texts are labelled."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    labels: Annotated[
        tuple[str, ...],
        Option("Labels to choose from without any training, comma separated.", metavar="A,B,C"),
    ] = ()
    template: Annotated[str | None, Option("Template of a label, with {label} in it; several by default.")] = None
    temperature: Annotated[float, Option("With --labels: higher gives more even scores.", gt=0)] = 0.1
    top: Annotated[int, Option("Labels in the scores, the best first; 0 for all.", flags=("--top", "-k"), ge=0)] = 0
    threshold: Annotated[
        float, Option("Of a multi-label model: labels below this probability are left out of the scores.", ge=0, le=1)
    ] = 0.5


@dataclass(frozen=True, slots=True)
class Classified:
    """How a text was labelled.

    Args:
        label: The best label.
        score: Its probability; of a regression the value.
        scores: Probabilities by label, the best first. Of a multi-label model only those over the threshold.
    """

    label: str
    score: float
    scores: Mapping[str, float]


CLASSIFY: TaskSpec[ClassifyOptions, Classified] = TaskSpec(
    "classify",
    "Label texts with a fine-tuned model, or by labels alone.",
    ClassifyOptions,
    "jnlp_classify.logic:make",
    Classified,
    rows="jnlp_classify.logic:rows",
    keys="jnlp_classify.logic:keys",
    remarks="jnlp_classify.logic:remarks",
    pairs=True,
)

CLASSIFIER: TrainerSpec[ClassifierOptions] = TrainerSpec(
    "classifier",
    "Train a text classifier from labelled rows.",
    ClassifierOptions,
    "jnlp.training.classifier.trainer:make_trainer",
)
