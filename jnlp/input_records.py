"""What a caller passes as texts, as the records that a task reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.errors import RecordError, UsageError
from jnlp.surrogates import lone_surrogate
from jnlp.types import Failed, Record, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jnlp.types import TaskSpec, Text


def as_records(texts: Iterable[Text | Record | Failed], /) -> Iterator[Record | Failed]:
    """Yield texts as records, numbered from 1; `Record` and `Failed` values pass through.

    Raises:
        UsageError: `texts` is a single string, or an item is not a text.
    """
    if isinstance(texts, str):
        raise UsageError("texts is one string", hint="pass a list: [text]")
    for number, text in enumerate(texts, 1):
        if isinstance(text, Record | Failed):
            yield text
        elif isinstance(text, str) or (isinstance(text, tuple) and all(isinstance(part, str) for part in text)):
            yield Record(f"arg:{number}", text, source=Source("arg", number))
        else:
            raise UsageError(
                f"text {number} is not a string but {type(text).__name__}: {text!r:.60}",
                hint="leave it out, or make it one",
            )


def check_records(records: Iterable[Record | Failed], spec: TaskSpec[Any, Any], /) -> Iterator[Record | Failed]:
    """Yield records; one that no model can read (half a character, a pair for a task of single texts) has failed."""
    for record in records:
        if isinstance(record, Record) and (why := _unreadable(record.text, spec)) is not None:
            yield Failed.of(record, RecordError(f"{record.id}: {why}"))
        else:
            yield record


def _unreadable(text: Text, spec: TaskSpec[Any, Any]) -> str | None:
    if isinstance(text, tuple) and not spec.pairs:
        return f"{spec.name} reads one text, not a pair"
    half = lone_surrogate(text)
    return None if half is None else f"a character is half of one ({half})"
