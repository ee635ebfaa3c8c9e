"""Splits a completely read text into records: the document, its paragraphs or its lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jnlp.io.reading.options import Unit
from jnlp.text import lines, paragraphs
from jnlp.types import Record, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jnlp.io.reading.inputs import Input
    from jnlp.types import Alignment, Mark


@dataclass(frozen=True, slots=True)
class Part:
    """The alignment of a slice `[start, end)` of an aligned text."""

    whole: Alignment
    start: int
    end: int

    def span(self, start: int, end: int, /) -> tuple[int, int]:
        """Return the offsets in the original that `[start, end)` of the slice came from."""
        return self.whole.span(start + self.start, end + self.start)

    def locate(self, start: int, end: int, /) -> tuple[int, int]:
        """Return the offsets in the slice that show `[start, end)` of the original, cut to the slice."""
        first, last = (min(max(at, self.start), self.end) for at in self.whole.locate(start, end))
        return first - self.start, last - self.start


@dataclass(frozen=True, slots=True)
class Whole:
    """A completely read text.

    Args:
        text: The text to process.
        encoding: The codec it was decoded with.
        original: The text it was derived from, or None.
        alignment: From `text` to `original`.
        title: The title of each record.
        about: Other metadata stated in the file.
        outline: Its headings, pages and the like, with offsets in `text`.
    """

    text: str
    encoding: str | None
    original: str | None
    alignment: Alignment | None
    title: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    outline: tuple[Mark, ...] = ()


def cut(source: Input, whole: Whole, unit: Unit) -> Iterator[Record]:
    """Yield the non-blank records of a text, with the line numbers of the file.

    If several begin in one line, as paragraphs of a page may, their ids are `FILE:LINE`, `FILE:LINE.2` and so on.
    """
    if unit is Unit.DOCUMENT:
        if whole.text.strip():
            yield Record(
                id=source.name,
                text=whole.text,
                source=Source(source.name, None, whole.encoding),
                original=whole.original,
                alignment=whole.alignment,
                title=whole.title,
                about=whole.about,
                outline=whole.outline,
            )
        return
    line, counted, same = 1, 0, 0
    file = whole.text if whole.original is None else whole.original
    for start, end in (lines if unit is Unit.LINE else paragraphs)(whole.text):
        at = whole.alignment.span(start, end)[0] if whole.alignment else start
        down = breaks(file, counted, at)
        line, same = line + down, 1 if down else same + 1
        counted = max(counted, at)
        yield Record(
            id=f"{source.name}:{line}" + (f".{same}" if same > 1 else ""),
            text=whole.text[start:end],
            source=Source(source.name, line, whole.encoding),
            original=whole.original,
            alignment=Part(whole.alignment, start, end) if whole.alignment else None,
            title=whole.title,
            about=whole.about,
        )


def breaks(text: str, start: int, end: int) -> int:
    """Return the number of line breaks, of any kind, in a range of a text."""
    returns = text.count("\r", start, end)
    return text.count("\n", start, end) + (returns - text.count("\r\n", start, end) if returns else 0)
