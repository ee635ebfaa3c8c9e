"""Folds lines of Japanese and Latin text to a width, by the rules of Japanese typesetting (kinsoku shori)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

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
        place = next((at for at in range(end, start + (end - start) // 2, -1) if _may_break(text, at)), end)
        found.append(place)
        start = place
    return found


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
    if after in NOT_FIRST or before in NOT_LAST or after == " ":
        return False
    return not (_is_latin(before) and _is_latin(after))


def _is_latin(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char in "-_./@'+")
