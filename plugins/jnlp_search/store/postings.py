"""Which passages have a word or a phrase, how often, and how long each is: what BM25 is computed from.

The full text is an FTS5 table. Its vocabulary (`fts5vocab`) gives every place of a word in one pass, which is several
times as fast as FTS5's own ranking, and lets a ranking count the passages of other shards too.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from jnlp_search.store.leaves import Leaves, varints
from jnlp_search.store.posting import SHIFT, changes, find_in, posting_of
from jnlp_search.store.tokens import tokens

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from jnlp.types import IntArray
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.posting import Posting

MOST_BYTES = 1 << 27
"""Postings kept in memory, by index."""

LARGE = 20_000
"""Passages from which on the words are read from the full text's pages by the compiled kernels."""

_MOST_TERMS = 10_000
_LISTED = 8  # once the lengths of an eighth of the passages were asked for, all are read: that costs a seventh of each
_TERMS, _PLACES = "temp.terms", "temp.places"
_KEYS = f"SELECT group_concat(doc << {SHIFT} | offset) FROM {_PLACES} WHERE "
_LENGTHS = "SELECT group_concat(id), CAST(group_concat(sz, '') AS BLOB) FROM fulltext_docsize"
_ALL_LENGTHS = "SELECT CAST(group_concat(sz, '') AS BLOB) FROM fulltext_docsize"
_FIRST_AND_LAST = "SELECT (SELECT min(id) FROM fulltext_docsize), (SELECT max(id) FROM fulltext_docsize)"
_NUMBERS = "SELECT group_concat(id) FROM fulltext_docsize"


class Postings:
    """The words of one connection's full text; those of the last commit are kept in memory, the last used first.

    Args:
        catalog: An open catalogue.
        most: Bytes to keep.
    """

    def __init__(self, catalog: Catalog, /, *, most: int = MOST_BYTES) -> None:
        self._db, self._most, self._damaged = catalog.db, most, catalog.damaged
        self._version: int | None = None
        self._held: dict[str, int] = {}
        self._known: OrderedDict[tuple[str, bool], Posting] = OrderedDict()
        self._bytes = 0
        self._size = 0, 0
        self._leaves: Leaves | None = None  # of a large full text
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
        self._size = size_of(self._db)
        if self._size[0] >= LARGE and self._leaves is None:
            self._leaves = Leaves(self._db)
        if self._leaves is not None:
            self._leaves.sync()
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
        made = self._read(phrase, begins=begins)
        self._known[key] = made
        self._bytes += made.nbytes
        while self._bytes > self._most and len(self._known) > 1:
            self._bytes -= self._known.popitem(last=False)[1].nbytes
        return made

    def counts(self, posting: Posting, chunks: IntArray, /) -> IntArray:
        """Return how often a word or phrase is in each of some passages, int32 or int64 `[n]`.

        Args:
            posting: Of `find`.
            chunks: int64 `[n]`, ascending.
        """
        import numpy as np

        if self._leaves is not None and (found := self._leaves.counts(posting, chunks)) is not None:
            return found
        counts: IntArray = np.zeros(len(chunks), np.int64)
        if len(posting.chunks) > len(chunks):
            at, here = find_in(chunks, posting.chunks)
            counts[here] = posting.counts(at[here])
        else:
            at, here = find_in(posting.chunks, chunks)
            counts[at[here]] = posting.counts(here.nonzero()[0])
        return counts

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

    def _read(self, phrase: str, *, begins: bool) -> Posting:
        words = [token for word in phrase.split(" ") for token in tokens(word)]
        if len(words) > 1:
            return self._read_phrase(words, begins=begins)
        if self._leaves is not None and words and not begins:
            found = self._leaves.read(words[0])
            if found is not None:
                return found
        return posting_of(self._read_places(words[0], begins=begins) if words else numbers(None))

    def _read_phrase(self, words: Sequence[str], *, begins: bool) -> Posting:
        """Return where words are in a row, from the one with the fewest occurrences on."""
        parts = [self.find(word) for word in words[: len(words) - begins]]
        if begins:
            parts.append(self._read(words[-1], begins=True))
        order = sorted(range(len(words)), key=lambda number: len(parts[number].positions))
        found = parts[order[0]].places() - order[0]
        for number in order[1:]:
            chunks = changes(found + number >> SHIFT)[1]
            at, here = find_in(chunks, parts[number].chunks)
            found = found[find_in(found, parts[number].places(at[here]) - number)[1]]
        return posting_of(found)

    def _read_places(self, word: str, *, begins: bool) -> IntArray:
        import numpy as np

        if begins:
            row = self._db.execute(_KEYS + "term >= ? AND term <= ?", (word, word + "\U0010ffff")).fetchone()
        else:
            row = self._db.execute(_KEYS + "term = ?", (word,)).fetchone()
        found = numbers(row[0])
        return np.sort(found) if begins else found

    def _read_lengths(self, chunks: IntArray, known: IntArray) -> None:
        self._listed += len(chunks)
        if _LISTED * self._listed > self._size[0]:
            lengths, every = varints(self._db.execute(_ALL_LENGTHS).fetchone()[0] or b""), all_chunks(self._db)
            if len(lengths) != len(every):
                raise self._damaged("the lengths of passages in the full text were changed")
            known[every] = lengths
            return
        listed = f"[{','.join(map(str, chunks.tolist()))}]"
        row = self._db.execute(f"{_LENGTHS} WHERE id IN (SELECT value FROM json_each(?))", (listed,)).fetchone()
        if row[0]:
            known[numbers(row[0])] = varints(row[1])


def size_of(db: sqlite3.Connection, /) -> tuple[int, int]:
    """Return FTS5's own totals of a full text: the number of passages, and of the words in them."""
    row = db.execute("SELECT block FROM fulltext_data WHERE id = 1").fetchone()
    values = varints(row[0]).tolist() if row and row[0] else []
    return (values[0], values[1]) if len(values) == 2 else (0, 0)


def all_chunks(db: sqlite3.Connection, /) -> IntArray:
    """Return the numbers of all passages of a full text, int64 ascending; as a rule they have no gaps."""
    import numpy as np

    first, last = db.execute(_FIRST_AND_LAST).fetchone()
    if first is not None and last - first + 1 == size_of(db)[0]:
        return np.arange(first, last + 1)
    return numbers(db.execute(_NUMBERS).fetchone()[0])


def numbers(text: str | None, /) -> IntArray:
    """Return the numbers of SQLite's `group_concat`, int64; None is of no row.

    Example:
        >>> numbers("3,5").tolist()
        [3, 5]
    """
    import numpy as np

    return np.fromstring(text, np.int64, sep=",") if text else np.empty(0, np.int64)
