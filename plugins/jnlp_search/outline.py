"""Finds the place of a passage in its document: the headings above it, its page or slide, its line."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jnlp.strict_json import dumps
from jnlp.text import headings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Mark, Record

_BELOW = 10
"""The level of numbered headings in a text: below those that the reader recognises as headings."""

_COUNTED = ("page", "slide")


def outline_of(record: Record, /) -> tuple[Mark, ...]:
    """Return the marks of a document by `start`: its reader's, and the numbered headings of its text."""
    assert isinstance(record.text, str)
    known = {mark.start for mark in record.outline if mark.kind == "heading"}
    numbered = [replace(mark, level=mark.level + _BELOW) for mark in headings(record.text) if mark.start not in known]
    return tuple(sorted((*record.outline, *numbered), key=lambda mark: mark.start))


@dataclass(frozen=True, slots=True)
class Spot:
    """The place of a passage; see the fields of `Hit`.

    Args:
        headings: The heading path at its beginning.
        within: The heading path after each heading that comes later in it.
        page, slide, line: Where it begins.
    """

    headings: tuple[str, ...] = ()
    within: tuple[tuple[str, ...], ...] = ()
    page: int | None = None
    slide: int | None = None
    line: int | None = None

    def to_json(self) -> str | None:
        """Return the JSON for the catalogue; None if nothing is known."""
        found: dict[str, Any] = {"headings": list(self.headings)} if self.headings else {}
        found |= {"within": [list(path) for path in self.within]} if self.within else {}
        found |= {name: value for name in (*_COUNTED, "line") if (value := getattr(self, name)) is not None}
        return dumps(found) if found else None


class Outline:
    """Finds the places of passages, in order.

    Args:
        text: The document.
        marks: Its outline, by `start`.
        file: The text of the file, if passages have offsets in it; with None, there are no lines.
    """

    def __init__(self, text: str, marks: Sequence[Mark], file: str | None, /) -> None:
        self._text = text
        self._paths, self._starts = _paths(marks)
        self._counted = {kind: [(mark.start, mark.number) for mark in marks if mark.kind == kind] for kind in _COUNTED}
        self._file = file
        self._line, self._seen = 1, 0

    def spot(self, start: int, end: int, at: int, /) -> Spot:
        """Return the place of a passage. If it begins with several headings, all of them count.

        Call it with passages in order.

        Args:
            start: The offset in the text where it begins.
            end: And where it ends.
            at: Its offset in the file.
        """
        place = bisect_right(self._starts, start)
        while place and place < len(self._starts) and self._follows(start, place):
            place += 1
        counted = {kind: _number(marks, start) for kind, marks in self._counted.items()}
        within = tuple(filter(None, self._paths[place : bisect_left(self._starts, end)]))
        return Spot(self._paths[place - 1] if place else (), within, **counted, line=self._line_of(at))

    def _follows(self, start: int, place: int) -> bool:
        """Return True if a heading comes right after the one before it, which is not above the passage."""
        before, after = self._starts[place - 1], self._starts[place]
        end = before + len(self._paths[place - 1][-1] if self._paths[place - 1] else "")
        return before >= start and not self._text[end:after].strip()

    def _line_of(self, at: int) -> int | None:
        if self._file is None:
            return None
        from jnlp.io.reading.units import breaks

        if at < self._seen:
            self._line, self._seen = 1, 0
        self._line += breaks(self._file, self._seen, at)
        self._seen = at
        return self._line


def _number(marks: Sequence[tuple[int, int | None]], start: int) -> int | None:
    at = bisect_right(marks, start, key=lambda mark: mark[0])
    return marks[at - 1][1] if at else None


def _paths(marks: Sequence[Mark]) -> tuple[list[tuple[str, ...]], list[int]]:
    """Return the heading path after each heading, and the position of each."""
    open_ones: list[Mark] = []
    paths: list[tuple[str, ...]] = []
    starts: list[int] = []
    for mark in marks:
        if mark.kind != "heading":
            continue
        open_ones = [*(one for one in open_ones if one.level < mark.level), mark]
        paths.append(tuple(one.title for one in open_ones if one.title))
        starts.append(mark.start)
    return paths, starts
