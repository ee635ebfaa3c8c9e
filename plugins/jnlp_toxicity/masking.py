"""Masks parts of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def mask_spans(text: str, spans: Iterable[tuple[int, int]], mask: str, /) -> str:
    """Return the text with spans masked: by one character for each of theirs, or by a longer text as a whole.

    White space is kept under a mask of one character; overlapping spans are one.

    Example:
        >>> mask_spans("お前は馬鹿か", [(3, 5)], "＊")
        'お前は＊＊か'
        >>> mask_spans("お前は馬鹿か", [(3, 5)], "[削除]")
        'お前は[削除]か'
    """
    parts, done = [], 0
    for start, end in _joined(spans):
        parts.append(text[done:start])
        hidden = text[start:end]
        parts.append("".join(c if c.isspace() else mask for c in hidden) if len(mask) == 1 else mask)
        done = end
    return "".join((*parts, text[done:]))


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > start:
            found.append((start, end))
    return found
