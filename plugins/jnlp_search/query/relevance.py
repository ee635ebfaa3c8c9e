"""Scores pairs of a query and a passage by a cross-encoder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, MissingHeadError, RecordError
from jnlp.types import ProblemType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Classifier, Models

_TRAIN = "jnlp train reranker PAIRS.csv --text … --text-pair … -o DIR"


def load_reranker(models: Models, name: str | None, /) -> Classifier:
    """Return a cross-encoder: a classifier of pairs with one label.

    Raises:
        MissingHeadError: The model has no classifier.
        JnlpError: It has several labels.
    """
    try:
        classifier = models.classifier(name)
    except MissingHeadError as error:
        hint = f"give --model DIR; {_TRAIN} makes one"
        raise MissingHeadError(f"rerank needs a reranker: {error.message}", hint=hint) from error
    if len(classifier.labels) != 1:
        raise JnlpError(
            f"a reranker has one label, and this model has {len(classifier.labels)}: {', '.join(classifier.labels)}",
            hint=f"{_TRAIN} makes one",
        )
    return classifier


def relevance(classifier: Classifier, pairs: Sequence[tuple[str, str]], /) -> list[float]:
    """Return the probability that a passage answers its query, by pair; a long passage gets its best window's.

    Raises:
        RecordError: A score is not a number.
    """
    from jnlp.encoder.windows import max_positive

    # One label is a sigmoid, also where config.json says nothing, which would be read as a regression.
    logits = replace(classifier.logits(pairs), problem_type=ProblemType.MULTI_LABEL)
    scores, _ = max_positive(logits)
    return [_finite(float(score[0])) for score in scores]


def _finite(score: float) -> float:
    if not 0 <= score <= 1:
        raise RecordError(f"the model's score is {score}: its weights are damaged")
    return score
