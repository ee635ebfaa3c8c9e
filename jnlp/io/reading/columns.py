"""Chooses the columns of a table, and turns rows into records."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp.errors import UsageError
from jnlp.io.reading.options import Unit
from jnlp.patterns import deferred
from jnlp.types import Failed, Record, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions

TEXT_COLUMNS = ("text", "本文", "テキスト", "sentence", "文", "内容", "コメント", "感想", "口コミ", "レビュー")
"""Default names of the text column; the first that exists is used."""

_NUMBER = deferred(r"[\s\d.,:/+-]*")

JOINED = "\n"
"""The separator of the cells of a row that is one document."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that make a record; the others are its fields.

    Args:
        text: The text column; None joins all columns with text (for a row that is a document).
        pair: The column of a pair's second text.
        id: The column of the id.
    """

    text: str | None
    pair: str | None
    id: str | None


def label_columns(asked: Sequence[str], names: Collection[str], /) -> tuple[str, ...]:
    """Return the label columns, each once; a name with commas in it is one column where the table has it.

    Example:
        >>> label_columns(("猫", "犬", "猫"), {"本文", "猫", "犬"}), label_columns(("猫", "犬"), {"本文", "猫,犬"})
        (('猫', '犬'), ('猫,犬',))
    """
    whole = ",".join(asked)
    return (whole,) if whole in names else tuple(dict.fromkeys(asked))


def choose(names: Sequence[str], options: ReadOptions, where: str) -> Columns:
    """Return which of a table's columns hold the text, the pair's second text and the id.

    Args:
        names: The table's columns.
        options: The requested columns.
        where: The table, for messages.

    If rows are documents (`unit=document`) and no text column is known, the whole row is the text.

    Raises:
        UsageError: A requested column does not exist, or there is no text column; the message lists all columns.
    """
    labels = label_columns(options.label, names)
    for asked in (options.text, options.text_pair, *labels, options.id):
        if asked is not None and asked not in names:
            raise _no_column(asked, names, where)
    id = options.id or ("id" if "id" in names else None)
    text = options.text or next((name for name in TEXT_COLUMNS if name in names), None)
    if text is None:
        others = [name for name in names if name not in (id, options.text_pair, *labels)]
        if len(others) != 1 and options.unit is Unit.DOCUMENT and others:
            return Columns(None, None, id)
        if len(others) != 1:
            raise UsageError(
                f"{where}: which column holds the text?",
                hint=f"say --text COLUMN; the columns are: {_shorten(names)}",
            )
        text = others[0]
    return Columns(text, options.text_pair, id)


def distinct_names(header: Sequence[str], /) -> list[str]:
    """Return unique column names: an empty one becomes column_3, a second `a` becomes a_2."""
    names: list[str] = []
    for number, cell in enumerate(header, start=1):
        name = base = cell.strip() or f"column_{number}"
        count = 1
        while name in names:
            count += 1
            name = f"{base}_{count}"
        names.append(name)
    return names


def _no_column(asked: str, names: Sequence[str], where: str) -> UsageError:
    close = difflib.get_close_matches(asked, names, n=1, cutoff=0.5)
    guess = f"did you mean '{close[0]}'? " if close else ""
    return UsageError(f"{where}: no column is called '{asked}'", hint=f"{guess}the columns are: {_shorten(names)}")


def _shorten(names: Sequence[str]) -> str:
    shown = ", ".join(names[:30])
    return f"{shown} and {len(names) - 30} more" if len(names) > 30 else shown or "none"


def to_record(
    row: Mapping[str, object], columns: Columns, source: Input, line: int, encoding: str | None
) -> Record | Failed:
    """Return a row as a record, or the reason why it has no text: missing, empty, or not a string."""
    value = row.get(columns.id) if columns.id else None
    id = None if value in (None, "") else str(value)

    def failed(reason: str) -> Failed:
        return source.failed(reason, line=line, encoding=encoding, id=id, fields=row)

    texts = [] if columns.text is not None else [_whole_row(row, columns)]
    for name in (columns.text, columns.pair):
        if name is None:
            continue
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            return failed(_no_text(row, name))
        texts.append(value)
    if not texts[0].strip():
        return failed("no column holds text")
    used = (columns.text, columns.pair, columns.id)
    return Record(
        id=f"{source.name}:{line}" if id is None else id,
        text=(texts[0], texts[1]) if len(texts) == 2 else texts[0],
        fields={name: value for name, value in row.items() if name not in used},
        source=Source(source.name, line, encoding),
    )


def _whole_row(row: Mapping[str, object], columns: Columns) -> str:
    cells = (value for name, value in row.items() if name != columns.id)
    return JOINED.join(cell for cell in cells if isinstance(cell, str) and cell and not _NUMBER.fullmatch(cell))


def _no_text(row: Mapping[str, object], name: str) -> str:
    if name not in row:
        return f"no column '{name}'"
    if row[name] is None or row[name] == "" or isinstance(row[name], str):
        return f"column '{name}' is empty"
    return f"column '{name}' holds no text but {type(row[name]).__name__}"
