"""BM25 of an index, whose full text may be in several shards: words are counted in all of them together.

The formula, its constants and its order of operations are those of SQLite FTS5's `bm25()`, so that the scores are too.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp_search.fuse import with_phrases
from jnlp_search.query.rare import narrow
from jnlp_search.store.posting import changes, find_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jnlp.types import IntArray
    from jnlp_search.analyse import Query
    from jnlp_search.store.postings import Postings

K1, B = 1.2, 0.75


@dataclass(frozen=True, slots=True)
class Words:
    """The full text of a shard, or of an index without shards.

    Args:
        postings: Where its words are.
        among: The chunks to rank, int64 ascending; None is all.
    """

    postings: Postings
    among: IntArray | None = None


class Ranking:
    """Ranks the passages of all shards of an index as if they were one.

    Args:
        shards: The full text of each.
    """

    def __init__(self, shards: Sequence[Words], /) -> None:
        self._shards = shards
        sizes = [shard.postings.size for shard in shards]
        self.count = sum(count for count, _ in sizes)
        self._mean = sum(words for _, words in sizes) / max(self.count, 1)

    def held(self, words: Iterable[str], /) -> dict[str, int]:
        """Return for each index word the number of passages that have it."""
        wanted = list(words)
        total: Counter[str] = Counter(dict.fromkeys(wanted, 0))
        for shard in self._shards:
            total.update(shard.postings.held(wanted))
        return dict(total)

    def lexical(
        self, asked: Query, limit: int, /, *, found: Callable[[int, Iterable[int]], None] = lambda *_: None
    ) -> dict[int, float]:
        """Return BM25 by chunk, of the best chunks for the query's words and phrases.

        Args:
            asked: The query.
            limit: How many chunks at most, by words and by phrases.
            found: Called with the number of a shard, and chunks that were found in it.
        """
        for shard in self._shards if not asked.begins else ():
            for word in asked.words:
                shard.postings.find(word)  # it is needed below, and tells how many passages have the word
        chosen, pairs = narrow(asked, {} if asked.begins else self.held(asked.words))
        words = self._rank(asked.words, chosen, limit, found, begins=asked.begins)
        return with_phrases(words, self._rank(pairs, pairs, limit, found))

    def _rank(
        self,
        phrases: Sequence[str],
        chosen: Sequence[str],
        limit: int,
        note: Callable[[int, Iterable[int]], None],
        *,
        begins: bool = False,
    ) -> dict[int, float]:
        """Return BM25 of phrases by chunk, of the best chunks that have a chosen phrase."""
        if not phrases:
            return {}
        held: Counter[str] = Counter()
        for shard in self._shards:
            held.update({phrase: len(shard.postings.find(phrase, begins=begins).chunks) for phrase in phrases})
        weights = {phrase: self._idf(held[phrase]) for phrase in phrases}
        found: list[tuple[float, int]] = []
        for number, shard in enumerate(self._shards):
            best = self._rank_shard(shard, weights, chosen, limit, begins=begins)
            note(number, (chunk for _, chunk in best))
            found += best
        return {chunk: -score for score, chunk in sorted(found)[:limit]}

    def _rank_shard(
        self, shard: Words, weights: Mapping[str, float], chosen: Sequence[str], limit: int, *, begins: bool
    ) -> list[tuple[float, int]]:
        """Return the best chunks of a shard as (-score, chunk); weights are those of the whole index."""
        import numpy as np

        postings = shard.postings
        parts = [postings.find(phrase, begins=begins).chunks for phrase in chosen]
        chunks = _union(parts).astype(np.int64)
        if shard.among is not None:
            chunks = chunks[find_in(chunks, shard.among)[1]]
        if not len(chunks):
            return []
        lengths = postings.lengths(chunks)
        norms = K1 * (1 - B + B * lengths / self._mean)
        scores = np.zeros(len(chunks))
        for phrase, weight in weights.items():
            counts = postings.counts(postings.find(phrase, begins=begins), chunks)
            scores += weight * ((counts * (K1 + 1.0)) / (counts + norms))
        return _best(scores, chunks, limit)

    def _idf(self, held: int) -> float:
        idf = math.log((self.count - held + 0.5) / (held + 0.5))
        return idf if idf > 0 else 1e-6


def _union(parts: Sequence[IntArray]) -> IntArray:
    """Return the numbers of ascending arrays, each once, ascending."""
    import numpy as np

    if len(parts) == 1:
        return parts[0]
    return changes(np.sort(np.concatenate(parts)))[1]


def _best(scores: NDArray[np.float64], chunks: IntArray, limit: int) -> list[tuple[float, int]]:
    """Return the chunks of the highest scores as (-score, chunk), of equal ones those that come first."""
    import numpy as np

    if len(scores) > limit:
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        kept = np.flatnonzero(scores >= least)
        scores, chunks = scores[kept], chunks[kept]
    return sorted(zip((-scores).tolist(), chunks.tolist(), strict=True))[:limit]
