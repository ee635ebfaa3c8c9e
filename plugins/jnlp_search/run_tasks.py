"""The functions of the tasks `search` and `rerank`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import RecordError, UsageError
from jnlp_search.query.relevance import load_reranker
from jnlp_search.tasks import Hits, Relevance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Apply, Models, Text
    from jnlp_search.options import RerankOptions, SearchTaskOptions


def make_search(models: Models, options: SearchTaskOptions, /) -> Apply[Hits]:
    """Return the function from queries to passages of an index.

    Raises:
        UsageError: No index was given, or it does not exist.
    """
    from jnlp_search.search import open_index

    if options.index is None:
        raise UsageError("the task 'search' needs an index", hint='nlp.run("search", queries, index="my.idx")')
    values = asdict(options)
    index = open_index(Path(values.pop("index")), models)

    def apply(queries: Sequence[Text], /) -> list[Hits]:
        return [Hits(tuple(index.search(_query(query), **values))) for query in queries]

    return apply


def make_rerank(models: Models, _options: RerankOptions, /) -> Apply[Relevance]:
    """Return the function from pairs (query, passage) to the probability that the passage answers the query.

    A long passage gets the score of its best window, or is cut to it if the model was made for that (`rerank.json`).

    Raises:
        JnlpError: The model is not a reranker: it has no classifier, or several labels.
    """
    reranker = load_reranker(models, None)

    def apply(pairs: Sequence[Text], /) -> list[Relevance]:
        asked: list[tuple[str, str]] = []
        for pair in pairs:
            if isinstance(pair, str):
                raise RecordError("a reranker reads pairs of a query and a passage", hint="--text-pair COLUMN")
            asked.append(pair)
        return [Relevance(score) for score in reranker.relevance(asked)]

    return apply


def _query(query: Text) -> str:
    if not isinstance(query, str):
        raise RecordError("a query is one text, not a pair", hint="leave out --text-pair")
    return query
