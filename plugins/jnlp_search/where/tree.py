"""Conditions as trees, and the parsing of numbers and dates in conditions and documents."""

from __future__ import annotations

import calendar
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from jnlp.patterns import deferred

BUILT_IN = ("path", "mtime", "kind", "title", "language")
"""Columns that every document of a file has; a row's own column of that name comes first."""

_NUMBER = deferred(r"[+-]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_TIME = deferred(
    r"""(?P<year>\d{4})(?P<mark>[-/年])(?P<month>\d{1,2})(?:月|(?:[-/月](?P<day>\d{1,2})日?
        (?:[Tt\ ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?)?
        \ ?(?P<zone>[Zz]|[+-]\d{2}:?\d{2})?))?""",
    re.VERBOSE | re.ASCII,
)


class Op(StrEnum):
    """A comparison operator."""

    EQUAL = "="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LIKE = "like"


@dataclass(frozen=True, slots=True)
class Moment:
    """A date as an interval of local time, `start` within and `end` not: 2024-05-01 is that whole day."""

    start: str
    end: str


Value = str | int | float | bool | Moment


@dataclass(frozen=True, slots=True)
class Column:
    """A column by name, and where it is named: 1 is the first character."""

    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """True if the comparison holds for the column, or for an item of its list."""

    column: Column
    op: Op
    value: Value


@dataclass(frozen=True, slots=True)
class Missing:
    """True if a document has no value in the column."""

    column: Column


@dataclass(frozen=True, slots=True)
class Not:
    """True if the inner condition is false."""

    inner: Condition


@dataclass(frozen=True, slots=True)
class All:
    """True if all parts are true (`and`)."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """True if any part is true (`or`, `in`)."""

    items: tuple[Condition, ...]


Condition = Compare | Missing | Not | All | Any


def columns(condition: Condition, /) -> list[Column]:
    """Return the columns of a condition in the order they are named."""
    if isinstance(condition, Compare | Missing):
        return [condition.column]
    inner = (condition.inner,) if isinstance(condition, Not) else condition.items
    return [column for item in inner for column in columns(item)]


@lru_cache(maxsize=1 << 14)
def read_number(text: str, /) -> int | float | None:
    """Return a text as a number, with full-width digits and thousands separators; None if it is not a number.

    Example:
        >>> read_number("１,２００"), read_number("3.5"), read_number("3 cm")
        (1200, 3.5, None)
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    if not _NUMBER.fullmatch(plain):
        return None
    plain = plain.replace(",", "")
    if len(plain) < 19 and plain.lstrip("+-").isdigit():
        return int(plain)
    number = float(plain)
    return number if abs(number) != float("inf") else None


@lru_cache(maxsize=1 << 14)
def read_moment(text: str, /) -> Moment | None:
    """Return a text as a date: `2024-05`, `2024/5/1`, `2024年5月1日`, `2024-05-01T09:30+09:00`; else None."""
    match = _TIME.fullmatch(unicodedata.normalize("NFKC", text).strip())
    if match is None:
        return None
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    try:
        start = datetime(int(match["year"]), int(match["month"]), int(match["day"] or 1), hour, minute, second)
        if zone := match["zone"]:
            start = datetime.fromisoformat(f"{start.isoformat()}{_offset(zone)}").astimezone().replace(tzinfo=None)
        if match["fraction"]:
            start = start.replace(microsecond=int(match["fraction"][:6].ljust(6, "0")))
        return Moment(_format(start), _format(start + _width(match)))
    except (ValueError, OverflowError, OSError):  # no such day, or one that the clock does not reach
        return None


def number_or_year(text: str, /) -> int | float | None:
    """Return the number that a text is, or the year where it is a date; None for any other text.

    Example:
        >>> number_or_year("2020"), number_or_year("2024-05-01"), number_or_year("May")
        (2020, 2024, None)
    """
    number = read_number(text)
    if number is None and (moment := read_moment(text)) is not None:
        return int(moment.start[:4])
    return number


def whole_year(year: int, /) -> Moment:
    """Return a year as an interval of local time."""
    return Moment(_format(datetime(year, 1, 1)), _format(datetime(year, 12, 31) + timedelta(days=1)))


def local_time(seconds: float, /) -> str | None:
    """Return seconds since 1970 as local time, in the form that `Moment` has."""
    try:
        return _format(datetime.fromtimestamp(seconds))
    except (ValueError, OverflowError, OSError):
        return None


def _width(match: re.Match[str]) -> timedelta:
    if match["day"] is None:
        return timedelta(days=calendar.monthrange(int(match["year"]), int(match["month"]))[1])
    if match["hour"] is None:
        return timedelta(days=1)
    if match["second"] is None:
        return timedelta(minutes=1)
    return timedelta(microseconds=1) if match["fraction"] else timedelta(seconds=1)


def _offset(zone: str) -> str:
    return "+00:00" if zone in "Zz" else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"


def _format(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
