"""Chooses the texts that are most worth labelling: those the model is least sure of, and that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp.encoder.ngrams import count as count_ngrams
from jnlp.encoder.windows import mean_logits, probabilities
from jnlp.errors import JnlpError
from jnlp.types import ProblemType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Classifier, FloatArray, Record

CANDIDATES = 10
"""Of the least sure texts, so many times as many as are wished are compared with one another."""
_BATCH = 256
_WIDTH = 512


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A text worth labelling.

    Args:
        record: The text.
        label: The model's guess.
        probability: Its probability.
        doubt: From 0 (sure) to 1 (all labels are equally likely).
    """

    record: Record
    label: str
    probability: float
    doubt: float


def suggest(classifier: Classifier, records: Sequence[Record], count: int, /) -> list[Suggestion]:
    """Return the texts most worth labelling, the first one first.

    A text's worth is the model's doubt times its distance from the texts chosen before (1 - cosine of hashed character
    n-grams), so that many versions of one doubtful text do not fill the list. The doubt is the entropy of the label's
    probabilities as a share of the highest possible (Settles 2009, "Active Learning Literature Survey", section 3.1).

    Raises:
        JnlpError: The model predicts numbers.

    Example:
        >>> nlp = jnlp.load()
        >>> toxicity = nlp.models("tiny-toxicity").classifier(None)
        >>> records = [jnlp.Record(f"r{n}", text) for n, text in enumerate(["明日は晴れです。", "お前は馬鹿だ。"])]
        >>> len(suggest(toxicity, records, 1))
        1
    """
    if classifier.problem_type is ProblemType.REGRESSION:
        raise JnlpError("the model predicts numbers, and has no doubt to go by", hint="name a model with labels")
    probable = np.concatenate(
        [_probable(classifier, records[start : start + _BATCH]) for start in range(0, len(records), _BATCH)]
    )
    doubt = _doubt(probable, classifier.problem_type)
    candidates = np.argsort(-doubt, kind="stable")[: CANDIDATES * count]
    features = np.stack([_hashed(records[row]) for row in candidates])
    nearest = np.zeros(len(candidates))
    chosen: list[int] = []
    for _ in range(min(count, len(candidates))):
        worth = doubt[candidates] * (1 - nearest)
        worth[chosen] = -1.0
        best = int(worth.argmax())
        chosen.append(best)
        nearest = np.maximum(nearest, np.clip(features @ features[best], 0.0, 1.0))
    return [_suggestion(records[row], probable[row], doubt[row], classifier) for row in candidates[chosen]]


def _probable(classifier: Classifier, records: Sequence[Record]) -> FloatArray:
    logits = classifier.logits([record.text for record in records])
    return probabilities(mean_logits(logits), logits.problem_type)


def _doubt(probable: FloatArray, problem: ProblemType) -> FloatArray:
    """Return each row's entropy as a share of the highest; with several labels that of the most doubtful one."""
    if problem is ProblemType.MULTI_LABEL:
        both = np.stack([probable, 1 - probable], axis=-1)
        most: FloatArray = _entropy(both).max(axis=-1)
        return most
    return _entropy(probable)


def _entropy(probable: FloatArray) -> FloatArray:
    p = np.clip(probable.astype(np.float64), 1e-12, 1.0)
    share: FloatArray = (-(p * np.log(p)).sum(axis=-1) / np.log(p.shape[-1])).astype(np.float32)
    return share


def _hashed(record: Record) -> FloatArray:
    codes, times = count_ngrams(record.text)
    made = np.zeros(_WIDTH, dtype=np.float32)
    np.add.at(made, codes % _WIDTH, times)
    length = float(np.linalg.norm(made))
    return made / length if length else made


def _suggestion(record: Record, probable: FloatArray, doubt: float, classifier: Classifier) -> Suggestion:
    best = int(probable.argmax())
    return Suggestion(record, classifier.labels[best], round(float(probable[best]), 4), round(float(doubt), 4))
