"""Candidates of both retrievers, fused, and the passages that are chosen of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp_search.fuse import convex, sort_by_score
from jnlp_search.options import GroupBy, Retriever

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import FloatArray, Hit
    from jnlp_search.analyse import Query
    from jnlp_search.options import SearchOptions
    from jnlp_search.query.view import View
    from jnlp_search.store.entries import Passage

CANDIDATES = 100
"""Chunks that each retriever gives at least; more where too few passages are left of them."""

MOST = 6_400
"""A retriever is asked for no more than about so many: one long document that fills an index is not read to its end."""

Key = tuple[int, int]
"""A chunk: the number of its index among those searched, and its number there."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the retrievers are asked.

    Args:
        queries: The words to look for, in each index.
        vector: float32 `[d]`; None for full text alone.
        dense_weight: The share of the cosines in the fusion.
        options: How to search.
    """

    queries: tuple[Query, ...]
    vector: FloatArray | None
    dense_weight: float
    options: SearchOptions


@dataclass(frozen=True, slots=True)
class Candidates:
    """What both retrievers found, by chunk: BM25, cosines, those the vectors found themselves, and the fusion."""

    lexical: dict[Key, float]
    dense: dict[Key, float]
    nearest: tuple[Key, ...]
    fused: dict[Key, float]


@dataclass(frozen=True, slots=True)
class Pick:
    """A candidate that was chosen, with its bare hit."""

    key: Key
    document: tuple[int, int]
    hit: Hit


def pick(views: Sequence[View], asked: Question, /) -> tuple[Candidates, list[Pick]]:
    """Ask for candidates, more of them while too few are left when doubles and crowding documents are out."""
    options = asked.options
    wanted = max(options.offset + options.top, options.rerank_top if options.rerank else 0)
    limit = max(CANDIDATES, 4 * wanted)
    while True:
        candidates = _collect(views, asked, limit)
        order = [key for key, _ in sort_by_score(candidates.fused)]
        passages = _passages(views, order)
        chosen = _chosen(order, passages, options, wanted)
        units = {(key[0], passages[key].document) for key in chosen} if options.group_by else chosen
        if len(units) >= wanted or len(order) < limit or limit >= MOST:
            break
        limit *= 4
    hits: dict[Key, Hit] = {}
    for number, view in enumerate(views):
        own = [passages[key] for key in chosen if key[0] == number]
        made = view.hits(own, sharing=options.group)
        hits |= {(number, passage.chunk): hit for passage, hit in zip(own, made, strict=True)}
    return candidates, [Pick(key, (key[0], passages[key].document), hits[key]) for key in chosen]


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
            near |= view.cosines(asked.vector, [chunk for chunk in words if chunk not in near])
            dense |= {(number, chunk): cosine for chunk, cosine in near.items()}
    weight = 0.0 if asked.vector is None else 1.0 if not lexical else asked.dense_weight
    return Candidates(lexical, dense, tuple(key for key, _ in sort_by_score(nearest)), convex(lexical, dense, weight))


def _passages(views: Sequence[View], order: Sequence[Key]) -> dict[Key, Passage]:
    found: dict[Key, Passage] = {}
    for number, view in enumerate(views):
        own = view.passages([chunk for index, chunk in order if index == number])
        found |= {(number, chunk): passage for chunk, passage in own.items()}
    return found


def _chosen(order: Sequence[Key], passages: dict[Key, Passage], options: SearchOptions, wanted: int) -> list[Key]:
    """Return the first passages: equal ones once where they are grouped, and at most `per_document` of a document."""
    chosen: list[Key] = []
    seen: set[bytes] = set()
    of_document: dict[tuple[int, int], int] = {}
    for key in order:
        passage = passages[key]
        document = (key[0], passage.document)
        count = of_document.get(document, 0)
        if (options.group and passage.same in seen) or (options.per_document and count >= options.per_document):
            continue
        if options.group_by is GroupBy.DOCUMENT and not count and len(of_document) == wanted:
            continue  # passages of the documents that are chosen already may still come
        seen.add(passage.same)
        of_document[document] = count + 1
        chosen.append(key)
        if options.group_by is None and len(chosen) == wanted:
            break
    return chosen
