"""Scores pairs of a query and a passage by a cross-encoder, and mixes that with what the retrievers found."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, MissingHeadError, RecordError
from jnlp.types import ProblemType
from jnlp_search.options import Retriever

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jnlp.types import Classifier, Models

RERANK = "rerank.json"
"""The file in a reranker's folder that says how much of a passage it reads, and how its logit is mixed."""

SIGNALS = ("logit", "BM25", "cosine", "one")
"""What a mixture weighs: the reranker's logit, the two shares of `fuse.shares`, and 1."""

_TRAIN = "jnlp train reranker PAIRS.csv --text … --text-pair … -o DIR"
_NEAREST = 1e-9  # to 0 and 1, of a probability whose logit is taken


@dataclass(frozen=True, slots=True)
class Reranker:
    """A cross-encoder with what its folder says of it.

    Args:
        classifier: The classifier of pairs.
        tokens: Tokens of a passage that it reads: its best window of that length; 0 is all of them.
        mixtures: The weights of `SIGNALS` by retriever; none where the reranker alone decides.
        folder: Where it was read, if that has a file.
    """

    classifier: Classifier
    tokens: int = 0
    mixtures: Mapping[Retriever, Sequence[float]] | None = None
    folder: Path | None = None

    def relevance(self, pairs: Sequence[tuple[str, str]], /) -> list[float]:
        """Return the probability that a passage answers its query, by pair.

        A passage is cut to the window that the reranker was made for; without one, a long passage gets the best of its
        windows.

        Raises:
            RecordError: A score is not a number.
        """
        from jnlp.encoder.windows import max_positive

        # One label is a sigmoid, also where config.json says nothing, which would be read as a regression.
        logits = replace(self.classifier.logits(self._cut(pairs)), problem_type=ProblemType.MULTI_LABEL)
        scores, _ = max_positive(logits)
        return [_finite(float(score[0])) for score in scores]

    def mixed(
        self, relevance: Sequence[float], shares: Sequence[tuple[float, float]], retriever: Retriever, /
    ) -> list[float]:
        """Return the score of each passage: what `relevance` says, mixed with its shares if the folder says how.

        Args:
            relevance: Of each passage, a probability.
            shares: Of each passage, its BM25 and its cosine scaled over the candidates.
            retriever: What found the passages.
        """
        if self.mixtures is None:
            return list(relevance)
        weights = self.mixtures[retriever]
        rows = [(_logit(said), *own, 1.0) for said, own in zip(relevance, shares, strict=True)]
        return [_sigmoid(sum(weight * value for weight, value in zip(weights, row, strict=True))) for row in rows]

    def _cut(self, pairs: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        tokenizer = getattr(self.classifier, "tokenizer", None)
        if not self.tokens or tokenizer is None or self.folder is None:
            return pairs
        from jnlp_search.query.excerpt import cut, piece_weights

        return cut(pairs, tokenizer, piece_weights(self.folder, tokenizer.digest), self.tokens)


def load_reranker(models: Models, name: str | None, /) -> Reranker:
    """Return a cross-encoder: a classifier of pairs with one label.

    Raises:
        MissingHeadError: The model has no classifier.
        JnlpError: It has several labels, or a file of its folder is damaged.
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
    folder: Path | None = getattr(classifier, "folder", None)
    if folder is None or not (folder / RERANK).is_file():
        return Reranker(classifier)
    return _described(classifier, folder)


def _described(classifier: Classifier, folder: Path) -> Reranker:
    from jnlp.models.schema import read_object

    path = folder / RERANK
    found = read_object(path)
    mixtures = {one: found[one] for one in Retriever if found.get(one) is not None}
    if mixtures and (len(mixtures) < len(Retriever) or any(len(own) != len(SIGNALS) for own in mixtures.values())):
        raise JnlpError(f"{path} is damaged: {', '.join(Retriever)} have {len(SIGNALS)} weights each, or none has any")
    return Reranker(classifier, found.get("tokens") or 0, mixtures or None, folder)


def _finite(score: float) -> float:
    if not 0 <= score <= 1:
        raise RecordError(f"the model's score is {score}: its weights are damaged")
    return score


def _logit(probability: float) -> float:
    near = min(max(probability, _NEAREST), 1 - _NEAREST)
    return math.log(near / (1 - near))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-min(max(logit, -50.0), 50.0)))
