"""Which passages have a word or a phrase, how often, and how long each is: what BM25 is computed from.

The full text is an FTS5 table. Its vocabulary (`fts5vocab`) gives every place of a word in one pass, which is several
times as fast as FTS5's own ranking, and lets a ranking count the passages of other shards too.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp_search.store.tokens import tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jnlp.types import IntArray
    from jnlp_search.store.catalog import Catalog

MOST_BYTES = 1 << 27
"""Postings kept in memory, by index."""

_MOST_TERMS = 10_000
_LISTED = 4  # once the lengths of a fourth of the passages were asked for, all are read, which costs half as much
_SHIFT = 24  # bits of a place in a passage
_PLACE = (1 << _SHIFT) - 1
_TERMS, _PLACES = "temp.terms", "temp.places"
_KEYS = f"SELECT group_concat(doc << {_SHIFT} | offset) FROM {_PLACES} WHERE "
_LENGTHS = "SELECT group_concat(id), group_concat(hex(sz), '') FROM fulltext_docsize"


@dataclass(frozen=True, slots=True)
class Posting:
    """The passages that have a word or a phrase.

    Args:
        chunks: int64 `[n]`, ascending.
        counts: How often it is in each, int64 `[n]`.
        places: `chunk << 24 | position` of each occurrence, int64 `[m]`, ascending.
    """

    chunks: IntArray
    counts: IntArray
    places: IntArray

    @property
    def nbytes(self) -> int:
        """Its size in memory."""
        return self.chunks.nbytes + self.counts.nbytes + self.places.nbytes

    def within(self, chunks: IntArray, /) -> Iterator[tuple[int, list[int]]]:
        """Yield those of some passages that have it, with its places in each.

        Args:
            chunks: int64 `[n]`.
        """
        import numpy as np

        at = np.minimum(self.chunks.searchsorted(chunks), len(self.chunks) - 1)
        here = self.chunks[at] == chunks if len(self.chunks) else np.zeros(len(chunks), np.bool_)
        found = chunks[here]
        starts, counts = self.places.searchsorted(found << _SHIFT), self.counts[at[here]]
        for chunk, start, count in zip(found.tolist(), starts.tolist(), counts.tolist(), strict=True):
            yield chunk, (self.places[start : start + count] & _PLACE).tolist()


class Postings:
    """The words of one connection's full text; those of the last commit are kept in memory, the last used first.

    Args:
        catalog: An open catalogue.
        most: Bytes to keep.
    """

    def __init__(self, catalog: Catalog, /, *, most: int = MOST_BYTES) -> None:
        self._db, self._most = catalog.db, most
        self._version: int | None = None
        self._held: dict[str, int] = {}
        self._known: OrderedDict[tuple[str, bool], Posting] = OrderedDict()
        self._bytes = 0
        self._size = 0, 0
        self._lengths: IntArray | None = None
        self._listed = 0  # passages whose lengths were asked for one by one
        self._db.execute("PRAGMA temp_store = MEMORY")
        self._db.execute(f"CREATE VIRTUAL TABLE {_TERMS} USING fts5vocab(main, fulltext, row)")
        self._db.execute(f"CREATE VIRTUAL TABLE {_PLACES} USING fts5vocab(main, fulltext, instance)")

    def sync(self, version: int, /) -> None:
        """Forget what was kept of another snapshot than the one with this number."""
        if version == self._version:
            return
        self._held.clear()
        self._known.clear()
        self._bytes, self._lengths, self._listed = 0, None, 0
        self._size = self._read_size()
        self._version = version

    @property
    def size(self) -> tuple[int, int]:
        """The number of passages, and of the words in them."""
        return self._size

    def held(self, words: Iterable[str], /) -> dict[str, int]:
        """Return for each index word the number of passages that have it."""
        if len(self._held) > _MOST_TERMS:
            self._held.clear()
        wanted = list(words)
        for word in wanted:
            if word in self._held:
                continue
            if (known := self._known.get((word, False))) is not None and tokens(word) == (word,):
                self._held[word] = len(known.chunks)
            else:
                row = self._db.execute(f"SELECT doc FROM {_TERMS} WHERE term = ?", (word,)).fetchone()
                self._held[word] = int(row[0]) if row else 0
        return {word: self._held[word] for word in wanted}

    def find(self, phrase: str, /, *, begins: bool = False) -> Posting:
        """Return the passages that have a phrase: words in a row, with spaces between them.

        Args:
            phrase: One word or several.
            begins: Words that begin with it count too.
        """
        key = phrase, begins
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return known
        made = _posting(self._places(phrase, begins=begins))
        self._known[key] = made
        self._bytes += made.nbytes
        while self._bytes > self._most and len(self._known) > 1:
            self._bytes -= self._known.popitem(last=False)[1].nbytes
        return made

    def lengths(self, chunks: IntArray, /) -> IntArray:
        """Return the number of words of passages; those that were asked for are kept.

        Args:
            chunks: int64 `[n]`, ascending.
        """
        import numpy as np

        last = int(chunks[-1]) if len(chunks) else 0
        known = self._lengths
        if known is None or len(known) <= last:
            row = self._db.execute("SELECT max(id) FROM fulltext_docsize").fetchone()
            known = np.zeros(max(last, int(row[0] or 0)) + 1, np.int32)  # 0 is not known yet
            self._lengths = known
        found: IntArray = known[chunks].astype(np.int64)
        missing = chunks[found == 0]
        if len(missing):
            self._read_lengths(missing, known)
            found = known[chunks].astype(np.int64)
        return found

    def _places(self, phrase: str, *, begins: bool) -> IntArray:
        """Return the places of a phrase, ascending."""
        import numpy as np

        words = [token for word in phrase.split(" ") for token in tokens(word)]
        if not words:
            return np.empty(0, np.int64)
        if len(words) == 1:
            return self._read_places(words[0], begins=begins)
        found: IntArray | None = None
        for number, word in enumerate(words):
            last = begins and number == len(words) - 1
            places = (self._read_places(word, begins=True) if last else self.find(word).places) - number
            found = places if found is None else _common(found, places)
        assert found is not None
        return found

    def _read_places(self, word: str, *, begins: bool) -> IntArray:
        import numpy as np

        if begins:
            row = self._db.execute(_KEYS + "term >= ? AND term <= ?", (word, word + "\U0010ffff")).fetchone()
        else:
            row = self._db.execute(_KEYS + "term = ?", (word,)).fetchone()
        found = np.fromstring(row[0], np.int64, sep=",") if row[0] else np.empty(0, np.int64)
        return np.sort(found) if begins else found

    def _read_lengths(self, chunks: IntArray, known: IntArray) -> None:
        import numpy as np

        self._listed += len(chunks)
        if _LISTED * self._listed > self._size[0]:
            row = self._db.execute(_LENGTHS).fetchone()
        else:
            listed = f"[{','.join(map(str, chunks.tolist()))}]"
            row = self._db.execute(f"{_LENGTHS} WHERE id IN (SELECT value FROM json_each(?))", (listed,)).fetchone()
        if row[0]:
            known[np.fromstring(row[0], np.int64, sep=",")] = _varints(bytes.fromhex(row[1]))

    def _read_size(self) -> tuple[int, int]:
        """Return FTS5's own totals: the number of rows, and of the words in them."""
        row = self._db.execute("SELECT block FROM fulltext_data WHERE id = 1").fetchone()
        values = _varints(row[0]).tolist() if row and row[0] else []
        return (values[0], values[1]) if len(values) == 2 else (0, 0)


def _posting(places: IntArray) -> Posting:
    import numpy as np

    starts, chunks = changes(places >> _SHIFT)
    counts = np.empty(len(starts), np.int64)
    np.subtract(starts[1:], starts[:-1], out=counts[:-1])
    counts[-1:] = len(places) - starts[-1:]
    return Posting(chunks, counts, places)


def changes(numbers: IntArray, /) -> tuple[IntArray, IntArray]:
    """Return where ascending numbers change, and what to: each number once, after the place of its first.

    Example:
        >>> import numpy as np
        >>> [found.tolist() for found in changes(np.array([3, 3, 5]))]
        [[0, 2], [3, 5]]
    """
    import numpy as np

    new = np.ones(len(numbers), np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    places = new.nonzero()[0]
    return places, numbers[places]


def _common(some: IntArray, others: IntArray) -> IntArray:
    """Return the numbers that are in both of two ascending arrays."""
    import numpy as np

    few, many = (some, others) if len(some) <= len(others) else (others, some)
    if not len(few):
        return few
    at = np.minimum(many.searchsorted(few), len(many) - 1)
    found: IntArray = few[many[at] == few]
    return found


def _varints(data: bytes) -> Any:
    """Return SQLite's variable-length integers, int64: groups of seven bits, all bytes but the last with the eighth."""
    import numpy as np

    values = np.frombuffer(data, np.uint8).astype(np.int64)
    ends = np.flatnonzero(values < 128)
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    found = np.zeros(len(ends), np.int64)
    for place in range(int((ends - starts).max(initial=0)) + 1):
        at = starts + place
        here = at <= ends
        found[here] = found[here] << 7 | values[at[here]] & 127
    return found
