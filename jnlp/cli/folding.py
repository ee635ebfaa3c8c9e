"""Folds lines of Japanese and Latin text to a width, by the rules of Japanese typesetting (kinsoku shori)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.terminal import TOGETHER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHORT = 12
"""A column that is at most so wide keeps its width: an id, a number, a label."""

_NARROWEST = 8

NOT_FIRST = frozenset(
    "、。，．・：；？！‐–〜～ー゛゜ゝゞ々〻"
    "」』】〕〉》］｝）｠»”’)]}>,.:;?!%％°′″℃"
    "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶㇰㇱㇲㇳㇴㇵㇶㇷㇸㇹㇺㇻㇼㇽㇾㇿ"
    "｡､｣ｰｧｨｩｪｫｬｭｮｯﾞﾟ"
)
"""Characters that begin no line (JIS X 4051, and their half-width forms)."""

NOT_LAST = frozenset("「『【〔〈《［｛（｟«“‘([{<｢¥￥$＄£#＃")
"""Characters that end no line."""


def breaks(text: str, width: int, cells: Callable[[str], int], /) -> list[int]:
    """Return the offsets at which to break one line, so that each part is at most `width` wide.

    Words of Latin letters and digits stay whole where they fit. Where the rules leave no place in the last half of a
    line, it is broken at its end.

    Args:
        text: One line.
        width: The most columns of a part.
        cells: The columns that a text takes.

    Example:
        >>> breaks("今日は良い天気です。", 18, lambda text: 2 * len(text))
        [8]
    """
    found: list[int] = []
    start = 0
    while (end := _fitting(text, start, max(width, 1), cells)) < len(text):
        start = _place(text, start, end)
        found.append(start)
    return found


def _place(text: str, start: int, end: int) -> int:
    """Return where the line from `start` ends, at `end` at the latest; items of a list stay whole if one fits."""
    if TOGETHER in text:
        gap = text.rfind("  ", start, end + 2)
        if gap > start:
            return gap + 2  # blanks at the end of a line are not printed
        plain = text.replace(TOGETHER, " ")
        return next((at for at in range(end, start, -1) if _may_break(plain, at)), end)
    return next((at for at in range(end, start + (end - start) // 2, -1) if _may_break(text, at)), end)


def column_widths(natural: Sequence[int], room: int, /) -> list[int]:
    """Return how wide the columns of a table are: short ones keep their width, the others share what is left.

    Args:
        natural: The width of each where nothing is folded.
        room: The columns of the screen, without the gaps between those of the table.

    Example:
        >>> column_widths([5, 60, 5, 20], 60)
        [5, 30, 5, 20]
        >>> column_widths([5, 60, 5, 50], 60)
        [5, 25, 5, 25]
    """
    long = [at for at, width in enumerate(natural) if width > SHORT]
    if sum(natural) - sum(natural[at] for at in long) + _NARROWEST * len(long) > room:
        long = list(range(len(natural)))  # there are too many columns: all are folded
    left = room - sum(width for at, width in enumerate(natural) if at not in long)
    made = list(natural)
    for done, at in enumerate(sorted(long, key=natural.__getitem__)):
        made[at] = max(min(natural[at], left // (len(long) - done)), 1)
        left -= made[at]
    return made


def _fitting(text: str, start: int, width: int, cells: Callable[[str], int]) -> int:
    """Return the end of what fits from `start`, at least one character."""
    used, end = 0, start
    while end < len(text):
        used += cells(text[end])
        if used > width and end > start:
            break
        end += 1
    return end


def _may_break(text: str, at: int) -> bool:
    """Return whether the rules allow a line to begin at an offset."""
    before, after = text[at - 1], text[at]
    if after in NOT_FIRST or before in NOT_LAST or after == " " or TOGETHER in (before, after):
        return False
    return not (_is_latin(before) and _is_latin(after))


def _is_latin(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char in "-_./@'+")
