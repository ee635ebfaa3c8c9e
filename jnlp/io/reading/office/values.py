"""Cells of a spreadsheet as text: dates and shares as the sheet shows them."""

from __future__ import annotations

import datetime

from jnlp.patterns import deferred

_QUOTED = deferred(r'"[^"]{0,255}"|\\.|\[[^\[\]]{0,255}\]|_.')  # Excel allows 255 characters
_ERAS = (
    (2019, 5, 1, "令和"),
    (1989, 1, 8, "平成"),
    (1926, 12, 25, "昭和"),
    (1912, 7, 30, "大正"),
    (1868, 1, 25, "明治"),
)
_ERROR = deferred(r"#(?:N/A|REF!|NAME\?|VALUE!|DIV/0!|NULL!|NUM!)")


def cell_text(value: object, format: str = "General", /) -> str:
    """Return a cell's value as text, one line; an error of a formula is nothing.

    Args:
        value: As openpyxl gives it.
        format: The cell's number format.

    Example:
        >>> cell_text(datetime.datetime(2024, 4, 1)), cell_text(0.15, "0%"), cell_text(1200.0)
        ('2024-04-01', '15%', '1200')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime | datetime.date):
        return _date(value, format)
    if isinstance(value, datetime.time):
        return value.isoformat("seconds" if value.second else "minutes")
    if isinstance(value, datetime.timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    if isinstance(value, int | float):
        return _number(value, format)
    text = " ".join(str(value).split())
    return "" if _ERROR.fullmatch(text) else text


def field_of(value: object, /) -> object:
    """Return a cell's value as a column's: text, a number, a truth value or None; dates in ISO 8601."""
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return cell_text(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _number(value: float, format: str) -> str:
    if _QUOTED.sub("", format).rstrip().endswith("%"):
        return f"{_plain(value * 100)}%"
    return _plain(value)


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def _date(value: datetime.date, format: str) -> str:
    if "年" in format:
        day = f"{value.month}月{value.day}日" if "日" in format else f"{value.month}月" if "月" in format else ""
        unquoted = _QUOTED.sub("", format).lower()
        return (_era(value) if "e" in unquoted or "g" in unquoted else f"{value.year}年") + day
    if not isinstance(value, datetime.datetime):
        return value.isoformat()
    if value.time() == datetime.time():
        return value.date().isoformat()
    return value.isoformat(" ", "seconds" if value.second else "minutes")


def _era(value: datetime.date) -> str:
    for year, month, day, name in _ERAS:
        if (value.year, value.month, value.day) >= (year, month, day):
            count = value.year - year + 1
            return f"{name}{count if count > 1 else '元'}年"
    return f"{value.year}年"
