"""Compiles a condition to SQL over the catalogue; every value and every column name is a bound parameter."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from jnlp_search.where.tree import (
    BUILT_IN,
    All,
    Column,
    Compare,
    Condition,
    Missing,
    Moment,
    Not,
    Op,
    Value,
    local_time,
    number_or_year,
    read_moment,
    read_number,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

_KINDS = {"htm": "html", "xhtml": "html", "markdown": "md", "text": "txt", "ndjson": "jsonl", "jpeg": "jpg"}

# What a column is where the document has none of its own; `documents` and `roots` are those of the outer query.
_EXPRESSIONS = {
    "path": """jnlp_nfc(CASE WHEN roots.label = '.' THEN documents.path
               ELSE rtrim(roots.label, '/') || '/' || documents.path END)""",
    "mtime": "NULL",
    "kind": "jnlp_kind(documents.path)",
    "title": "documents.title",
    "language": """jnlp_language((SELECT text FROM chunks WHERE chunks.document = documents.id
                   ORDER BY ordinal LIMIT 1))""",
}


@dataclass(frozen=True, slots=True)
class Sql:
    """An SQL expression and the values of its question marks, in order."""

    text: str
    values: tuple[str | int | float, ...] = ()


def documents_where(condition: Condition, /) -> Sql:
    """Return the SELECT of the numbers of the documents for which a condition is true."""
    found = _condition(condition)
    return Sql(
        f"SELECT documents.id FROM documents LEFT JOIN roots ON roots.id = documents.root WHERE {found.text}",
        found.values,
    )


def define(connection: sqlite3.Connection, /) -> None:
    """Define the functions that the SQL calls on a connection."""
    for name, count, function in (
        ("jnlp_number", 1, number_or_year),
        ("jnlp_time", 2, _time),
        ("jnlp_like", 2, _like),
        ("jnlp_nfc", 1, _nfc),
        ("jnlp_kind", 1, kind_of),
        ("jnlp_language", 1, language_of),
    ):
        connection.create_function(name, count, function, deterministic=True)


def _condition(condition: Condition) -> Sql:
    if isinstance(condition, Compare):
        return _column(condition.column, _test(condition))
    if isinstance(condition, Missing):
        found = _column(condition.column, Sql("{0} IS NOT NULL"))
        return Sql(f"NOT {found.text}", found.values)
    if isinstance(condition, Not):
        inner = _condition(condition.inner)
        return Sql(f"NOT {inner.text}", inner.values)
    return _join(map(_condition, condition.items), " AND " if isinstance(condition, All) else " OR ")


def _join(parts: Iterable[Sql], word: str) -> Sql:
    parts = list(parts)
    return Sql(f"({word.join(part.text for part in parts)})", tuple(value for part in parts for value in part.values))


def _column(column: Column, test: Sql) -> Sql:
    """Return the SQL that tests a column with {0} as its value; for a list, that tests whether any item passes."""
    if column.name in BUILT_IN:
        own = "SELECT own.value FROM json_each(documents.metadata) AS own WHERE own.key = ? AND own.type <> 'null'"
        value = f"SELECT coalesce(({own}), {_EXPRESSIONS[column.name]}) AS value"
        name = "item.value COLLATE NOCASE" if column.name in ("kind", "language") else "item.value"
        text = f"EXISTS (SELECT 1 FROM ({value}) AS item WHERE {test.text.format(name)})"
        return Sql(text, (column.name, *test.values))
    text = f"""EXISTS (SELECT 1 FROM json_each(documents.metadata) AS cell WHERE cell.key = ? AND
        CASE cell.type
        WHEN 'array' THEN EXISTS (SELECT 1 FROM json_each(cell.value) AS item WHERE {test.text.format("item.value")})
        ELSE {test.text.format("cell.value")} END)"""
    return Sql(text, (column.name, *test.values, *test.values))


def _test(compare: Compare) -> Sql:
    """Return the test of a value, {0}: true, false or NULL. The literal determines the type of the comparison."""
    value, op = compare.value, compare.op
    if op is Op.LIKE:
        assert isinstance(value, str)
        return Sql("jnlp_like(?, {0})", (value,))
    if isinstance(value, Moment):
        return _moment(op, value, compare.column.name == "mtime")
    if isinstance(value, bool):
        return Sql("lower(CAST({0} AS TEXT)) IN (?, ?)", ("1", "true") if value else ("0", "false"))
    if isinstance(value, str):
        return _text(op, value)
    return Sql(f"CASE typeof({{0}}) WHEN 'text' THEN jnlp_number({{0}}) ELSE {{0}} END {op} ?", (value,))


def _text(op: Op, value: str) -> Sql:
    """Return a comparison of texts; a number in a document is compared with a text that is a number."""
    number = read_number(value)
    text = "{0}" if value.isascii() and op is Op.EQUAL else "jnlp_nfc({0})"
    if number is None:
        return Sql(f"(typeof({{0}}) = 'text' AND {text} {op} ?)", (value,))
    return Sql(f"CASE typeof({{0}}) WHEN 'text' THEN {text} {op} ? ELSE {{0}} {op} ? END", (value, number))


def _moment(op: Op, value: Moment, seconds: bool) -> Sql:
    time = f"jnlp_time({{0}}, {int(seconds)})"
    if op is Op.EQUAL:
        return Sql(f"({time} >= ? AND {time} < ?)", (value.start, value.end))
    if op in (Op.LESS, Op.GREATER_OR_EQUAL):
        return Sql(f"{time} {op} ?", (value.start,))
    return Sql(f"{time} {'<' if op is Op.LESS_OR_EQUAL else '>='} ?", (value.end,))


def _time(value: Value | None, seconds: int) -> str | None:
    """Return a value as local time; a number counts only in columns of seconds since 1970."""
    if isinstance(value, str):
        moment = read_moment(value)
        return moment.start if moment else None
    return local_time(float(value)) if seconds and isinstance(value, int | float) else None


def _like(pattern: str, value: str | int | float | None) -> bool | None:
    return None if value is None else _matches(_segments(pattern), _fold(str(value)))


@lru_cache(maxsize=512)
def _segments(pattern: str) -> tuple[tuple[re.Pattern[str], int], ...]:
    r"""Return what a LIKE pattern asks for between its %, with its length; _ is one character, \\ quotes the next."""
    made: list[list[str]] = [[]]
    for part in re.findall(r"\\.|.", _fold(pattern), re.DOTALL):
        if part == "%":
            made.append([])
        else:
            made[-1].append("." if part == "_" else re.escape(part[-1]))
    return tuple((re.compile("".join(parts), re.DOTALL), len(parts)) for parts in made)


def _matches(segments: tuple[tuple[re.Pattern[str], int], ...], text: str) -> bool:
    """Match the first at the start, the last at the end, and the others where they come first: linear in the text."""
    (first, length), *others = segments
    if not others:
        return first.fullmatch(text) is not None
    found = first.match(text)
    for segment, _ in others[:-1]:
        found = segment.search(text, found.end()) if found else None
    last, length = others[-1]
    at = len(text) - length
    return found is not None and at >= found.end() and last.fullmatch(text, at) is not None


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _nfc(value: Value | None) -> str | None:
    """Return a text in NFC; None for other values, for which SQLite may call this before it checks the type."""
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else None


def kind_of(path: str, /) -> str | None:
    """Return a file's kind, the ending of its name: `pdf`; the spellings of one kind are one. None without an ending.

    Example:
        >>> kind_of("規程/第3版.HTM")
        'html'
    """
    ending = PurePosixPath(path).suffix[1:].lower()
    return _KINDS.get(ending, ending) or None


def language_of(text: str | None, /) -> str | None:
    """Return the language of a text by its script: ja, zh, ko or en (any Latin text); None if there are no letters.

    Example:
        >>> language_of("吾輩は猫である。"), language_of("Call me Ishmael.")
        ('ja', 'en')
    """
    kana = han = hangul = latin = 0
    for character in (text or "")[:2_000]:
        if "ぁ" <= character <= "ヿ":
            kana += 1
        elif "㐀" <= character <= "鿿":
            han += 1
        elif "가" <= character <= "힣":
            hangul += 1
        elif character.isalpha() and character < "ʰ":
            latin += 1
    if not kana + han + hangul + latin:
        return None
    # A Japanese text is full of Latin names and code: a word of Latin letters weighs as a character or two.
    if hangul * 2 > kana + han + latin / 4:
        return "ko"
    if kana + han > latin / 4:
        return "ja" if 10 * kana >= han else "zh"
    return "en"
