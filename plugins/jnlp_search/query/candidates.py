"""Fuses the candidates of both retrievers, and selects passages from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jnlp_search.analyse import matched
from jnlp_search.fuse import convex, sort_by_score
from jnlp_search.options import GroupBy, Retriever
from jnlp_search.query.joining import around, join, overlap
from jnlp_search.query.mixing import mix
from jnlp_search.query.scores import LOOKED_AT, coverage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jnlp.types import FloatArray, Hit
    from jnlp_search.analyse import Query
    from jnlp_search.options import SearchOptions
    from jnlp_search.query.view import Marks, View
    from jnlp_search.store.entries import Passage

CANDIDATES = 100
"""Minimum candidates of each retriever; more are requested if too few passages remain."""

MOST = 6_400
"""Maximum candidates of a retriever, roughly, in case one long document fills the index."""

BLOCK = 16
"""Candidates whose passages are read at once."""

Key = tuple[int, int]
"""A chunk: the number of its index, and its number in it."""


@dataclass(frozen=True, slots=True)
class Question:
    """The query for the retrievers.

    Args:
        queries: The words to search for, in each index.
        vector: float32 `[d]`; None for full text alone.
        dense_weight: The weight of the cosines in the fusion.
        options: How to search.
        analysers: The name of the analyser of each index.
        listed: For each index, whether its full text has the words that its analyser finds in a passage today.
    """

    queries: tuple[Query, ...]
    vector: FloatArray | None
    dense_weight: float
    options: SearchOptions
    analysers: tuple[str, ...]
    listed: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """The results of both retrievers by chunk: BM25, cosines, those of the nearest, and the fusion with its weight."""

    lexical: dict[Key, float]
    dense: dict[Key, float]
    nearest: dict[Key, float]
    fused: dict[Key, float]
    dense_weight: float


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen candidate, with its bare hit.

    Args:
        key: Its chunk, of several the first.
        document: Its document.
        hit: The hit.
        marks: The query's words in it; None where the full text does not tell.
        within: The heading paths that begin in its passage.
    """

    key: Key
    document: tuple[int, int]
    hit: Hit
    marks: Marks | None
    within: tuple[tuple[str, ...], ...] = ()


def pick(views: Sequence[View], asked: Question, /) -> tuple[Candidates, list[Pick]]:
    """Request candidates, and more of them while too few remain after grouping and `per_document`."""
    options = asked.options
    wanted, limit = _wanted(options), first_limit(options)
    while True:
        candidates = _collect(views, asked, limit)
        order = [key for key, _ in sort_by_score(candidates.fused)]
        passages = _Passages(views, order)
        chosen, joined = _select(order, passages, options, wanted)
        units = {(key[0], passages[key].document) for key in chosen} if options.group_by else chosen
        if len(units) >= wanted or len(order) < limit or limit >= MOST:
            break
        limit *= 4
    hits: dict[Key, Hit] = {}
    marks: dict[Key, Marks] = {}
    within: dict[Key, tuple[tuple[str, ...], ...]] = {}
    for number, view in enumerate(views):
        own = [key for key in chosen if key[0] == number]
        whole = [join(joined[key]) for key in own]
        hits |= dict(zip(own, view.hits(whole, sharing=options.group), strict=True))
        single = [joined[key][0] for key in own if len(joined[key]) == 1]
        marks |= {(number, chunk): told for chunk, told in _marks(view, asked, number, single).items()}
        for key, passage in zip(own, whole, strict=True):
            within[key] = tuple(map(tuple, passage.read_place().get("within", ())))
        for key, passage in zip(own, whole, strict=True) if options.context else ():
            before, after = around(passage, view.neighbours(passage, options.context), options.context)
            hits[key] = replace(hits[key], before=before, after=after)
    return candidates, [
        Pick(key, (key[0], passages[key].document), hits[key], marks.get(key), within[key]) for key in chosen
    ]


def first_limit(options: SearchOptions, /) -> int:
    """Return how many candidates each retriever is asked for first."""
    return max(CANDIDATES, 4 * _wanted(options))


def _wanted(options: SearchOptions) -> int:
    return max(options.offset + options.top, options.rerank_top if options.rerank else 0)


def _collect(views: Sequence[View], asked: Question, limit: int) -> Candidates:
    lexical: dict[Key, float] = {}
    dense: dict[Key, float] = {}
    nearest: dict[Key, float] = {}
    for number, (view, query) in enumerate(zip(views, asked.queries, strict=True)):
        words: dict[int, float] = {}
        if asked.options.retriever is not Retriever.DENSE:
            words = view.lexical(query, limit)
            lexical |= {(number, chunk): score for chunk, score in words.items()}
        if asked.vector is not None:
            near = view.nearest(asked.vector, limit)
            nearest |= {(number, chunk): cosine for chunk, cosine in near.items()}
            # What only the words found gets its exact cosine too.
            near = near | view.cosines(asked.vector, [chunk for chunk in words if chunk not in near])
            dense |= {(number, chunk): cosine for chunk, cosine in near.items()}
    if asked.vector is not None and lexical and asked.options.dense_weight is None:
        fused, weight = mix(lexical, dense, asked.dense_weight, _covered(views, asked, lexical))
    else:
        weight = 0.0 if asked.vector is None else 1.0 if not lexical else asked.dense_weight
        fused = convex(lexical, dense, weight)
    return Candidates(lexical, dense, nearest, fused, weight)


def _covered(views: Sequence[View], asked: Question, lexical: Mapping[Key, float]) -> float:
    """Return the share of the query's words, by weight, in one of the first passages of full text."""
    first = [key for key, _ in sort_by_score(lexical)[:LOOKED_AT]]
    covered = 0.0
    for number, view in enumerate(views):
        passages = view.passages([chunk for index, chunk in first if index == number])
        told = _marks(view, asked, number, list(passages.values()))
        weights = view.weights(asked.queries[number])
        found = [
            told[chunk].forms if chunk in told else analysed_forms(asked, number, passage.text)
            for chunk, passage in passages.items()
        ]
        covered = max(covered, coverage(weights, found))
    return covered


def analysed_forms(asked: Question, number: int, text: str, /) -> frozenset[str]:
    """Return the query's words in a passage of an index, which is analysed."""
    return frozenset(word.form for word in matched(asked.analysers[number], asked.queries[number].forms, text))


def _marks(view: View, asked: Question, number: int, passages: Sequence[Passage]) -> dict[int, Marks]:
    """Return the query's words in passages of an index by chunk, where the full text tells."""
    return view.marks(asked.queries[number].forms, passages) if asked.listed[number] else {}


class _Passages:
    """The passages of candidates, read in blocks: of hundreds of candidates, the first few are chosen."""

    def __init__(self, views: Sequence[View], order: Sequence[Key]) -> None:
        self._views, self._order = views, order
        self._read: dict[Key, Passage] = {}
        self._next = 0

    def __getitem__(self, key: Key) -> Passage:
        while key not in self._read:
            part = self._order[self._next : self._next + BLOCK]
            self._next += BLOCK
            for number, view in enumerate(self._views):
                own = view.passages([chunk for index, chunk in part if index == number])
                self._read |= {(number, chunk): passage for chunk, passage in own.items()}
        return self._read[key]


def _select(
    order: Sequence[Key], passages: _Passages, options: SearchOptions, wanted: int
) -> tuple[list[Key], dict[Key, list[Passage]]]:
    """Return the first passages, and what is joined to each, itself among it, in the order of the document.

    Equal passages come once where they are grouped; of a document come at most `per_document`.
    """
    chosen: list[Key] = []
    joined: dict[Key, list[Passage]] = {}
    seen: set[tuple[int, bytes]] = set()
    of_document: dict[tuple[int, int], list[Key]] = {}
    for key in order:
        passage = passages[key]
        siblings = of_document.get((key[0], passage.document), [])
        if options.group and (key[0], passage.same) in seen:
            continue
        if options.merge and (meeting := [one for one in siblings if _meets(joined[one], passage)]):
            parts = [part for one in meeting for part in joined.pop(one)]
            joined[meeting[0]] = sorted([*parts, passage], key=lambda part: part.start)
            for lost in meeting[1:]:  # the passage closes the gap between two
                siblings.remove(lost)
                chosen.remove(lost)
            continue
        if options.per_document and len(siblings) >= options.per_document:
            continue
        if options.group_by is GroupBy.DOCUMENT and not siblings and len(of_document) == wanted:
            continue  # passages of the documents that are chosen already may still come
        seen.add((key[0], passage.same))
        of_document.setdefault((key[0], passage.document), []).append(key)
        chosen.append(key)
        joined[key] = [passage]
        if options.group_by is None and len(chosen) == wanted:
            break
    return chosen, joined


def _meets(parts: Sequence[Passage], passage: Passage) -> bool:
    """Return True if a passage overlaps its neighbour among some others."""
    near = [part for part in parts if abs(part.ordinal - passage.ordinal) == 1]
    return any(overlap(*sorted((part, passage), key=lambda one: one.start)) > 0 for part in near)
