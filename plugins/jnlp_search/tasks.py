"""The tasks `search` and `rerank` as values, and their results."""

from __future__ import annotations

from dataclasses import dataclass

from jnlp.types import Hit, TaskSpec
from jnlp_search.options import RerankOptions, SearchTaskOptions


@dataclass(frozen=True, slots=True)
class Hits:
    """The passages found for a query, best first."""

    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Relevance:
    """How probable it is that a passage answers its query, from 0 to 1."""

    score: float


SEARCH: TaskSpec[SearchTaskOptions, Hits] = TaskSpec(
    "search",
    "Search an index: passages with offsets and highlights.",
    SearchTaskOptions,
    make="jnlp_search.run_tasks:make_search",
    result=Hits,
    explode="hits",
    command="jnlp_search.cli.search:search",
)

RERANK: TaskSpec[RerankOptions, Relevance] = TaskSpec(
    "rerank",
    "Score pairs of a query and a passage by a cross-encoder.",
    RerankOptions,
    make="jnlp_search.run_tasks:make_rerank",
    result=Relevance,
    pairs=True,
)
