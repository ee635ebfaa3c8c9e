"""Finds the words of a lexicon in a text, also in disguise, with offsets in that text."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from jnlp.patterns import deferred
from jnlp.text import readable
from jnlp_toxicity import boundaries
from jnlp_toxicity.romaji import is_doubtful
from jnlp_toxicity.screens import pairs
from jnlp_toxicity.views import Kind, views

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp_toxicity.lexicon import Entry, Lexicon
    from jnlp_toxicity.views import View

_AROUND_ROMAJI = deferred(
    r"(?:おまえ|おまえら|てめえ|てめー|きさま|あんた|こいつ|あいつ|この|まじ|まじで|くそ|はやく|さっさと|ばか|あほ|は|も)*"
)
_AFTER_ROMAJI = deferred(
    r"(?:よ|や|やろう|やろ|ぞ|ぜ|な|なの|ね|か|かよ|だ|だよ|だな|です|じゃん|やん|ども|め|って|すぎ|すぎる|かす|くず|ばか|あほ|くそ|ごみ|し|わ)*"
)
_AROUND = 30
_NEAR = 20
_TAIL = deferred(r"[ーｰ〜~ぁぃぅぇぉァィゥェォｧ-ｫッｯっ]*")
_DRAWN_OUT = deferred(r"(.)\1\1")
_KANJI_PAIR = deferred(r"[一-鿿]+")
_LIST_SIGNS = "・･、，,/／"


@dataclass(frozen=True, slots=True)
class Match:
    """A word found at `[start, end)` of the original text, and the disguise it was found under."""

    start: int
    end: int
    entry: Entry
    kind: Kind = Kind.PLAIN


def find(text: str, lexicon: Lexicon, /) -> list[Match]:
    """Return the words and patterns found in a text, in order, the longer and the worse where they overlap.

    A word counts where it is a word of its own (`boundaries.stands_alone`) and outside the allowed expressions.
    """
    seen = readable(text)
    matches = _find(seen.text, lexicon)
    if seen.is_identity:
        return matches
    return [Match(*seen.span(match.start, match.end), match.entry, match.kind) for match in matches]


def _find(text: str, lexicon: Lexicon) -> list[Match]:
    found: list[Match] = []
    plain: View | None = None
    segments = boundaries.Segments(text)
    for view in views(text):
        plain = plain or view
        known = {(match.start, match.entry) for match in found} if found else ()
        more = _Search(text, view, plain, lexicon, segments).matches()
        found += [match for match in more if (match.start, match.entry) not in known]
    return _without_overlaps(found) if found else found


class _Search:
    """Looks for the lexicon in one view of a text."""

    def __init__(self, text: str, view: View, plain: View, lexicon: Lexicon, segments: boundaries.Segments, /) -> None:
        self._text, self._view, self._plain, self._lexicon = text, view, plain, lexicon
        self._segments = segments
        self._pairs = pairs(view.text)

    def matches(self) -> Iterator[Match]:
        """Yield the words and patterns that count; of a view with few changes only the places around them are read."""
        aligned, kind = self._view.aligned, self._view.kind
        patterns = [self._lexicon.patterns[number] for number in self._lexicon.screen.of(aligned.text, self._pairs)]
        words = self._lexicon.words if kind is Kind.PLAIN else self._lexicon.squeezed
        for low, high in self._places():
            for start, end, entry in words.find(aligned.text, self._pairs, low, high):
                if not self._allowed.covers(start, end) and self._counts(start, end, entry):
                    yield Match(*self._span(start, end), entry, kind)
            for pattern, entry in patterns:
                for hit in pattern.finditer(aligned.text, low, high):
                    if not hit[0] or self._allowed.covers(*hit.span()):
                        continue
                    first, last = self._span(*hit.span())
                    if kind is Kind.PLAIN or self._is_disguised(*hit.span(), first, last):
                        yield _trim(self._text, first, last, entry, kind)

    def _places(self) -> list[tuple[int, int]]:
        """Return the ranges of the view to read: all of it, or what is around its changes."""
        text = self._view.text
        if self._view.kind in (Kind.PLAIN, Kind.ALIKE) or len(text) <= 2 * _AROUND:
            return [(0, len(text))]
        places: list[tuple[int, int]] = []
        for start, end, *_ in self._view.aligned.pieces():
            for change in (start, end):
                low, high = max(0, change - _AROUND), min(len(text), change + _AROUND)
                if places and low <= places[-1][1]:
                    places[-1] = (places[-1][0], high)
                else:
                    places.append((low, high))
        return places

    @cached_property
    def _allowed(self) -> _Allowed:
        return _Allowed(self._view.text, self._lexicon, self._pairs)

    def _span(self, start: int, end: int) -> tuple[int, int]:
        """Return what the text has at a range of the view, with the drawl after it that the view does not show."""
        first, last = self._view.aligned.span(start, end)
        if self._view.kind is Kind.ROMAJI:
            while last < len(self._text) and self._text[last] == self._text[last - 1]:
                last += 1
        elif self._view.kind is not Kind.PLAIN:
            run = last
            while run < len(self._text) and self._text[run] == self._text[last - 1]:
                run += 1
            last = run if run - last > 1 else last
            tail = _TAIL.match(self._text, last)
            last = tail.end() if tail else last
        return first, last

    def _counts(self, start: int, end: int, entry: Entry) -> bool:
        text, (first, last) = self._text, self._span(start, end)
        plain = self._view.kind is Kind.PLAIN
        if entry.latin and not _has_latin(text[first:last]):
            return False
        if (
            entry.katakana
            and self._view.kind in (Kind.PLAIN, Kind.SIGNS)
            and not boundaries.is_katakana(text[first:last])
        ):
            return False
        if entry.free and plain:
            return True
        if plain and self._view.text[start:end] == entry.key:
            return boundaries.stands_alone(text, first, last, lambda: self._segments.around(first, last))
        if not plain and not self._is_disguised(start, end, first, last):
            return False
        return entry.free or self._view.kind is Kind.ROMAJI or self._fits(first, last, entry)

    def _is_disguised(self, start: int, end: int, first: int, last: int) -> bool:
        """Return whether what was found is something else in the text itself, and no word of the dictionary there."""
        low, high = self._plain.aligned.locate(first, last)
        if self._plain.text[low:high] == self._view.text[start:end]:
            return False
        surface = self._text[first:last]
        if self._view.kind is Kind.ROMAJI:
            return self._is_romaji(start, end, first, last)
        words = self._segments.around(first, last)
        if boundaries.crosses_a_word(first, last, words, drawn=bool(_DRAWN_OUT.search(surface))):
            return False
        return not _is_list(self._text, first, last, surface)

    def _is_romaji(self, start: int, end: int, first: int, last: int) -> bool:
        """Return whether what is left of the Latin word around a match is what Japanese puts there."""
        low, high = self._view.aligned.locate(first, last)
        before, after = self._view.text[low:start], self._view.text[end:high]
        surface = self._text[first:last]
        if is_doubtful(surface.lower()) and not surface.islower():
            return False
        return bool(_AROUND_ROMAJI.fullmatch(before) and _AFTER_ROMAJI.fullmatch(after))

    def _fits(self, first: int, last: int, entry: Entry) -> bool:
        """Return whether the word itself, written plainly in its place, would be whole words."""
        text = self._text
        if boundaries.script_continues(text, first, last):
            return False
        low, high = boundaries.clause(text, first, last)
        low, high = max(low, first - _NEAR), min(high, last + _NEAR)
        plainly = f"{text[low:first]}{entry.word}{text[last:high]}"
        start, end = first - low, first - low + len(entry.word)
        return boundaries.stands_alone(plainly, start, end, lambda: self._segments.of(plainly))


def _has_latin(text: str) -> bool:
    return any(character.isascii() and character.isalnum() for character in text)


def _is_list(text: str, start: int, end: int, surface: str) -> bool:
    """Return whether kanji with commas or dots between them are items of a list (犬・馬・鹿) rather than one word."""
    signs = {character for character in surface if character in _LIST_SIGNS}
    if not signs or not all(_KANJI_PAIR.fullmatch(part) for part in re.split(f"[{_LIST_SIGNS}]", surface)):
        return False
    beside = text[start - 1 : start] + text[end : end + 1]
    return any(sign in beside for sign in signs) or text[end : end + 1] in tuple("のなとをや")


class _Allowed:
    """Where a text has allowed expressions; asking costs the logarithm of their number."""

    def __init__(self, text: str, lexicon: Lexicon, beside: set[str]) -> None:
        self._starts: list[int] = []
        self._reach: list[int] = []  # the furthest end of those that start here or before
        for start, end, _ in lexicon.allowed.find(text, beside):
            self._starts.append(start)
            self._reach.append(max(end, self._reach[-1] if self._reach else 0))

    def covers(self, start: int, end: int) -> bool:
        """Return whether `[start, end)` lies within one of them."""
        place = bisect_right(self._starts, start)
        return place > 0 and self._reach[place - 1] >= end


def _trim(text: str, start: int, end: int, entry: Entry, kind: Kind) -> Match:
    """Leave out the punctuation that a pattern looks at around its words."""
    edge = "、。!?！？「」『』 　\n\r\t"
    while start < end - 1 and text[start] in edge:
        start += 1
    while end > start + 1 and text[end - 1] in edge:
        end -= 1
    return Match(start, end, entry, kind)


def _without_overlaps(candidates: list[Match]) -> list[Match]:
    kept: list[Match] = []  # in order and apart
    ends: list[int] = []
    for match in sorted(candidates, key=lambda m: (m.start - m.end, -m.entry.severity, m.start)):
        place = bisect_right(ends, match.start)
        if place == len(kept) or match.end <= kept[place].start:
            kept.insert(place, match)
            ends.insert(place, match.end)
    return kept
