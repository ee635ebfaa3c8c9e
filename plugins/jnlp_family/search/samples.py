"""Collections of one to a thousand passages of a retrieval task: how a score is read depends on the index's size."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jnlp.encoder.vectors import unit
from jnlp.types import Purpose
from jnlp_family.search.measure import ranked
from jnlp_pretrain.corpus import fraction
from jnlp_search.analyse import analyser
from jnlp_search.options import ANALYSER
from jnlp_search.query.scores import word_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jnlp.types import Embedder
    from jnlp_family.search.jaquad import Retrieval
    from jnlp_search.analyse import Query

SIZES = (1, 3, 10, 30, 100, 1_000)
"""Passages of a collection. The last is the whole task, whatever its size."""

TAKEN_OUT = 0.4
"""The share of passages whose questions are asked of a collection without the passage."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task with its words and vectors.

    Args:
        task: The task.
        words: The index words of each passage.
        queries: What full text searches for.
        cosines: float32 `[questions, passages]`.
    """

    task: Retrieval
    words: tuple[tuple[str, ...], ...]
    queries: tuple[Query, ...]
    cosines: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a collection.

    Args:
        size: The collection's nominal size, one of `SIZES`.
        passages: Its number of passages.
        question: The number of the question in the task.
        passage: The question's own passage in the task.
        right: The place of that passage in the collection; None if it is not there.
        words: The index words of each passage of the collection, each once.
        weights: The weights of the query's words in it.
        lexical: BM25 by place.
        cosines: float32 `[passages]`; -1 for a passage that was taken out.
    """

    size: int
    passages: int
    question: int
    passage: int
    right: int | None
    words: Sequence[frozenset[str]]
    weights: Mapping[str, float]
    lexical: Mapping[int, float]
    cosines: NDArray[np.float32]


def prepare(task: Retrieval, embedder: Embedder, /) -> Prepared:
    """Analyse and embed a task."""
    words = analyser(ANALYSER)
    held = unit(embedder.embed(task.passages, purpose=Purpose.DOCUMENT).vectors)
    asked = unit(embedder.embed(task.queries, purpose=Purpose.QUERY).vectors)
    return Prepared(
        task,
        tuple(tuple(words.forms(text)) for text in task.passages),
        tuple(map(words.query, task.queries)),
        asked @ held.T,
    )


def choose(prepared: Prepared, questions: Sequence[int], /) -> Prepared:
    """Return a task with some of its questions."""
    task = prepared.task
    queries = tuple(task.queries[number] for number in questions)
    relevant = tuple(task.relevant[number] for number in questions)
    parsed = tuple(prepared.queries[number] for number in questions)
    return Prepared(
        replace(task, queries=queries, relevant=relevant), prepared.words, parsed, prepared.cosines[list(questions)]
    )


def collections(passages: Sequence[str], size: int, /, *, shuffled: bool) -> list[list[int]]:
    """Return the numbers of passages in groups of a size; a rest is left out, and of less than two groups all is one.

    Args:
        passages: The texts.
        size: Passages of a group.
        shuffled: Whether a group has passages from anywhere, not neighbours.

    Example:
        >>> collections(["a", "b", "c", "d", "e"], 2, shuffled=False)
        [[0, 1], [2, 3]]
    """
    order = list(range(len(passages)))
    if shuffled:
        order.sort(key=lambda number: fraction(passages[number], "shuffled"))
    count = len(order) // size
    return [order] if count < 2 else [order[at * size : (at + 1) * size] for at in range(count)]


def samples(prepared: Prepared, size: int, most: int, /, *, answered: bool = False) -> Iterator[Asked]:
    """Yield questions to collections of a size: half of neighbours, which share a subject, half of any passages.

    The questions of the passages that are taken out are asked of the next collection; where all passages are one
    collection, the passage is not among its candidates.

    Args:
        prepared: The task.
        size: Passages of a collection.
        most: The most questions, about.
        answered: Whether every passage stays in its collection.
    """
    absent = 0.0 if answered else TAKEN_OUT
    task = prepared.task
    chosen = sorted(range(len(task.queries)), key=lambda number: fraction(task.queries[number], f"size {size}"))[:most]
    for shuffled in (False, True):
        groups = collections(task.passages, size, shuffled=shuffled)
        group_of = {passage: number for number, group in enumerate(groups) for passage in group}
        asked: dict[int, list[int]] = {}
        for question in chosen[shuffled::2]:
            own = task.relevant[question]
            if own in group_of:
                moved = fraction(task.passages[own], "taken out") < absent
                asked.setdefault((group_of[own] + moved) % len(groups), []).append(question)
        for number, questions in asked.items():
            yield from _ask(prepared, size, groups[number], questions, absent)


def _ask(
    prepared: Prepared, size: int, group: Sequence[int], questions: Sequence[int], absent: float
) -> Iterator[Asked]:
    """Yield questions to one collection."""
    words = [frozenset(prepared.words[passage]) for passage in group]
    counts = Counter(form for forms in words for form in forms)
    queries = [prepared.queries[question] for question in questions]
    found = ranked([prepared.words[passage] for passage in group], queries)
    for question, query, lexical in zip(questions, queries, found, strict=True):
        own = prepared.task.relevant[question]
        place = group.index(own) if own in group else None
        cosines = prepared.cosines[question, group]
        if place is not None and fraction(prepared.task.passages[own], "taken out") < absent:
            lexical = {at: score for at, score in lexical.items() if at != place}
            cosines[place] = -1.0
            place = None
        weights = word_weights(len(group), {form: counts[form] for form in query.forms})
        yield Asked(size, len(group), question, own, place, words, weights, lexical, cosines)
