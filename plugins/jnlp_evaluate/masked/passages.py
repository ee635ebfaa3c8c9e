"""Passages of documents, short enough for every model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSAGE = 300  # characters
_LEAST = 50


def cut(text: str, /, longest: int = PASSAGE) -> Iterator[str]:
    """Cut a document at line and sentence ends into passages of at most `longest` characters; drop very short ones."""
    start = 0
    while start < len(text):
        stop = min(start + longest, len(text))
        if stop < len(text):
            end = max(text.rfind(mark, start + longest // 3, stop) for mark in "\n。!?」")
            stop = end + 1 if end >= 0 else stop
        passage = text[start:stop].strip()
        if len(passage) >= _LEAST:
            yield passage
        start = stop
