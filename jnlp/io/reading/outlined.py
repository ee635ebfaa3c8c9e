"""Writes a document's text piece by piece, with the marks of its outline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jnlp.types import Mark

if TYPE_CHECKING:
    from collections.abc import Sequence


class Outlined:
    r"""Collects a text and its outline.

    Example:
        >>> written = Outlined()
        >>> written.mark("slide", 1, "予算", 1)
        >>> written.add("予算は前年と同じ。")
        >>> written.text()
        '予算は前年と同じ。'
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._marks: list[Mark] = []
        self._waiting: list[tuple[str, int, str, int | None]] = []

    def mark(self, kind: str, level: int, title: str, number: int | None = None, /) -> None:
        """Begin a heading, page, slide, sheet or row with the text that is added next."""
        self._waiting.append((kind, level, title, number))

    def add(self, text: str, gap: str = "\n\n", /) -> None:
        """Add a piece of text, after a gap if it is not the first; skip a blank piece."""
        text = text.strip()
        if not text:
            return
        if self._parts:
            self._put(gap)
        self._mark()
        self._put(text)

    def extend(self, text: str, outline: Sequence[Mark], gap: str = "\n\n", /) -> None:
        """Add a piece that has an outline of its own, with offsets in it; a blank one is left out."""
        if not text.strip():
            return
        before = len(text) - len(text.lstrip())
        self.add(text, gap)
        start = self._length - len(text.strip())
        self._marks += (replace(mark, start=start + max(0, mark.start - before)) for mark in outline)

    def text(self) -> str:
        """Return the text so far."""
        return "".join(self._parts)

    def outline(self) -> tuple[Mark, ...]:
        """Return the marks so far; a mark without following text is at the end."""
        self._mark()
        return tuple(self._marks)

    def _put(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def _mark(self) -> None:
        self._marks += (Mark(self._length, *waiting) for waiting in self._waiting)
        self._waiting.clear()
