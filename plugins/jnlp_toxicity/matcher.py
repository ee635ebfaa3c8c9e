"""Finds the words of a lexicon in a text, with offsets in that text."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp.text import readable
from jnlp_toxicity.boundaries import is_katakana, stands_alone
from jnlp_toxicity.lexicon import folded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp_toxicity.lexicon import Entry, Lexicon, Trie


@dataclass(frozen=True, slots=True)
class Match:
    """A word found at `[start, end)` of the original text."""

    start: int
    end: int
    entry: Entry


def find(text: str, lexicon: Lexicon, /) -> list[Match]:
    """Return the words and patterns found in a text, in order, the longer and the worse where they overlap.

    A word counts where it is a word of its own (`boundaries.stands_alone`) and outside the allowed expressions.
    """
    seen = readable(text)
    matches = _find(seen.text, lexicon)
    if seen.is_identity:
        return matches
    return [Match(*seen.span(match.start, match.end), match.entry) for match in matches]


def _find(text: str, lexicon: Lexicon) -> list[Match]:
    aligned = folded(text)
    allowed = _Allowed(aligned.text, lexicon.allowed)
    candidates: list[Match] = []
    for start, end, entry in _walk(aligned.text, lexicon.words):
        if allowed.covers(start, end):
            continue
        first, last = aligned.span(start, end)
        if _counts(text, first, last, entry):
            candidates.append(Match(first, last, entry))
    for pattern, entry in lexicon.patterns:
        for hit in pattern.finditer(aligned.text):
            if hit[0] and not allowed.covers(*hit.span()):
                candidates.append(_trimmed(text, *aligned.span(*hit.span()), entry))
    return _without_overlaps(candidates)


class _Allowed:
    """Where a text has allowed expressions; asking costs the logarithm of their number."""

    def __init__(self, text: str, trie: Trie) -> None:
        self._starts: list[int] = []
        self._reach: list[int] = []  # the furthest end of those that start here or before
        for start, end, _ in _walk(text, trie):
            self._starts.append(start)
            self._reach.append(max(end, self._reach[-1] if self._reach else 0))

    def covers(self, start: int, end: int) -> bool:
        """Return whether `[start, end)` lies within one of them."""
        place = bisect_right(self._starts, start)
        return place > 0 and self._reach[place - 1] >= end


def _walk(text: str, trie: Trie) -> Iterator[tuple[int, int, Entry]]:
    for start, character in enumerate(text):
        node = trie.get(character)
        place = start + 1
        while node is not None:
            for entry in node.entries:
                yield start, place, entry
            node = node.get(text[place]) if place < len(text) else None
            place += 1


def _counts(text: str, start: int, end: int, entry: Entry) -> bool:
    if entry.katakana and not is_katakana(text[start:end]):
        return False
    return entry.free or stands_alone(text, start, end)


def _trimmed(text: str, start: int, end: int, entry: Entry) -> Match:
    """Leave out the punctuation that a pattern looks at around its words."""
    edge = "、。!?！？「」『』 　\n\r\t"
    while start < end - 1 and text[start] in edge:
        start += 1
    while end > start + 1 and text[end - 1] in edge:
        end -= 1
    return Match(start, end, entry)


def _without_overlaps(candidates: list[Match]) -> list[Match]:
    kept: list[Match] = []  # in order and apart
    ends: list[int] = []
    for match in sorted(candidates, key=lambda m: (m.start - m.end, -m.entry.severity, m.start)):
        place = bisect_right(ends, match.start)
        if place == len(kept) or match.end <= kept[place].start:
            kept.insert(place, match)
            ends.insert(place, match.end)
    return kept
