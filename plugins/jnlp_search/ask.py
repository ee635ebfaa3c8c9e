"""A query to hits: candidates of both retrievers, fused, chosen, reranked, and scored."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.types import Explanation, Hit
from jnlp_search.analyse import Query, analyser, highlights, requirements
from jnlp_search.fuse import convex, sort_by_score
from jnlp_search.language import read_query
from jnlp_search.options import GroupBy, Retriever
from jnlp_search.scores import LOOKED_AT, Evidence, coverage, scores_of, share_right
from jnlp_search.store.selection import Narrowing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import FloatArray, SearchScores
    from jnlp_search.analyse import Analyser
    from jnlp_search.language import Wording
    from jnlp_search.options import SearchOptions
    from jnlp_search.search import Reader
    from jnlp_search.store.entries import Passage
    from jnlp_search.store.schema import Manifest
    from jnlp_search.view import View

CANDIDATES = 100
"""Chunks that each retriever gives at least; more where too few passages are left of them."""

MOST = 6_400
"""A retriever is asked for no more than about so many: one long document that fills an index is not read to its end."""

Key = tuple[int, int]
"""A chunk: the number of its index among those searched, and its number there."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query as the indexes are asked it, each by its own analyser.

    Args:
        words: The analysers.
        queries: The words to look for.
        vector: float32 `[d]`; None for full text alone.
        scores: What was measured for the model.
        options: How to search.
    """

    words: tuple[Analyser, ...]
    queries: tuple[Query, ...]
    vector: FloatArray | None
    scores: SearchScores
    options: SearchOptions

    @property
    def dense_weight(self) -> float:
        chosen = self.options.dense_weight
        return self.scores.dense_weight if chosen is None else chosen


@dataclass(frozen=True, slots=True)
class _Candidates:
    """What both retrievers found, by chunk: BM25, cosines, those the vectors found themselves, and the fusion."""

    lexical: dict[Key, float]
    dense: dict[Key, float]
    nearest: tuple[Key, ...]
    fused: dict[Key, float]


@dataclass(frozen=True, slots=True)
class _Pick:
    """A candidate that was chosen, with its bare hit."""

    key: Key
    document: tuple[int, int]
    hit: Hit


def search(readers: Sequence[Reader], query: str, options: SearchOptions, /) -> list[Hit]:
    """Return the best passages of one or more indexes, best first.

    Args:
        readers: The indexes; those that are asked for vectors have one model.
        query: Words or a question; see `language.read_query`.
        options: How to search.

    Raises:
        UsageError: The query is empty or no text, or `where` is no condition.
        JnlpError: The model at hand is not the one that an index was made with, or an index is damaged.
    """
    wording = read_query(query)
    while True:
        manifests = [reader.manifest() for reader in readers]
        asked = _ask(readers, manifests, wording, options)
        with ExitStack() as stack:
            views = _views(stack, readers, manifests, asked, wording)
            if views is None:
                continue  # one was rebuilt since the query was embedded
            candidates, picks = _pick(views, asked)
            weights = [view.weights(own) for view, own in zip(views, asked.queries, strict=True)]
        return _finish(picks, candidates, asked, weights)


def _ask(readers: Sequence[Reader], manifests: Sequence[Manifest], wording: Wording, options: SearchOptions) -> _Asked:
    words = tuple(analyser(manifest.analyser) for manifest in manifests)
    vector, scores = None, None
    if options.retriever is not Retriever.LEXICAL:
        for reader, manifest in zip(readers, manifests, strict=True):
            if manifest.fingerprint != manifests[0].fingerprint:
                raise JnlpError(
                    f"{reader.folder} was made with model {manifest.model}, "
                    f"and {readers[0].folder} with {manifests[0].model}",
                    hint="search them one by one, or with --retriever lexical",
                )
        vector, scores = readers[0].vector(manifests[0], wording.text)
    return _Asked(words, tuple(own.query(wording.text) for own in words), vector, scores_of(scores), options)


def _views(
    stack: ExitStack, readers: Sequence[Reader], manifests: Sequence[Manifest], asked: _Asked, wording: Wording
) -> list[View] | None:
    """Hold a commit of each index, in an order in which two searches never wait for each other."""
    views: list[View | None] = [None] * len(readers)
    for number in sorted(range(len(readers)), key=lambda number: id(readers[number])):
        required, excluded = requirements(asked.words[number], wording.phrases, wording.excluded)
        narrowing = Narrowing(asked.options.where, required, excluded)
        views[number] = stack.enter_context(readers[number].view(manifests[number], narrowing))
    found = [view for view in views if view is not None]
    return found if len(found) == len(readers) else None


def _pick(views: Sequence[View], asked: _Asked) -> tuple[_Candidates, list[_Pick]]:
    """Ask for candidates, more of them while too few are left when doubles and crowding documents are out."""
    options = asked.options
    wanted = options.offset + options.top
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
    return candidates, [_Pick(key, (key[0], passages[key].document), hits[key]) for key in chosen]


def _collect(views: Sequence[View], asked: _Asked, limit: int) -> _Candidates:
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
    return _Candidates(lexical, dense, tuple(key for key, _ in sort_by_score(nearest)), convex(lexical, dense, weight))


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


def _finish(
    picks: list[_Pick], candidates: _Candidates, asked: _Asked, weights: Sequence[dict[str, float]]
) -> list[Hit]:
    """Score, rank and explain what was chosen."""
    options = asked.options
    evidence = _evidence(picks, candidates, asked, weights)
    scores = {
        pick.key: share_right(options.retriever, asked.scores, candidates.fused[pick.key], evidence) for pick in picks
    }
    places = {key: rank for rank, (key, _) in enumerate(sort_by_score(candidates.lexical), 1)}
    near = {key: rank for rank, key in enumerate(candidates.nearest, 1)}
    hits: list[Hit] = []
    for rank, pick in _arranged(picks, options):
        if scores[pick.key] < options.min_score:
            continue
        number = pick.key[0]
        explanation = Explanation(
            candidates.lexical.get(pick.key),
            places.get(pick.key),
            candidates.dense.get(pick.key),
            near.get(pick.key),
            candidates.fused[pick.key],
            evidence.coverage,
        )
        hits.append(
            replace(
                pick.hit,
                rank=rank,
                score=scores[pick.key],
                highlights=highlights(asked.words[number], asked.queries[number], pick.hit.text),
                explain=explanation if options.explain else None,
            )
        )
    return hits


def _evidence(
    picks: Sequence[_Pick], candidates: _Candidates, asked: _Asked, weights: Sequence[dict[str, float]]
) -> Evidence:
    """Return how well the first passages fit the query."""
    covered = 0.0
    for pick in picks[:LOOKED_AT]:
        number = pick.key[0]
        words = {word.form for word in asked.words[number].words(pick.hit.text)}
        covered = max(covered, coverage(weights[number], [words]))
    return Evidence(covered, max(candidates.dense.values(), default=0.0), len(asked.queries[0].forms))


def _arranged(picks: Sequence[_Pick], options: SearchOptions) -> list[tuple[int, _Pick]]:
    """Return the picks that are asked for with their ranks; grouped by document, a rank is a document's."""
    first, last = options.offset, options.offset + options.top
    if options.group_by is None:
        return list(enumerate(picks[first:last], first + 1))
    groups: dict[tuple[int, int], list[_Pick]] = {}
    for pick in picks:
        groups.setdefault(pick.document, []).append(pick)
    shown = list(groups.values())[first:last]
    return [(rank, pick) for rank, group in enumerate(shown, first + 1) for pick in group]
