"""Searches one or more indexes for a query, then scores, reranks and explains the hits."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.types import Explanation
from jnlp_search.analyse import analyser, highlights, requirements
from jnlp_search.fuse import best_sentence, shares, sort_by_score
from jnlp_search.options import Retriever
from jnlp_search.query.candidates import Question, analysed_forms, first_limit, pick
from jnlp_search.query.evidence import with_evidence
from jnlp_search.query.joining import headings_at
from jnlp_search.query.language import read_query
from jnlp_search.query.scores import LOOKED_AT, Evidence, coverage, scores_of, share_right
from jnlp_search.roots import escape_path
from jnlp_search.store.selection import Narrowing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jnlp.types import FloatArray, Hit, SearchScores
    from jnlp_search.analyse import Analyser
    from jnlp_search.options import SearchOptions
    from jnlp_search.query.candidates import Candidates, Key, Pick
    from jnlp_search.query.language import Wording
    from jnlp_search.query.relevance import Reranker
    from jnlp_search.query.view import View
    from jnlp_search.search import Reader
    from jnlp_search.store.schema import Manifest

TOGETHER = 16
"""Queries that are answered from one snapshot, and for which FAISS is asked at once. From 20 on, it would compute
cosines by a product of matrices, which rounds in another way than for one query."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query prepared for the indexes, with the analyser of each.

    Args:
        wording: The parsed query of the user.
        words: The analysers.
        question: The query for the retrievers.
        scores: The model's measured scores.
    """

    wording: Wording
    words: tuple[Analyser, ...]
    question: Question
    scores: SearchScores


@dataclass(frozen=True, slots=True)
class _Found:
    """The results: all candidates, the chosen ones, the weights of the query's words in each index, and the size.

    The size is the number of passages that were searched.
    """

    candidates: Candidates
    picks: list[Pick]
    weights: tuple[dict[str, float], ...]
    passages: int


def search(readers: Sequence[Reader], query: str, options: SearchOptions, /) -> list[Hit]:
    """Return the best passages of one or more indexes, best first; see `search_many`."""
    return search_many(readers, [query], options)[0]


def search_many(readers: Sequence[Reader], queries: Sequence[str], options: SearchOptions, /) -> list[list[Hit]]:
    """Return the best passages for each query, best first; the queries are embedded together.

    Args:
        readers: The indexes; for a search by vectors, all have the same model.
        queries: Words or questions; see `language.read_query`.
        options: How to search.

    Raises:
        UsageError: A query is empty or not text, or `where` is not a condition.
        JnlpError: The model is not the one that an index was made with, or an index is damaged.
    """
    wordings = [read_query(query) for query in queries]
    found: list[list[Hit]] = []
    while len(found) < len(wordings):
        manifests = [reader.manifest() for reader in readers]
        left = wordings[len(found) :]
        vectors, measured = _vectors(readers, manifests, left, options)
        asked = [_ask(manifests, *one, measured, options) for one in zip(left, vectors, strict=True)]
        for alike in _alike(asked):
            hits = _search(readers, manifests, alike)
            if hits is None:
                break  # one was rebuilt since the queries were embedded
            found += hits
    return found


def _alike(asked: Sequence[_Asked]) -> Iterator[list[_Asked]]:
    """Yield queries that follow each other and search among the same passages, a limited number together."""
    for _, group in groupby(asked, key=lambda one: (one.wording.phrases, one.wording.excluded)):
        while some := list(islice(group, TOGETHER)):
            yield some


def _search(
    readers: Sequence[Reader], manifests: Sequence[Manifest], asked: Sequence[_Asked]
) -> list[list[Hit]] | None:
    """Return the hits for queries that search among the same passages; None if the manifests have changed."""
    import numpy as np

    results: list[_Found] = []
    with ExitStack() as stack:
        views = _views(stack, readers, manifests, asked[0])
        if views is None:
            return None
        vectors = [one.question.vector for one in asked if one.question.vector is not None]
        for view in views if len(vectors) > 1 else ():
            view.prepare(np.stack(vectors), first_limit(asked[0].question.options))
        passages = sum(view.count for view in views)
        for one in asked:
            candidates, picks = pick(views, one.question)
            weights = tuple(view.weights(own) for view, own in zip(views, one.question.queries, strict=True))
            results.append(_Found(candidates, picks, weights, passages))
    return [_finish(readers, manifests, one, result) for one, result in zip(asked, results, strict=True)]


def _vectors(
    readers: Sequence[Reader], manifests: Sequence[Manifest], wordings: Sequence[Wording], options: SearchOptions
) -> tuple[Sequence[FloatArray] | Sequence[None], SearchScores | None]:
    """Return a vector for each query, None for full text alone, and the model's measured scores."""
    if options.retriever is Retriever.LEXICAL:
        return [None] * len(wordings), None
    for reader, manifest in zip(readers, manifests, strict=True):
        if manifest.fingerprint != manifests[0].fingerprint:
            raise JnlpError(
                f"{reader.folder} was made with model {manifest.model}, "
                f"and {readers[0].folder} with {manifests[0].model}",
                hint="search them one by one, or with --retriever lexical",
            )
    vectors, measured = readers[0].query_vectors(manifests[0], [wording.text for wording in wordings])
    return list(vectors), measured


def _ask(
    manifests: Sequence[Manifest],
    wording: Wording,
    vector: FloatArray | None,
    measured: SearchScores | None,
    options: SearchOptions,
) -> _Asked:
    words = tuple(analyser(manifest.analyser) for manifest in manifests)
    scores = scores_of(measured)
    share = scores.dense_weight if options.dense_weight is None else options.dense_weight
    queries = tuple(own.query(wording.text) for own in words)
    names = tuple(own.name for own in words)
    listed = tuple(
        own.name == "sudachi"  # a bigram query also looks for parts of index words
        and own.version == manifest.analyser_version
        and options.retriever is not Retriever.DENSE  # which reads no postings
        for own, manifest in zip(words, manifests, strict=True)
    )
    return _Asked(wording, words, Question(queries, vector, share, options, names, listed), scores)


def _views(
    stack: ExitStack, readers: Sequence[Reader], manifests: Sequence[Manifest], asked: _Asked
) -> list[View] | None:
    """Open a snapshot of each index, in an order that prevents deadlocks between searches."""
    views: list[View | None] = [None] * len(readers)
    for number in sorted(range(len(readers)), key=lambda number: id(readers[number])):
        wording = asked.wording
        required, excluded = requirements(asked.words[number], wording.phrases, wording.excluded)
        narrowing = Narrowing(asked.question.options.where, required, excluded)
        views[number] = stack.enter_context(readers[number].view(manifests[number], narrowing))
    found = [view for view in views if view is not None]
    return found if len(found) == len(readers) else None


def _finish(readers: Sequence[Reader], manifests: Sequence[Manifest], asked: _Asked, found: _Found) -> list[Hit]:
    """Rerank, score, rank and explain the chosen hits."""
    options = asked.question.options
    picks, evidence = found.picks, _evidence(asked, found)
    fused = found.candidates.fused
    best = max(fused.values(), default=0.0) or 1.0
    scores = {
        item.key: share_right(options.retriever, asked.scores, fused[item.key] / best, evidence) for item in picks
    }
    reranked: dict[Key, float] = {}
    if options.rerank is not None and picks:
        reranked, scores = _rerank(readers[0].reranker(options.rerank), asked, found)
        picks = sorted(picks, key=lambda item: -scores[item.key])
    shown = [(rank, item) for rank, item in _arrange(picks, options) if scores[item.key] >= options.min_score]
    explain = _Explain(found.candidates, evidence.coverage, reranked) if options.explain else None
    hits = [
        replace(
            item.hit,
            rank=rank,
            score=scores[item.key],
            highlights=_highlights(asked, item),
            explain=explain(item.key) if explain else None,
            index=escape_path(str(readers[item.key[0]].folder)) if len(readers) > 1 else None,
        )
        for rank, item in shown
    ]
    if options.evidence:
        hits = _find_evidence(readers, manifests, asked, found, hits, [item.key[0] for _, item in shown])
    return [_at_best_sentence(hit, item) for hit, (_, item) in zip(hits, shown, strict=True)]


def _rerank(reranker: Reranker, asked: _Asked, found: _Found) -> tuple[dict[Key, float], dict[Key, float]]:
    """Return what a reranker says of each pick, and its score, which may mix that with its BM25 and its cosine."""
    keys = [item.key for item in found.picks]
    said = reranker.relevance([(asked.wording.text, item.hit.text) for item in found.picks])
    words, near = shares(found.candidates.lexical, found.candidates.dense)
    own = [(words[key], near[key]) for key in keys]
    mixed = reranker.mixed(said, own, asked.question.options.retriever)
    return dict(zip(keys, said, strict=True)), dict(zip(keys, mixed, strict=True))


def _highlights(asked: _Asked, item: Pick) -> tuple[tuple[int, int], ...]:
    """Return the offsets of the query's words; a passage is analysed only where the index does not tell."""
    spans = None if item.marks is None else item.marks.spans
    if spans is not None:
        return spans
    return highlights(asked.words[item.key[0]], asked.question.queries[item.key[0]], item.hit.text)


def _at_best_sentence(hit: Hit, item: Pick) -> Hit:
    """Return a hit with the headings above its best sentence, and the line of the file where that begins."""
    from jnlp.io.reading.units import breaks

    has_lines = hit.document == hit.path and len(hit.text) == hit.end - hit.start and breaks(hit.text, 0, len(hit.text))
    if not item.within and not has_lines:
        return hit
    at = (hit.evidence or best_sentence(hit.text, hit.highlights))[0]
    path = headings_at(item.within, hit.text, at)
    line = hit.line + breaks(hit.text, 0, at) if has_lines and hit.line is not None else hit.line
    return replace(hit, headings=hit.headings if path is None else path, line=line)


def _find_evidence(
    readers: Sequence[Reader],
    manifests: Sequence[Manifest],
    asked: _Asked,
    found: _Found,
    hits: Sequence[Hit],
    owners: Sequence[int],
) -> list[Hit]:
    return with_evidence(
        hits,
        [asked.words[number] for number in owners],
        [found.weights[number] for number in owners],
        asked.question,
        lambda texts: readers[0].vectors(manifests[0], texts),
    )


class _Explain:
    """Explains the rank of a hit."""

    def __init__(self, candidates: Candidates, covered: float, reranked: Mapping[Key, float]) -> None:
        self._candidates, self._covered, self._reranked = candidates, covered, reranked
        self._word_shares, self._near_shares = shares(candidates.lexical, candidates.dense)
        self._best = max(candidates.fused.values(), default=0.0) or 1.0
        self._words = {key: rank for rank, (key, _) in enumerate(sort_by_score(candidates.lexical), 1)}
        self._near = {key: rank for rank, (key, _) in enumerate(sort_by_score(candidates.nearest), 1)}

    def __call__(self, key: Key) -> Explanation:
        return Explanation(
            bm25=self._candidates.lexical.get(key),
            bm25_rank=self._words.get(key),
            cosine=self._candidates.dense.get(key),
            cosine_rank=self._near.get(key),
            fused=self._candidates.fused[key],
            coverage=self._covered,
            reranked=self._reranked.get(key),
            bm25_share=self._word_shares[key],
            cosine_share=self._near_shares[key],
            dense_weight=self._candidates.dense_weight,
            relative=self._candidates.fused[key] / self._best,
        )


def _evidence(asked: _Asked, found: _Found) -> Evidence:
    """Return how well the first passages fit the query."""
    covered = 0.0
    for item in found.picks[:LOOKED_AT]:
        number = item.key[0]
        words = item.marks.forms if item.marks else analysed_forms(asked.question, number, item.hit.text)
        covered = max(covered, coverage(found.weights[number], [words]))
    cosine = max(found.candidates.dense.values(), default=0.0)
    return Evidence(covered, cosine, len(asked.question.queries[0].forms), found.passages)


def _arrange(picks: Sequence[Pick], options: SearchOptions) -> list[tuple[int, Pick]]:
    """Return the requested picks with their ranks; if grouped by document, ranks count documents."""
    first, last = options.offset, options.offset + options.top
    if options.group_by is None:
        return list(enumerate(picks[first:last], first + 1))
    groups: dict[tuple[int, int], list[Pick]] = {}
    for item in picks:
        groups.setdefault(item.document, []).append(item)
    shown = list(groups.values())[first:last]
    return [(rank, item) for rank, group in enumerate(shown, first + 1) for item in group]
