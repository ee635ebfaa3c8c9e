"""Headings that a plain text numbers or marks: 第3条（解約）, 第二章 総則, 1.2 手順, (1), ■ 注意, 【概要】."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jnlp.patterns import deferred
from jnlp.types import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 40
"""Characters of a title; a longer line is text."""

_NUMBER = "[0-9０-９〇一二三四五六七八九十百千]{1,9}"
_LEVELS = {"編": 1, "部": 1, "章": 2, "節": 3, "款": 4, "目": 5, "条": 6}
_MARKED, _DECIMAL, _BRACKETED = 7, 8, 12
"""Levels of ■, of 1. (1.1 is one deeper, at most three), and of (1)."""

_UNIT = deferred(
    rf"第{_NUMBER}(?P<unit>[編部章節款目条])(?:の{_NUMBER}){{0,3}}"
    rf"(?P<title>[ \t　]{{0,4}}[（(][^（()）\n]{{1,{LONGEST}}}[）)])?"
)
_DECIMALS = deferred(r"(?P<numbers>[0-9０-９]{1,2}(?:[.．][0-9０-９]{1,2}){0,3})(?P<dot>[.．]?)[ \t　]{1,4}")
_PAREN = deferred(rf"[（(](?:{_NUMBER})[）)][ \t　]{{0,4}}")
_SIGN = deferred(r"[■◆▼][ \t　]{0,4}(?=\S)")
_TITLED = deferred(rf"【[^【】\n]{{1,{LONGEST}}}】")
_LEADERS = ("..", "……", "・・", "‥‥", "…")
_DIGITS, _BLANKS = "0123456789０１２３４５６７８９", " \t　"
_RUNS_ON = deferred(r"(?:[のはがをにでともへや]|から|まで|より|では|には|とは|への|での)(?=[^ぁ-ゖ])|[、，:：]")
# The sentence goes on: 第3条の規定により; but はじめに is a title.
_ENDS = "。．.、，,？?！!；;"


def headings(text: str, /) -> tuple[Mark, ...]:
    r"""Return the headings of a plain text, by their offsets.

    A line is a heading by its number or sign if it is short and no sentence. Of 第3条 with its text in the same line,
    the number and a title in brackets are the heading. Levels: 編 and 部 1, 章 2, 節 3, 款 4, 目 5, 条 6, ■ and 【】 7,
    1. 8, 1.1 9, (1) 12. Numbers without a unit are headings only after a blank line, since lists are numbered too.

    Example:
        >>> [(m.level, m.title) for m in headings("第2章 解約\n第30条（中途解約）\n借主は、いつでも解約できる。")]
        [(2, '第2章 解約'), (6, '第30条（中途解約）')]
    """
    return tuple(_find(text))


def _find(text: str) -> Iterator[Mark]:
    start, after_blank = 0, True
    while start < len(text):
        stop = text.find("\n", start)
        stop = len(text) if stop < 0 else stop
        head = text[start : min(stop, start + 200)]
        bare = head.lstrip(" \t　\r")
        if not bare.rstrip():
            after_blank = True
        else:
            found = _heading(bare.rstrip(), whole=stop - start <= 200, after_blank=after_blank)
            if found is not None:
                yield Mark(start + len(head) - len(bare), "heading", *found)
            after_blank = found is not None
        start = stop + 1


def _heading(line: str, *, whole: bool, after_blank: bool) -> tuple[int, str] | None:
    """Return the level and the title of a line, or None if it is text.

    Args:
        line: Without outer white space, cut where it is long.
        whole: It was not cut.
        after_blank: It follows a blank line, another heading, or nothing.
    """
    if _is_in_contents(line):
        return None
    if match := _UNIT.match(line):
        return _parse_number(line, match, whole=whole)
    if not whole:
        return None
    if _TITLED.fullmatch(line):
        return _MARKED, line
    for pattern, level in ((_SIGN, _MARKED), (_PAREN, _BRACKETED), (_DECIMALS, _DECIMAL)):
        match = pattern.match(line)
        if match is None or not _is_title(line[match.end() :]):
            continue
        if level == _MARKED:
            return level, line
        if level == _DECIMAL and not any(letter.isalpha() for letter in line[match.end() :]):
            continue  # a row of numbers
        deeper = len(re.split("[.．]", match["numbers"])) - 1 if level == _DECIMAL else 0
        if after_blank or deeper:
            return level + deeper, line
    return None


def _parse_number(line: str, match: re.Match[str], *, whole: bool) -> tuple[int, str] | None:
    level, rest = _LEVELS[match["unit"]], line[match.end() :]
    if whole and (not rest or (not _RUNS_ON.match(rest) and _is_title(rest.strip()))):
        return level, line
    goes_on = rest[:1] in " \t　" or match["title"] is not None
    if match["unit"] == "条" and rest and goes_on and not _RUNS_ON.match(rest.lstrip(" \t　")):
        return level, line[: match.end()]
    return None


def _is_in_contents(line: str) -> bool:
    """Return True for an entry of a table of contents: dots or blanks, and the number of a page."""
    title = line.rstrip(_DIGITS)
    dots = title.rstrip(_BLANKS)
    return 0 < len(line) - len(title) <= 4 and (len(title) - len(dots) >= 3 or dots.endswith(_LEADERS))


def _is_title(rest: str) -> bool:
    return 0 < len(rest) <= LONGEST and "。" not in rest and rest[-1] not in _ENDS and not _RUNS_ON.match(rest)
