"""Measurements of a model as it is, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jnlp.encoder.vectors import unit
from jnlp.encoder.windows import mean_logits, probabilities
from jnlp.errors import JnlpError
from jnlp.training import metrics
from jnlp.training import retrieval as ranking
from jnlp.types import Purpose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jnlp.types import Embedder, Example, Models

    Cosines = NDArray[np.float32]

_SECTIONS = {
    "dokujo-tsushin": "独身女性の生活と恋愛",
    "it-life-hack": "パソコンとITの活用",
    "kaden-channel": "家電",
    "livedoor-homme": "男性の仕事とファッション",
    "movie-enter": "映画",
    "peachy": "女性の美容と流行",
    "smax": "スマートフォン",
    "sports-watch": "スポーツ",
    "topic-news": "話題のニュース",
}


_TOXIC = ("toxic", "有害", "1")


def retrieval(models: Models, examples: Sequence[Example], limit: int | None, /) -> dict[str, float]:
    """Return nDCG@10 and recall@10 of each question's passage among all passages, and of its article, by cosine.

    An article, the group of its examples, ranks as its best passage does.
    """
    embedder = models.embedder(None)
    passages = list(dict.fromkeys(_pair(example)[1] for example in examples))
    place = {passage: number for number, passage in enumerate(passages)}
    asked = examples[:limit]
    cosines = cosines_of(embedder, [_pair(example)[0] for example in asked], passages)[0]
    found = dense_ranks(cosines, [place[_pair(example)[1]] for example in asked])
    articles = _article_scores(cosines, place, examples, asked)
    return {
        "ndcg@10": float(ranking.ndcg_at(found, 10).mean()),
        "recall@10": float((found <= 10).mean()),
        "recall@1": float((found <= 1).mean()),
        **articles,
        "questions": float(len(asked)),
        "passages": float(len(passages)),
    }


def _article_scores(
    cosines: Cosines, place: dict[str, int], examples: Sequence[Example], asked: Sequence[Example]
) -> dict[str, float]:
    if any(example.group is None for example in examples):
        return {}
    names = {name: number for number, name in enumerate(dict.fromkeys(example.group for example in examples))}
    best = np.full((len(asked), len(names)), -np.inf, np.float32)
    for passage, article in {(place[_pair(example)[1]], names[example.group]) for example in examples}:
        np.maximum(best[:, article], cosines[:, passage], out=best[:, article])
    found = dense_ranks(best, [names[example.group] for example in asked])
    return {
        "article_ndcg@10": float(ranking.ndcg_at(found, 10).mean()),
        "article_recall@1": float((found <= 1).mean()),
        "articles": float(len(names)),
    }


def cosines_of(
    embedder: Embedder, questions: Sequence[str], passages: Sequence[str], /, *, widths: Sequence[int] = (0,)
) -> dict[int, Cosines]:
    """Return cosines, float32 `[questions, passages]`, by the number of first dimensions: 0 is all of them."""
    asked, held = _vectors(embedder, questions, Purpose.QUERY), _vectors(embedder, passages, Purpose.DOCUMENT)
    return {width: unit(asked[:, : width or None]) @ unit(held[:, : width or None]).T for width in widths}


def dense_ranks(cosines: Cosines, relevant: Sequence[int], /) -> NDArray[np.int64]:
    """Return the rank of each question's passage by cosine, from 1; ties are counted against it.

    Example:
        >>> dense_ranks(np.array([[0.5, 0.9], [0.2, 0.1]], dtype=np.float32), [0, 0]).tolist()
        [2, 1]
    """
    own = cosines[np.arange(len(cosines)), np.array(relevant)]
    found: NDArray[np.int64] = (cosines >= own[:, None]).sum(axis=1)
    return found


def similarity(models: Models, examples: Sequence[Example], limit: int | None, /) -> dict[str, float]:
    """Return the rank correlation of the cosine of two sentences with people's scores."""
    pairs = [_pair(example) for example in examples[:limit]]
    truth = [float(example.target) for example in examples[:limit] if not isinstance(example.target, tuple)]
    first, second = ([pair[n] for pair in pairs] for n in range(2))
    return {"spearman": correlation(models.embedder(None), first, second, truth), "pairs": float(len(pairs))}


def correlation(embedder: Embedder, first: Sequence[str], second: Sequence[str], truth: Sequence[float], /) -> float:
    """Return Spearman's correlation of the cosines of two lists of sentences with people's scores."""
    one, other = (unit(_vectors(embedder, texts, Purpose.SIMILARITY)) for texts in (first, second))
    return metrics.spearman((one * other).sum(axis=1), np.array(truth))


def toxicity(models: Models, examples: Sequence[Example], limit: int | None, /) -> dict[str, float]:
    """Return how often a toxic text has a higher probability of toxic than one that is not (the area under ROC)."""
    classifier, rows = models.classifier(None), examples[:limit]
    label = next((label for label in _TOXIC if label in classifier.labels), None)
    if label is None:
        raise JnlpError(
            f"none of the model's labels is one of {', '.join(_TOXIC)}: {', '.join(classifier.labels)}",
            hint="evaluate a toxicity classifier, such as tiny-toxicity",
        )
    logits = mean_logits(classifier.logits([example.text for example in rows]))
    scores = probabilities(logits, classifier.problem_type)[:, classifier.labels.index(label)]
    truth = np.array([str(example.target) in _TOXIC for example in rows])
    return {
        "auc": metrics.roc_auc(scores.astype(float), truth),
        "rows": float(len(rows)),
        "toxic": float(truth.sum()),
    }


def zero_shot(models: Models, examples: Sequence[Example], limit: int | None, /) -> dict[str, float]:
    """Return the accuracy of the nearest described label by cosine, and of the commonest label."""
    embedder, rows = models.embedder(None), examples[:limit]
    labels = sorted({str(example.target) for example in examples})
    described = unit(_vectors(embedder, [_SECTIONS.get(label, label) for label in labels], Purpose.TOPIC))
    texts = unit(_vectors(embedder, [str(example.text) for example in rows], Purpose.TOPIC))
    guess = (texts @ described.T).argmax(axis=1)
    truth = np.array([labels.index(str(example.target)) for example in rows])
    matrix = metrics.confusion(truth, guess.astype(np.int64), len(labels))
    return {
        "accuracy": metrics.accuracy(matrix),
        "macro_f1": metrics.macro_f1(matrix),
        "majority": metrics.majority(matrix),
        "rows": float(len(rows)),
    }


def _vectors(embedder: Embedder, texts: Sequence[str], purpose: Purpose) -> Cosines:
    return embedder.embed(texts, purpose=purpose).vectors


def _pair(example: Example) -> tuple[str, str]:
    if isinstance(example.text, str):
        raise JnlpError(f"{example.place} is one text, not two", hint="jnlp evaluate data")
    return example.text
