"""Queries to the full text of a large index: only passages with one of the query's rarer words are ranked.

BM25 costs time for each passage that is ranked, and a common word is in hundreds of thousands. The rarer words decide
the ranking, so they choose the passages, and the common words count in these as everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jnlp_search.analyse import Query

RANKED = 15_000
"""Passages that are ranked, about, if the query has words enough."""


def narrow(query: Query, held: Mapping[str, int], /) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words that choose the passages to rank, and the pairs to rank them by.

    Args:
        query: The query.
        held: The number of passages with each of its words.
    """
    counts = {word: held.get(word, 0) for word in query.words}
    if sum(counts.values()) <= RANKED:
        return query.words, query.pairs
    rare: list[str] = []
    ranked = 0
    for word in sorted(counts, key=lambda word: counts[word]):
        if ranked and ranked + counts[word] > RANKED:
            break
        rare.append(word)
        ranked += counts[word]
    if len(rare) == len(counts):
        return query.words, query.pairs
    return tuple(rare), tuple(pair for pair in query.pairs if any(word in pair.split(" ") for word in rare))
