"""What an output row has of its record: the head before the results, and the columns that are carried through."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jnlp.types import Record


def head(record: Record, /) -> dict[str, object]:
    """Return `{"id", "text"}`, for a pair with `text_pair`."""
    texts = (record.text,) if isinstance(record.text, str) else record.text
    return {"id": record.id, **dict(zip(("text", "text_pair"), texts, strict=False))}


def carry(row: dict[str, object], fields: Mapping[str, object], /) -> dict[str, object]:
    """Add a record's columns to a row and return it.

    A column that has the name of another is written as `input.NAME`, as often as it takes.
    """
    for name, value in fields.items():
        while name in row:
            name = f"input.{name}"
        row[name] = value
    return row
