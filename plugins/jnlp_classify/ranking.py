"""Ranks the scores of a text into its result, for both ways to classify."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp_classify.spec import Classified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import FloatArray


_ENTAILMENT = ("entailment", "entails", "含意")


def entailment_label(labels: Sequence[str], /) -> int | None:
    """Return the place of the label for entailment, or None if a model does not judge it."""
    found = [index for index, label in enumerate(labels) if label.lower() in _ENTAILMENT]
    return found[0] if found and len(labels) > 1 else None


def rank_labels(labels: Sequence[str], scores: FloatArray, top: int, floor: float | None = None, /) -> Classified:
    """Return the result of one text from its scores `[k]`.

    Args:
        labels: The k labels.
        scores: One for each label.
        top: How many to keep; 0 for all.
        floor: Labels below it are left out of the scores, though the best is named all the same; None keeps all.
    """
    ranked = sorted(zip(labels, scores.tolist(), strict=True), key=lambda pair: -pair[1])
    kept = [pair for pair in ranked if floor is None or pair[1] >= floor]
    return Classified(*ranked[0], dict(kept[:top] if top else kept))
