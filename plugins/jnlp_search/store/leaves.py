"""Reads the places of a word from the pages of the full text itself, by the compiled kernels.

SQLite gives the places of a word one row after the other, a quarter of a second for a word that is in most of a million
passages; to read its pages whole and to decode them by `postings.h` takes a small part of that. The format is that of
FTS5 (`fts5_index.c`): segments of pages; of a row that is in several, the newest one tells. What is not as expected,
and any full text without kernels, is left to SQLite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from jnlp_search.store.posting import Posting, spread

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jnlp.encoder.forms.kernels.binding import Postings
    from jnlp.types import IntArray

_STRUCTURE = "SELECT block FROM fulltext_data WHERE id = 10"
_VERSION = "SELECT v FROM fulltext_config WHERE k = 'version'"
_KNOWN_VERSION = 4
_LATER = b"\xff\x00\x00\x01"  # marks a structure of contentless tables that forget rows in another way
_FIRST_PAGES = """SELECT first, after, (SELECT block FROM fulltext_data WHERE id = {base} + max(first, {begin})) FROM (
    SELECT coalesce((SELECT pgno >> 1 FROM fulltext_idx WHERE segid = {number} AND term <= ?1
                     ORDER BY term DESC LIMIT 1), 1) AS first,
           coalesce((SELECT pgno >> 1 FROM fulltext_idx WHERE segid = {number} AND term > ?1
                     ORDER BY term LIMIT 1), {end}) AS after)"""
_MOST_SEGMENTS = 100
_PAGES = "SELECT block FROM fulltext_data WHERE id BETWEEN ? AND ? ORDER BY id"
_SEGMENT_BITS = 37  # of a page's id, below the number of its segment
_INT32, _UINT16 = 1 << 31, 1 << 16
_DAMAGED, _WHOLE, _GOES_ON = -1, 0, 1  # states of reading
_MAIN = b"0"  # what begins every word of the full text, as opposed to those of an index of beginnings


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment: its number, and its first and last page. Of one that is being merged, the first pages are gone."""

    number: int
    first: int
    last: int

    @property
    def sql(self) -> str:
        """The SQL for the page that a word can begin on, and for the first one that begins with a later word."""
        base = self.number << _SEGMENT_BITS
        return _FIRST_PAGES.format(number=self.number, base=base, begin=self.first, end=self.last)


class _Decoded(NamedTuple):
    state: int
    more: NDArray[np.int32]
    rows: Posting | None = None


class Leaves:
    """The pages of one connection's full text.

    Args:
        db: The connection.
    """

    def __init__(self, db: sqlite3.Connection, /) -> None:
        self._db = db
        self._segments: list[_Segment] | None = None
        self._first_pages = ""
        self._reader = compiled()

    def sync(self) -> None:
        """Look at the segments of the open snapshot."""
        self._segments = None if self._reader is None else self._read_structure()
        self._first_pages = " UNION ALL ".join(segment.sql for segment in self._segments or ())

    def read(self, word: str, /) -> Posting | None:
        """Return the passages that have a word of the full text; None if SQLite must tell."""
        import numpy as np

        if not self._segments:
            return None
        term = _MAIN + word.encode()
        found = self._db.execute(self._first_pages, (term,)).fetchall()
        pages = [[page] for _, _, page in found]
        if not all(isinstance(page, bytes) for (page,) in pages):
            return None
        ends = [max(first, segment.first) for segment, (first, _, _) in zip(self._segments, found, strict=True)]
        state, more, rows = self._decode(term, pages, ends)
        if state == _GOES_ON:
            for number in np.flatnonzero(more).tolist():
                segment = self._segments[number]
                base, last = segment.number << _SEGMENT_BITS, min(found[number][1], segment.last)
                pages[number] += [row[0] for row in self._db.execute(_PAGES, (base + ends[number] + 1, base + last))]
                if len(pages[number]) != last - ends[number] + 1:
                    return None
                ends[number] = last
            state, _, rows = self._decode(term, pages, ends)
        return rows if state == _WHOLE else None

    def counts(self, posting: Posting, chunks: IntArray, /) -> IntArray | None:
        """Return how often a word is in each of some passages, int32 `[n]`; None without the compiled functions.

        Args:
            posting: The word's.
            chunks: int64 `[n]`, ascending.
        """
        import numpy as np

        if self._reader is None:
            return None
        chunks = np.ascontiguousarray(chunks, np.int64)
        made: Any = np.empty(len(chunks), np.int32)
        rows = posting.chunks.ctypes.data, posting.starts.ctypes.data, len(posting.chunks)
        wide = posting.chunks.itemsize == chunks.itemsize
        self._reader.counts(*rows, chunks.ctypes.data, len(chunks), made.ctypes.data, wide=wide)
        found: IntArray = made
        return found

    def _decode(self, term: bytes, pages: Sequence[Sequence[bytes]], ends: Sequence[int]) -> _Decoded:
        """Return the state, which segments have more pages with the word, and its rows.

        Args:
            term: The word.
            pages: Consecutive pages of each segment.
            ends: The last one's number.
        """
        import numpy as np

        assert self._segments is not None
        assert self._reader is not None
        all_pages = [page for own in pages for page in own]
        starts = np.cumsum([0, *map(len, all_pages)], dtype=np.int64)
        first = np.cumsum([0, *map(len, pages)], dtype=np.int64)
        last = [end >= segment.last for segment, end in zip(self._segments, ends, strict=True)]
        is_last, more = np.array(last, np.int32), np.zeros(len(last), np.int32)
        data = b"".join(all_pages)
        made = self._reader.pages(data, starts.ctypes.data, first.ctypes.data, is_last.ctypes.data, len(last))
        wide, far = len(data) >= _INT32, False
        while True:
            numbers: Any = np.empty(len(data) // 2, np.int64 if wide else np.int32)
            begins: Any = np.empty(len(data) // 2 + 1, numbers.dtype)
            positions: Any = np.empty(len(data), np.int32 if far else np.uint16)
            room = numbers.ctypes.data, begins.ctypes.data, positions.ctypes.data
            state, found = self._reader.read(made, term, room, more.ctypes.data, wide=wide, far=far)
            if state != _WHOLE or found.last_position >= _INT32:
                return _Decoded(_GOES_ON if state == _GOES_ON else _DAMAGED, more)
            needed = wide or found.last_number >= _INT32, far or found.last_position >= _UINT16
            if needed == (wide, far):
                break
            wide, far = needed
        for array, size in ((numbers, found.rows), (begins, found.rows + 1), (positions, found.positions)):
            array.resize(size, refcheck=False)  # in its place: the rest is given back
        rows = Posting(numbers, begins, positions)
        return _Decoded(_WHOLE, more, rows if found.plain else _newest(rows))

    def _read_structure(self) -> list[_Segment] | None:
        """Return the segments, the oldest first; None if they are kept in another way than is known here."""
        version, row = (self._db.execute(sql).fetchone() for sql in (_VERSION, _STRUCTURE))
        if version is None or version[0] != _KNOWN_VERSION or row is None or row[0][4:8] == _LATER:
            return None
        numbers = varints(row[0][4:]).tolist()
        found: list[list[_Segment]] = []
        try:
            levels, count, _ = numbers[:3]  # and the number of writes
            at = 3
            for _ in range(levels):
                places = range(at + 2, at + 2 + 3 * numbers[at + 1], 3)  # after how many of them are being merged
                found.append([_Segment(*numbers[place : place + 3]) for place in places])
                at = places.stop
        except (IndexError, TypeError, ValueError):  # it is damaged, as SQLite will say
            return None
        segments = [segment for level in reversed(found) for segment in level]
        if len(segments) != count or count > _MOST_SEGMENTS:
            return None
        return [segment for segment in segments if segment.first]  # another has been merged whole


def compiled() -> Postings | None:
    """Return the compiled functions over postings, or None."""
    from jnlp.encoder.forms import kernels

    found = kernels.functions()
    return None if found is None else found.postings


def _newest(rows: Posting) -> Posting:
    """Return rows of segments, the oldest first, in order; one that a newer segment has, or has deleted, is its."""
    import numpy as np

    counts = np.diff(rows.starts)
    order = np.argsort(rows.chunks, kind="stable")
    chunks = rows.chunks[order]
    newest = np.ones(len(chunks), np.bool_)
    np.not_equal(chunks[1:], chunks[:-1], out=newest[:-1])
    kept = order[newest & (counts[order] > 0)]
    starts = np.zeros(len(kept) + 1, rows.starts.dtype)
    np.cumsum(counts[kept], out=starts[1:])
    return Posting(rows.chunks[kept], starts, rows.positions[spread(rows.starts[kept], counts[kept])])


def varints(data: bytes, /) -> IntArray:
    r"""Return SQLite's variable-length integers, int64: groups of seven bits, all bytes but the last with the eighth.

    Example:
        >>> varints(b"\\x05\\x81\\x00").tolist()
        [5, 128]
    """
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
