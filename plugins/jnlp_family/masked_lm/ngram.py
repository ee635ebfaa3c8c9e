"""A character n-gram with interpolated modified Kneser-Ney smoothing: the baseline of a language model.

Chen and Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling", section 3; the formulas are
those of KenLM. With c(h w) the count of the n-gram h w (for the lower orders: of the distinct characters seen before
it), c(h) its sum over w, and N1, N2, N3+ how many w follow h once, twice, more often:

    p(w | h) = max(c(h w) - D[c(h w)], 0) / c(h) + (D1 N1 + D2 N2 + D3 N3+) / c(h) * p(w | h without its first)
    Y = n1 / (n1 + 2 n2),  D1 = 1 - 2 Y n2/n1,  D2 = 2 - 3 Y n3/n2,  D3 = 3 - 4 Y n4/n3

n1 to n4 count the n-grams of one order that were seen once to four times. Below order one, the distribution is
uniform. All tables are sorted arrays: an n-gram is a number in base V, where V is the size of the alphabet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Keys = NDArray[np.uint64]
    Ids = NDArray[np.int64]
    Floats = NDArray[np.float64]

ORDER = 5
ALPHABET = 7131
"""The largest V with V^5 < 2^64. Characters that are too rare for the alphabet share one symbol, "unknown"."""

UNKNOWN, END = 0, 1  # END is the line end, which also begins every text
_FALLBACK = (0.5, 1.0, 1.5)  # discounts where the counts of counts give none, as KenLM's --discount_fallback
_CHUNK = 1 << 23  # characters counted at once
_CODES = 0x110000


@dataclass(frozen=True, slots=True)
class _Order:
    """One order: n-grams with their discounted probabilities, and contexts with their back-off weights."""

    grams: Keys
    shares: NDArray[np.float32]
    contexts: Keys
    left: NDArray[np.float32]


class CharacterNGram:
    """A trained n-gram: probabilities of characters given up to `order` - 1 before them."""

    def __init__(self, ids: Ids, orders: Sequence[_Order], characters: int) -> None:
        self._ids, self._orders = ids, orders
        self.size = int(ids.max()) + 1
        self.characters = characters

    @classmethod
    def train(cls, texts: Sequence[str], /, order: int = ORDER, alphabet: int = ALPHABET) -> CharacterNGram:
        """Count texts, each a line or many, and smooth.

        Args:
            texts: Held in memory, as are the distinct n-grams at 12 bytes each.
            order: At most 5.
            alphabet: The most symbols; at most `ALPHABET`.
        """
        ids = _alphabet(texts, alphabet)
        size = int(ids.max()) + 1
        grams, counts = _count_ngrams(texts, ids, order, size)
        orders: list[_Order] = []
        for length in range(order, 0, -1):
            orders.append(_smooth(grams, counts, size))
            if length > 1:
                grams, counts = np.unique(grams % np.uint64(size ** (length - 1)), return_counts=True)
        return cls(ids, orders[::-1], sum(map(len, texts)))

    def probabilities(self, texts: Sequence[str], /) -> list[Floats]:
        """Return float64 `[len(text)]` for each text: the probability of each character given those before it.

        The character before a text is taken to be a line end.
        """
        parts = [_codes("\n" + text) for text in texts]
        found = self._flat(self._ids[np.concatenate(parts)], np.concatenate([np.arange(len(p)) for p in parts]))
        return [part[1:] for part in np.split(found, np.cumsum([len(p) for p in parts])[:-1])]

    def log_probability(self, windows: Sequence[str], starts: Sequence[int], /) -> Floats:
        """Return float64 `[n]`: log p of each window's characters from `starts` on, given those before."""
        lengths = np.array([len(window) for window in windows])
        places = np.concatenate([np.arange(length) for length in lengths])
        found = np.log(self._flat(self._ids[_codes("".join(windows))], places))
        found[places < np.repeat(starts, lengths)] = 0.0
        total: Floats = np.add.reduceat(found, np.cumsum([0, *lengths[:-1]]))
        return total

    def perplexity(self, texts: Sequence[str], /) -> float:
        """Return the perplexity per character."""
        return float(np.exp(-np.mean(np.log(np.concatenate(self.probabilities(texts))))))

    def _flat(self, ids: Ids, places: Ids) -> Floats:
        """Return the probability of each character of a stream, `places` of which lie before it in its own text."""
        history = np.minimum(places, len(self._orders) - 1)
        found = np.empty(len(ids))
        keys = ids.astype(np.uint64)  # in base V, the character itself least
        for back in range(len(self._orders)):
            here = np.flatnonzero(history == back)
            asked, inverse = np.unique(keys[here], return_inverse=True)
            found[here] = self._after(asked, back)[inverse]
            further = np.flatnonzero(history > back)
            keys[further] += ids[further - back - 1].astype(np.uint64) * np.uint64(self.size ** (back + 1))
        return found

    def _after(self, keys: Keys, history: int) -> Floats:
        """Return the probability of the last character of each n-gram of `history` + 1 characters, ascending."""
        found = np.full(len(keys), 1.0 / self.size)
        for length, level in enumerate(self._orders[: history + 1], 1):
            key = keys % np.uint64(self.size**length) if length <= history else keys
            place, there = _lookup(level.contexts, key // np.uint64(self.size))
            at, seen = _lookup(level.grams, key)
            found = np.where(there, np.where(seen, level.shares[at], 0.0) + level.left[place] * found, found)
        return found


def _alphabet(texts: Iterable[str], most: int) -> Ids:
    """Return the symbol of every code point; only the most frequent characters have their own."""
    counts = np.zeros(_CODES, np.int64)
    for text in texts:
        found, times = np.unique(_codes(text), return_counts=True)
        counts[found] += times
    counts[ord("\n")] = 0
    known = np.flatnonzero(counts)
    chosen = known[np.argsort(-counts[known], kind="stable")][: most - 2]
    ids = np.full(_CODES, UNKNOWN, np.int64)
    ids[chosen] = np.arange(len(chosen)) + 2
    ids[ord("\n")] = END
    return ids


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _count_ngrams(texts: Iterable[str], ids: Ids, order: int, size: int) -> tuple[Keys, Ids]:
    """Return the distinct n-grams of a corpus, ascending, and their counts."""
    parts: list[tuple[Keys, Ids]] = []
    for chunk in _chunks(texts):
        stream = ids[_codes(chunk)].astype(np.uint64)
        keys = np.zeros(max(0, len(stream) - order + 1), np.uint64)
        for place in range(order):
            keys = keys * np.uint64(size) + stream[place : place + len(keys)]
        parts.append(np.unique(keys, return_counts=True))
        while len(parts) > 1 and len(parts[-1][0]) * 2 > len(parts[-2][0]):  # merges of equals: n log n in all
            parts.append(_merge(parts.pop(), parts.pop()))
    while len(parts) > 1:
        parts.append(_merge(parts.pop(), parts.pop()))
    return parts[0]


def _merge(one: tuple[Keys, Ids], other: tuple[Keys, Ids]) -> tuple[Keys, Ids]:
    keys = np.concatenate([one[0], other[0]])
    counts = np.concatenate([one[1], other[1]])
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = _starts(keys)
    return keys[starts], np.add.reduceat(counts, starts)


def _chunks(texts: Iterable[str]) -> Iterator[str]:
    """Join texts by line ends to strings of about `_CHUNK` characters."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= _CHUNK:
            yield "\n" + "\n".join(held) + "\n"
            held, size = [], 0
    if held:
        yield "\n" + "\n".join(held) + "\n"


def _smooth(grams: Keys, counts: Ids, size: int) -> _Order:
    contexts = grams // np.uint64(size)
    starts = _starts(contexts)
    kinds = np.minimum(counts, 3)
    discount = np.array([0.0, *_discounts(counts)])[kinds]
    totals = np.add.reduceat(counts, starts).astype(np.float64)
    left = np.add.reduceat(discount, starts) / totals
    lengths = np.diff([*starts, len(grams)])
    shares = (counts - discount) / np.repeat(totals, lengths)
    return _Order(grams, shares.astype(np.float32), contexts[starts], left.astype(np.float32))


def _discounts(counts: Ids) -> tuple[float, float, float]:
    """Return D1, D2 and D3+."""
    n1, n2, n3, n4 = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return _FALLBACK
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    if any(not 0 <= value <= times for times, value in enumerate(found, 1)):
        return _FALLBACK
    return found


def _starts(keys: Keys) -> Ids:
    """Return where each run of equal keys begins."""
    return np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))


def _lookup(table: Keys, asked: Keys) -> tuple[Ids, NDArray[np.bool_]]:
    """Return the index of each key in an ascending table, and whether it was found."""
    place = np.minimum(np.searchsorted(table, asked), len(table) - 1)
    return place, table[place] == asked
