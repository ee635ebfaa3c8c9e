"""Text with an alignment to its original: every normaliser and every markup stripper returns an `Aligned`.

The new text is a sequence of pieces. A *copied* piece maps character by character. A *replaced* piece maps as a whole,
so no part of 平成 maps to a part of ㍻. Text between the pieces was removed. Pieces are in the order of the original.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_COPIED = -1  # in `_stops`: the piece is a copy, and its stop follows from its length
_NONE, _FIRST, _WHOLE = array("q"), array("q", [0]), array("q", [_COPIED])
"""The pieces of all texts of one copied piece, which share them: no `Aligned` changes its arrays."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """A text made from an original string, with character offsets back to that original.

    Args:
        text: The new text.
        source_length: The length of the original in characters.

    Example:
        >>> from jnlp.text import nfkc
        >>> nfkc("㍻元年").text
        '平成元年'
    """

    text: str
    source_length: int
    _at: array[int] = field(repr=False)  # where each piece starts in the new text
    _starts: array[int] = field(repr=False)  # where it starts in the original
    _stops: array[int] = field(repr=False)  # where it stops in the original, or _COPIED

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Map a range of the new text to the smallest range of the original that contains its source.

        An empty range maps to an empty range. Raises ValueError unless 0 <= start <= end <= len(text).

        Example:
            >>> from jnlp.text import nfkc
            >>> nfkc("㍻元年").span(0, 1)
            (0, 1)
        """
        _check_range(start, end, len(self.text))
        if start == end == len(self.text):
            stop = self._character(end - 1)[1] if end else self.source_length
            return stop, stop
        first = self._character(start)[0]
        return (first, first) if start == end else (first, self._character(end - 1)[1])

    def locate(self, start: int, end: int) -> tuple[int, int]:
        """Map a range of the original to the range of the new text made from any part of it.

        The result is empty if the whole range was removed. Raises ValueError unless 0 <= start <= end <= source_length.

        Example:
            >>> from jnlp.text import nfkc
            >>> nfkc("㍻元年").locate(0, 1)
            (0, 2)
        """
        _check_range(start, end, self.source_length)
        first = self._first_after(start)
        return (first, first) if start == end else (first, max(first, self._first_from(end)))

    @property
    def is_identity(self) -> bool:
        """Whether every offset maps to itself.

        Example:
            >>> from jnlp.text import nfkc
            >>> nfkc("平成").is_identity, nfkc("㍻").is_identity
            (True, False)
        """
        if self.source_length != len(self.text) or len(self._at) > 1:
            return False
        return not self._at or (self._starts[0] == 0 and self._stops[0] == _COPIED)

    def pieces(self) -> Iterator[tuple[int, int, int, int, bool]]:
        """Yield the pieces as (new start, new end, original start, original end, copied).

        Example:
            >>> from jnlp.text import nfkc
            >>> list(nfkc("㍻元年").pieces())
            [(0, 2, 0, 1, False), (2, 4, 1, 3, True)]
        """
        for piece, at in enumerate(self._at):
            yield at, *self._bounds(piece), self._stops[piece] == _COPIED

    def _character(self, position: int) -> tuple[int, int]:
        """The range of the original that one character of the new text came from."""
        piece = bisect_right(self._at, position) - 1
        start, stop = self._starts[piece], self._stops[piece]
        if stop != _COPIED:
            return start, stop
        start += position - self._at[piece]
        return start, start + 1

    def _bounds(self, piece: int) -> tuple[int, int, int]:
        """Where a piece ends in the new text, and where it starts and stops in the original."""
        end = self._at[piece + 1] if piece + 1 < len(self._at) else len(self.text)
        start, stop = self._starts[piece], self._stops[piece]
        return end, start, start + end - self._at[piece] if stop == _COPIED else stop

    def _first_after(self, offset: int) -> int:
        """The first position of the new text whose original stops after the offset."""
        piece = bisect_right(self._starts, offset)
        found = self._at[piece] if piece < len(self._at) else len(self.text)
        while piece:
            piece -= 1
            _, start, stop = self._bounds(piece)
            if stop <= offset:
                break
            found = self._at[piece] + (max(0, offset - start) if self._stops[piece] == _COPIED else 0)
        return found

    def _first_from(self, offset: int) -> int:
        """The first position of the new text such that all from there on starts at or after the offset."""
        piece = bisect_right(self._starts, offset - 1) - 1
        if piece < 0:
            return 0
        end, start, _ = self._bounds(piece)
        return end if self._stops[piece] != _COPIED else min(end, self._at[piece] + offset - start)


class Builder:
    """Builds an `Aligned` from left to right; text that is neither copied nor replaced is removed.

    Example:
        >>> builder = Builder("東京《とうきょう》")
        >>> builder.copy(0, 2)
        >>> aligned = builder.build()
        >>> aligned.text, aligned.span(0, 2)
        ('東京', (0, 2))
    """

    __slots__ = ("_at", "_length", "_parts", "_source", "_starts", "_stops")

    def __init__(self, source: str, /) -> None:
        self._source = source
        self._parts: list[str] = []
        self._length = 0
        self._at, self._starts, self._stops = array("q"), array("q"), array("q")

    def __len__(self) -> int:
        return self._length

    def copy(self, start: int, end: int, /) -> None:
        """Copy original[start:end] unchanged.

        Example:
            >>> builder = Builder("東京《とうきょう》")
            >>> builder.copy(0, 2)
            >>> builder.build().text
            '東京'
        """
        if start < end:
            self._add(self._source[start:end], start, _COPIED)

    def replace(self, text: str, start: int, end: int, /) -> None:
        """Replace original[start:end] by a text, as a whole; the range may be empty (an insertion).

        Example:
            >>> builder = Builder("㍻元年")
            >>> builder.replace("平成", 0, 1)
            >>> builder.build().span(0, 2)
            (0, 1)
        """
        if text:
            self._add(text, start, _COPIED if len(text) == end - start == 1 else end)

    def since(self, start: int, /) -> str:
        """Return the new text from an offset on; it takes as long as that text has pieces.

        Example:
            >>> builder = Builder("東京都")
            >>> builder.copy(0, 3)
            >>> builder.since(2)
            '都'
        """
        parts, length = [], self._length
        for part in reversed(self._parts):
            if length <= start:
                break
            parts.append(part)
            length -= len(part)
        return "".join(reversed(parts))[max(0, start - length) :]

    def build(self) -> Aligned:
        """Return the text made so far with its offsets.

        Example:
            >>> builder = Builder("東京都")
            >>> builder.copy(0, 2)
            >>> builder.build()
            Aligned(text='東京', source_length=3)
        """
        return Aligned("".join(self._parts), len(self._source), self._at, self._starts, self._stops)

    def _add(self, text: str, start: int, stop: int) -> None:
        joined = (
            stop == _COPIED
            and bool(self._stops)
            and self._stops[-1] == _COPIED
            and self._starts[-1] + self._length - self._at[-1] == start
        )
        if not joined:
            self._at.append(self._length)
            self._starts.append(start)
            self._stops.append(stop)
        self._parts.append(text)
        self._length += len(text)


def identity(text: str, /) -> Aligned:
    """Return the text unchanged; every offset maps to itself.

    Example:
        >>> identity("東京").span(0, 1)
        (0, 1)
    """
    return retext(text, text)


def retext(source: str, text: str, /) -> Aligned:
    """Return `text` aligned character by character with a source of the same length (ＡＢＣ → ABC).

    Raises ValueError if the lengths differ.

    Example:
        >>> retext("ＡＢＣ", "ABC").span(1, 3)
        (1, 3)
    """
    if len(source) != len(text):
        raise ValueError(f"lengths differ: {len(source)} and {len(text)}")
    if not text:
        return Aligned("", 0, _NONE, _NONE, _NONE)
    return Aligned(text, len(text), _FIRST, _FIRST, _WHOLE)


def compose(inner: Aligned, outer: Aligned, /) -> Aligned:
    """Join two steps, original → `inner.text` → `outer.text`, into one alignment.

    Raises ValueError if the source of `outer` is not as long as `inner.text`.

    Example:
        >>> from jnlp.text import fold_kana, nfkc
        >>> inner = nfkc("㍻ガ")
        >>> both = compose(inner, fold_kana(inner.text))
        >>> both.text, both.span(2, 3)
        ('平成が', (1, 2))
    """
    if outer.source_length != len(inner.text):
        raise ValueError(f"the outer text was made from {outer.source_length} characters, not {len(inner.text)}")
    if inner.is_identity:
        return outer
    if outer.is_identity:
        return Aligned(outer.text, inner.source_length, inner._at, inner._starts, inner._stops)
    at, starts, stops = array("q"), array("q"), array("q")
    below = 0
    for new_start, _, start, stop, copied in outer.pieces():
        if not copied:
            first, last = inner.span(start, stop)
            at.append(new_start)
            starts.append(first)
            stops.append(last)
            continue
        while inner._bounds(below)[0] <= start:
            below += 1
        begin, piece = start, below
        while begin < stop:
            end, source_start, source_stop = inner._bounds(piece)
            plain = inner._stops[piece] == _COPIED
            at.append(new_start + begin - start)
            starts.append(source_start + begin - inner._at[piece] if plain else source_start)
            stops.append(_COPIED if plain else source_stop)
            begin, piece = end, piece + 1
    return Aligned(outer.text, inner.source_length, at, starts, stops)


def _check_range(start: int, end: int, length: int) -> None:
    if not 0 <= start <= end <= length:
        raise ValueError(f"the range {start}:{end} is not within 0:{length}")
