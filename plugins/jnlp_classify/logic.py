"""Labels texts by a fine-tuned model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.encoder.windows import mean_logits, probabilities
from jnlp.errors import MissingHeadError
from jnlp.terminal import listed
from jnlp.types import ProblemType
from jnlp_classify.ranking import entailment_label, rank_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Apply, Classifier, Models, ModelSpec, Text
    from jnlp_classify.spec import Classified, ClassifyOptions

TRAIN = "jnlp train classifier TRAIN.csv --text … --label … -o DIR"
_WIDTH = 60


def make(models: Models, options: ClassifyOptions, /) -> Apply[Classified]:
    """Return the function that labels texts: by the fine-tuned model, or zero-shot if labels are given.

    Raises:
        MissingHeadError: No labels are given, and the model is not fine-tuned.
    """
    if options.labels:
        from jnlp_classify.zero_shot import make_zero_shot

        return make_zero_shot(models, options)
    try:
        classifier = models.classifier(None)
    except MissingHeadError as error:
        raise MissingHeadError(
            f"classify needs labels, or a model with a classifier: {error.message}",
            hint=f"give --labels A,B,C or --model DIR; {TRAIN} makes one",
        ) from error
    return lambda texts: by_model(classifier, texts, options)


def by_model(classifier: Classifier, texts: Sequence[Text], options: ClassifyOptions, /) -> list[Classified]:
    """Label texts with a fine-tuned model: softmax or sigmoids of the mean logits of a text's windows, or the value."""
    logits = classifier.logits(texts)
    scores = probabilities(mean_logits(logits), logits.problem_type)
    floor = options.threshold if logits.problem_type is ProblemType.MULTI_LABEL and len(logits.labels) > 1 else None
    return [rank_labels(logits.labels, row, options.top, floor) for row in scores]


def keys(options: ClassifyOptions, model: ModelSpec, /) -> dict[str, tuple[str, ...]]:
    """Return the labels that a text can have, which are columns of a table."""
    return {"scores": options.labels or model.labels}


def remarks(options: ClassifyOptions, model: ModelSpec, /) -> tuple[str, ...]:
    """Warn that a single label leaves no choice, unless the model judges entailment."""
    if len(options.labels) != 1 or entailment_label(model.labels) is not None:
        return ()
    return (f"with one label the score compares '{options.labels[0]}' with common topics: give two or more to choose",)


def rows(text: Text, result: Classified, /) -> list[dict[str, object]]:
    """Return the table row of one text: the best label, its score, and the runners-up."""
    shown = text if isinstance(text, str) else " / ".join(text)
    others = [f"{label} {score:.2f}" for label, score in result.scores.items() if label != result.label]
    row: dict[str, object] = {
        "text": shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + "…",
        "label": result.label,
        "score": f"{result.score:.3f}",
        "others": listed(others[:4]),
    }
    return [row]
