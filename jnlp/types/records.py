"""Inputs and outcomes of tasks: records, their sources, and results or failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

R = TypeVar("R")

Text = str | tuple[str, str]
"""What a task reads: a text, or a pair of texts (premise and hypothesis, query and passage)."""


class Alignment(Protocol):
    """Maps character offsets in a derived text back to the text it came from (`jnlp.text.Aligned`)."""

    def span(self, start: int, end: int, /) -> tuple[int, int]:
        """Return the offsets in the original text that `[start, end)` of the derived text came from."""
        ...

    def locate(self, start: int, end: int, /) -> tuple[int, int]:
        """Return the offsets in the derived text that show `[start, end)` of the original text."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """Where a record was read: a path (or `stdin`, `arg`), its 1-based line or row, the codec it was decoded with.

    Example:
        >>> jnlp.Source("規程.txt", 3)
        Source(path='規程.txt', line=3, encoding=None)
    """

    path: str
    line: int | None = None
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a document that a reader can name: a heading, a page, a slide, a sheet or a row.

    It holds up to the next mark of its kind with the same or a lower level. A sheet's rows have level 2.

    Args:
        start: The offset in `Record.text` where it begins.
        kind: `heading`, `page`, `slide`, `sheet` or `row`.
        level: 1 to 6 for a heading, 2 for a row, else 1.
        title: The heading, the slide's title or the sheet's name; "" if there is none.
        number: Of a page, slide, sheet or row, from 1 as the file's own program shows it; None for a heading.

    Example:
        >>> page = jnlp.Mark(120, "page", 1, "", 3)
        >>> f"{page.kind} {page.number}"
        'page 3'
    """

    start: int
    kind: str
    level: int
    title: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One text, or pair, to work on, with the other columns of its row.

    Args:
        id: The row's id column, else `SOURCE:LINE`.
        text: What the task reads.
        fields: The other columns, carried through to the output.
        source: Where it was read.
        original: The text as written in its source, where `text` is derived from it (markup removed), else None.
        alignment: Maps offsets in `text` to offsets in `original`; None when they are the same.
        title: The title stated in the file itself (md, html, pdf …), for an index; not a column.
        about: Other metadata stated in the file, for an index: `author`, `date` (ISO 8601), `language`.
        outline: The headings, pages, slides, sheets and rows of a document that is one record, by `start`.

    Example:
        >>> record = jnlp.Record("顧客-1", "消えろ、クズ。", {"店": "本店"})
        >>> [done] = nlp.outcomes("toxicity", [record], rules_only=True)
        >>> done.record.id, done.record.fields, done.result.toxic
        ('顧客-1', {'店': '本店'}, True)
    """

    id: str
    text: Text
    fields: Mapping[str, object] = field(default_factory=dict)
    source: Source = field(default_factory=lambda: Source("arg"))
    original: str | None = field(default=None, repr=False)
    alignment: Alignment | None = field(default=None, repr=False)
    title: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    outline: tuple[Mark, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Done(Generic[R]):
    """A record and the task's result.

    Example:
        >>> [done] = nlp.outcomes("toxicity", ["ありがとう。"], rules_only=True)
        >>> done.record.id, done.result.toxic
        ('arg:1', False)
    """

    record: Record
    result: R


@dataclass(frozen=True, slots=True)
class Failed:
    """A record that could not be read or processed, and the exception that says why.

    Args:
        id: The record's, else that of its file.
        source: Where it was read.
        error: Why.
        fields: The columns of a row that was read but has no text.
        record: The record that could not be processed; None if none could be read.

    Example:
        >>> [failed] = nlp.outcomes("fill-mask", ["マスクのない文。"])
        >>> failed.id, type(failed.error).__name__
        ('arg:1', 'RecordError')
    """

    id: str
    source: Source
    error: Exception
    fields: Mapping[str, object] = field(default_factory=dict)
    record: Record | None = field(default=None, repr=False)

    @classmethod
    def of(cls, record: Record, error: Exception, /) -> Failed:
        """Return the failure of a record that was read.

        Example:
            >>> jnlp.Failed.of(jnlp.Record("1", "猫"), jnlp.RecordError("too short")).id
            '1'
        """
        return cls(record.id, record.source, error, record=record)


Outcome = Done[R] | Failed


class OnError(StrEnum):
    """What happens when a record fails: it is reported and skipped, or the run ends."""

    SKIP = "skip"
    FAIL = "fail"
