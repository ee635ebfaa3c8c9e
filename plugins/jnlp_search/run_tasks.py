"""The functions of the tasks `search` and `rerank`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, MissingHeadError, RecordError, UsageError
from jnlp.types import ProblemType
from jnlp_search.tasks import Hits, Relevance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Apply, Models, Text
    from jnlp_search.options import RerankOptions, SearchTaskOptions


_TRAIN = "jnlp train reranker PAIRS.csv --text … --text-pair … -o DIR"


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

    A long passage gets the score of its best window.

    Raises:
        JnlpError: The model is not a reranker: it has no classifier, or several labels.
    """
    from jnlp.encoder.windows import max_positive

    try:
        classifier = models.classifier(None)
    except MissingHeadError as error:
        hint = f"give --model DIR; {_TRAIN} makes one"
        raise MissingHeadError(f"rerank needs a reranker: {error.message}", hint=hint) from error
    if len(classifier.labels) != 1:
        raise JnlpError(
            f"a reranker has one label, and this model has {len(classifier.labels)}: {', '.join(classifier.labels)}",
            hint=f"{_TRAIN} makes one",
        )

    def apply(pairs: Sequence[Text], /) -> list[Relevance]:
        for pair in pairs:
            if isinstance(pair, str):
                raise RecordError("a reranker reads pairs of a query and a passage", hint="--text-pair COLUMN")
        # One label is a sigmoid, also where config.json says nothing, which would be read as a regression.
        logits = replace(classifier.logits(pairs), problem_type=ProblemType.MULTI_LABEL)
        scores, _ = max_positive(logits)
        return [Relevance(_finite(float(score[0]))) for score in scores]

    return apply


def _query(query: Text) -> str:
    if not isinstance(query, str):
        raise RecordError("a query is one text, not a pair", hint="leave out --text-pair")
    return query


def _finite(score: float) -> float:
    if not 0 <= score <= 1:
        raise RecordError(f"the model's score is {score}: its weights are damaged")
    return score
