"""Lines and paragraphs as character offsets.

A line break ends a paragraph unless the line was wrapped. A wrapped line breaks off (at 、, at a particle, before a
small letter), or is as long as its neighbours because an editor wrapped it at a fixed width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = deferred(r"[^\r\n]*(?:\r\n|[\r\n])|[^\r\n]+\Z")
_BLOCK = 2000  # lines looked at together: bounds the memory in a file without blank lines
_STARTS = deferred(
    r"\u3000"
    r"|\s*(?:#{1,6}\s|[-*+–]\s|[・●○■□◆◇▼▲▶※◎★☆→⇒✓]|[①-⑳㈠-㈩Ⅰ-Ⅻ>|]"
    r"|[(（]?(?:[0-9０-９]{1,3}|[a-zA-Z]|[一二三四五六七八九十]{1,3})(?:[)）.．](?![0-9０-９A-Za-z])|、)"
    r"|第[0-9０-９一二三四五六七八九十百千]+[章節条編部回話項])"
)
_HEADING = deferred(r"\s*(?:#{1,6}\s|第[0-9０-９一二三四五六七八九十百千]+[章節編部回話](?=$|[\s　])|[■◆●▼【].{0,40}$)")
_RULE = deferred(r"\s*([-=*_‐―─━＝＊・~～])\s?(?:\1\s?){2,}$")
_BROKEN_OFF = deferred(r"(?:[、，,:：（「『(\[]|(?<![ぁ-ん])[はがをにへとのもで]|を|という|として|について)$")
_ENDED = deferred(r"[。．！？!?.｡][」』）)”\"’】]*$")
_GOES_ON = deferred(r"[、。，．」』）)】ぁぃぅぇぉっゃゅょァィゥェォッャュョー]")
_NARROWEST, _WIDEST, _RAGGED = 40, 160, 6  # columns
_NEVER = 1 << 30


def lines(text: str, /) -> Iterator[tuple[int, int]]:
    r"""Yield the non-blank lines, without line ends and outer white space.

    Example:
        >>> list(lines("一行目\n\n  二行目\n"))
        [(0, 3), (7, 10)]
    """
    for match in _LINE.finditer(text):
        start, end = trim(text, *match.span())
        if start < end:
            yield start, end


def paragraphs(text: str, /) -> Iterator[tuple[int, int]]:
    r"""Yield the paragraphs without outer white space; hard-wrapped lines are joined into one paragraph.

    A blank line, a list item, a heading and a line indented by an ideographic space begin a new one.

    Example:
        >>> list(paragraphs("前の段落\n\n後の段落"))
        [(0, 4), (6, 10)]
    """
    block: list[tuple[int, int]] = []
    for match in _LINE.finditer(text):
        start, end = match.span()
        while end > start and text[end - 1].isspace():
            end -= 1
        if start == end or _RULE.match(text, start, end):
            yield from _join(text, block)
            block = []
            if start < end:
                yield trim(text, start, end)
            continue
        block.append((start, end))
        if len(block) >= _BLOCK:
            yield from _join(text, block)
            block = []
    yield from _join(text, block)


def trim(text: str, start: int, end: int, /) -> tuple[int, int]:
    """Return the range without white space at its ends.

    Example:
        >>> trim("  本文 ", 0, 5)
        (2, 4)
    """
    while start < end and text[end - 1].isspace():
        end -= 1
    while start < end and text[start].isspace():
        start += 1
    return start, end


def _join(text: str, block: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the paragraphs of neighbouring lines."""
    if not block:
        return
    full = _full_width(text, block) if len(block) > 1 else _NEVER
    begin = 0
    for line in range(1, len(block)):
        if not _is_wrapped(text, block[line - 1], block[line], full):
            yield trim(text, block[begin][0], block[line - 1][1])
            begin = line
    yield trim(text, block[begin][0], block[-1][1])


def _is_wrapped(text: str, line: tuple[int, int], after: tuple[int, int], full: int) -> bool:
    """Return True if the line break is only a wrap."""
    if _STARTS.match(text, *after) or _HEADING.match(text, *line):
        return False
    if _width(text, *line) >= full:
        return True
    tail = text[max(line[0], line[1] - 12) : line[1]]
    first = text[trim(text, *after)[0]]
    if _ENDED.search(tail) or first in "「『（(":
        return False
    if "a" <= first <= "z" and tail[-1].isascii():
        return _width(text, *line) * 2 >= _NARROWEST
    return bool(_BROKEN_OFF.search(tail) or _GOES_ON.match(first))


def _full_width(text: str, block: list[tuple[int, int]]) -> int:
    """Return the width from which a line counts as full; unreachable if the lines were not wrapped at a width."""
    widths = [_width(text, *line) for line in block]
    widest = max(widths)
    # Latin words are not broken, so that lines of them end more raggedly.
    near = widest - (16 if text[block[0][0] : block[-1][1]].isascii() else _RAGGED)
    full = sum(width >= near for width in widths[:-1])
    if not _NARROWEST <= widest <= _WIDEST or full * 2 < len(block) - 1:
        return _NEVER
    return near if len(block) > 2 or widest >= 1.5 * _NARROWEST else _NEVER


def _width(text: str, start: int, end: int) -> int:
    """Return the columns of a line, counted only as far as needed."""
    line = text[start : min(end, start + _WIDEST + 1)]
    # cp932 spends a byte on a column, and encodes much faster than Python can ask each character for its width.
    return len(line) if line.isascii() else len(line.encode("cp932", "replace"))
