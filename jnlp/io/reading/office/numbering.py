"""The automatic numbers of Word's lists and headings: 第1条, 1.2, (ア)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jnlp.patterns import deferred

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from xml.etree.ElementTree import Element

BULLET = "・"
_PLACE = deferred(r"%([1-9])")
_AIUEO = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセス"
# fmt: off
_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
    (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)
# fmt: on
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
_DIGITS = "〇一二三四五六七八九"


@dataclass(slots=True)
class _Level:
    """One level of a list: how its numbers are written, and the number it is at."""

    format: str = "decimal"
    text: str = ""
    start: int = 1
    style: str | None = None
    at: int | None = None


@dataclass(slots=True)
class Numbering:
    """The lists of a document.

    Args:
        lists: The levels of each definition.
        numbers: The definition that each list follows.
        starts: Where a level of a list begins instead.
    """

    lists: dict[str, dict[int, _Level]] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    starts: dict[str, dict[int, int]] = field(default_factory=dict)
    _begun: set[tuple[str, int]] = field(default_factory=set)

    @classmethod
    def of(cls, root: Element | None, /) -> Numbering:
        """Return the lists that a document defines, none if it has no part for them."""
        made = cls()
        for element in root if root is not None else ():
            if element.tag == "abstractNum":
                levels = {_int(level.get("ilvl"), 0): _level(level) for level in element.iter("lvl")}
                made.lists[element.get("abstractNumId", "")] = levels
            elif element.tag == "num":
                number = element.get("numId", "")
                made.numbers[number] = _value(element, "abstractNumId") or ""
                for override in element.iter("lvlOverride"):
                    if (start := _value(override, "startOverride")) is not None:
                        made.starts.setdefault(number, {})[_int(override.get("ilvl"), 0)] = _int(start, 1)
        return made

    def level_of(self, number: str, style: str, /) -> int:
        """Return the level at which a list numbers the paragraphs of a style."""
        levels = self.lists.get(self.numbers.get(number, ""), {})
        return next((at for at, level in levels.items() if level.style == style), 0)

    def label(self, number: str, level: int, /) -> str:
        """Count one paragraph of a list and return its number as it is shown, "" for none."""
        levels = self.lists.get(self.numbers.get(number, ""), {})
        here = levels.get(level)
        if here is None:
            return ""
        if here.format == "bullet":
            return BULLET
        start = self.starts.get(number, {}).get(level)
        if start is not None and (number, level) not in self._begun:
            self._begun.add((number, level))
            here.at = start
        else:
            here.at = here.start if here.at is None else here.at + 1
        for deeper, other in levels.items():
            if deeper > level:
                other.at = None

        def format_level(match: re.Match[str]) -> str:
            other = levels.get(int(match[1]) - 1, here)
            return _format(other.start if other.at is None else other.at, other.format)

        return _PLACE.sub(format_level, here.text)


def _level(element: Element) -> _Level:
    return _Level(
        format=_value(element, "numFmt") or "decimal",
        text=_value(element, "lvlText") or "",
        start=_int(_value(element, "start"), 1),
        style=_value(element, "pStyle"),
    )


def _value(element: Element, tag: str) -> str | None:
    child = element.find(tag)
    return None if child is None else child.get("val")


def _int(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else otherwise


def _format(number: int, format: str) -> str:
    return _FORMATS[format](number) if format in _FORMATS and 0 < number < 10_000 else str(number)


def _of(letters: str) -> Callable[[int], str]:
    return lambda number: letters[(number - 1) % len(letters)]


def _roman(number: int) -> str:
    format_level = ""
    for value, letters in _ROMAN:
        while number >= value:
            format_level, number = format_level + letters, number - value
    return format_level


def _counting(number: int) -> str:
    """Return 21 as 二十一."""
    format_level = ""
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, unit)
        if digit:
            format_level += ("" if digit == 1 and unit > 1 else _DIGITS[digit]) + name
    return format_level


def _circle(number: int) -> str:
    return chr(0x2460 + number - 1) if number <= 20 else f"({number})"


_FORMATS: dict[str, Callable[[int], str]] = {
    "none": lambda _: "",
    "decimalZero": lambda number: f"{number:02}",
    "decimalFullWidth": lambda number: str(number).translate(_WIDE),
    "decimalFullWidth2": lambda number: str(number).translate(_WIDE),
    "decimalEnclosedCircle": _circle,
    "upperLetter": _of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "lowerLetter": _of("abcdefghijklmnopqrstuvwxyz"),
    "upperRoman": _roman,
    "lowerRoman": lambda number: _roman(number).lower(),
    "aiueo": _of(_AIUEO),
    "aiueoFullWidth": _of(_AIUEO),
    "iroha": _of(_IROHA),
    "irohaFullWidth": _of(_IROHA),
    "japaneseCounting": _counting,
    "japaneseLegal": _counting,
    "ideographTraditional": _of("甲乙丙丁戊己庚辛壬癸"),
    "japaneseDigitalTenThousand": lambda number: "".join(_DIGITS[int(digit)] for digit in str(number)),
    "ideographDigital": lambda number: "".join(_DIGITS[int(digit)] for digit in str(number)),
}
