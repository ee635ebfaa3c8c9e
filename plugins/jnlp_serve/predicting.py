"""Labels with scores, as `/predict` returns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp_serve.batching import Lane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Apply, Models


def predict_lane(models: Models, classify: Apply[Any], /, *, raw: bool) -> Lane:
    """Return the lane that labels texts.

    Args:
        models: The models of the task `classify`.
        classify: The function of that task.
        raw: Return logits instead of probabilities; of a long text those of its first window.
    """
    if not raw:
        return Lane("predict", lambda texts: [_rows(result.scores) for result in classify(texts)])
    classifier = models.classifier()

    def apply(texts: Sequence[Any], /) -> list[list[dict[str, Any]]]:
        found = classifier.logits(texts)
        first = {int(owner): row for row, owner in reversed(list(enumerate(found.owner)))}
        values = [found.values[first[number]].tolist() for number in range(len(texts))]
        return [_rows(dict(zip(found.labels, row, strict=True))) for row in values]

    return Lane("predict", apply)


def _rows(scores: Any) -> list[dict[str, Any]]:
    ordered = sorted(scores.items(), key=lambda pair: -pair[1])
    return [{"score": float(score), "label": label} for label, score in ordered]
