"""Finds the best sentence of each hit, by words and by vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jnlp_search.fuse import with_what_follows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jnlp.types import FloatArray, Hit
    from jnlp_search.analyse import Analyser
    from jnlp_search.query.candidates import Question

MOST = 32
"""Maximum sentences of a hit to embed."""


def with_evidence(
    hits: Sequence[Hit],
    analysers: Sequence[Analyser],
    weights: Sequence[Mapping[str, float]],
    question: Question,
    embed: Callable[[Sequence[str]], FloatArray],
    /,
) -> list[Hit]:
    """Return hits with `evidence`, the offsets in their text of the best sentence; see `with_what_follows`.

    A sentence is scored like a passage: by the weight of the query's words in it, and by its cosine, each relative to
    the best sentence of the hit. The cosine has the model's weight.

    Args:
        hits: The hits.
        analysers: The analyser of each hit's index.
        weights: The weights of the query's words in that index.
        question: The query's vector, or None to use only words; and the weight of the cosine.
        embed: Returns unit vectors of sentences, float32 `[n, d]`; called once with all sentences of all hits.
    """
    spans = [_sentences(hit.text)[:MOST] for hit in hits]
    texts = [hit.text[start:end] for hit, own in zip(hits, spans, strict=True) for start, end in own]
    cosines = [0.0] * len(texts)
    share = 0.0
    if question.vector is not None and texts:
        cosines, share = (embed(texts) @ question.vector).tolist(), question.dense_weight
    made: list[Hit] = []
    done = 0
    for hit, own, words, weighing in zip(hits, spans, analysers, weights, strict=True):
        parts = slice(done, done + len(own))
        done += len(own)
        covered = [_weight(text, words, weighing) for text in texts[parts]]
        judged = [
            share * near + (1 - share) * held
            for near, held in zip(_relative(cosines[parts]), _relative(covered, low=0.0), strict=True)
        ]
        best = with_what_follows(hit.text, own, judged.index(max(judged))) if own else None
        made.append(replace(hit, evidence=best))
    return made


def _sentences(text: str) -> list[tuple[int, int]]:
    """Return the spans of the sentences of a passage without outer white space."""
    from jnlp.text.sentences import sentences

    found = []
    for start, end in sentences(text):
        if bare := text[start:end].strip():
            begin = text.index(bare[0], start)
            found.append((begin, begin + len(bare)))
    return found


def _weight(text: str, words: Analyser, weights: Mapping[str, float]) -> float:
    return sum(weights.get(form, 0.0) for form in {word.form for word in words.words(text, weights)})


def _relative(values: Sequence[float], *, low: float | None = None) -> list[float]:
    """Scale values between their minimum, or `low`, and their maximum."""
    low = min(values, default=0.0) if low is None else low
    width = max(values, default=0.0) - low
    return [(value - low) / width if width > 0 else 0.0 for value in values]
