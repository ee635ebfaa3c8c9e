"""Markdown to text with offsets: code, link and image texts stay, bullets become ・, tabs separate table cells."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from jnlp.types import Mark

from .align import Aligned, Builder
from .commonmark.blocks import Block, Blocks, Kind, cells_of
from .commonmark.front import front_matter
from .commonmark.inlines import Labels, inlines
from .hypertext import html_fragment
from .paragraphs import trim

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["front_matter", "markdown", "markdown_with_outline"]


def markdown(text: str, /) -> Aligned:
    r"""Return the text of a Markdown file.

    It contains everything that CommonMark shows, in order. Markup, HTML tags, link targets and definitions are removed.

    Example:
        >>> markdown("# 契約\n**甲**は[乙](https://例.jp)に`払う`。").text
        '契約\n\n甲は乙に払う。'
    """
    return markdown_with_outline(text)[0]


def markdown_with_outline(text: str, /) -> tuple[Aligned, tuple[Mark, ...]]:
    r"""Return the text of a Markdown file and its headings; those in quotes and lists head no part of it.

    Example:
        >>> markdown_with_outline("# 契約\n本文")[1]
        (Mark(start=0, kind='heading', level=1, title='契約', number=None),)
    """
    blocks = Blocks(text, front_matter(text)[1])
    writer = _Writer(text, Labels(blocks.links, blocks.notes))
    return writer.write(blocks.found), tuple(writer.outline)


class _Writer:
    def __init__(self, source: str, labels: Labels) -> None:
        self._source, self._labels = source, labels
        self._builder = Builder(source)
        self.outline: list[Mark] = []

    def write(self, blocks: Sequence[Block]) -> Aligned:
        for block in blocks:
            self._write(block)
        return self._builder.build()

    def _write(self, block: Block) -> None:
        kind, builder = block.kind, self._builder
        start = len(builder)
        if kind in (Kind.PARAGRAPH, Kind.UNDERLINED, Kind.HTML):
            self._write_joined(block)
        elif kind is Kind.HEADING:
            self._write_joined(block, end="\n\n")
        elif kind is Kind.TABLE:
            for line in block.lines:
                self._row(*line)
        elif kind is Kind.BULLET:
            ((start, end, _),) = block.lines
            builder.replace("・", start, end)
        else:
            for first, _, stop in block.lines:
                builder.copy(first, stop)
        if block.level and (title := " ".join(builder.since(start).split())):
            self.outline.append(Mark(start, "heading", block.level, title))

    def _row(self, start: int, end: int, stop: int) -> None:
        """A table's row: its cells with tabs between them."""
        last = None
        for cell in cells_of(self._source, start, end):
            first, behind = trim(self._source, *cell)
            if last is not None:
                self._builder.replace("\t", last, max(last, first))
            self._write_joined(Block(Kind.PARAGRAPH, [(first, behind, behind)]))
            last = behind
        self._builder.copy(end, stop)

    def _write_joined(self, block: Block, *, end: str | None = None) -> None:
        """Read the lines of a block together, and write what they show; `end` replaces the last line break."""
        source, builder = self._source, self._builder
        content = "\n".join([source[first:last] for first, last, _ in block.lines])
        shown, headings = html_fragment(content) if block.kind is Kind.HTML else (inlines(content, self._labels), ())
        marks = {mark.start: mark for mark in headings}
        offsets = [0, *accumulate(last - first + 1 for first, last, _ in block.lines)]
        for start, stop, begin, behind, copied in shown.pieces():
            if start in marks:
                self.outline.append(replace(marks[start], start=len(builder)))
            if copied:
                self._copy(block, offsets, begin, behind)
            else:
                builder.replace(shown.text[start:stop], *(_place(block, offsets, at) for at in (begin, behind)))
        _, last, stop = block.lines[-1]
        if end is None:
            builder.copy(last, stop)
        else:
            builder.replace(end, last, stop)

    def _copy(self, block: Block, offsets: list[int], begin: int, end: int) -> None:
        """Copy a range of a block's joined lines, with the line breaks of the file."""
        while begin < end:
            line = bisect_right(offsets, begin) - 1
            first, last, stop = block.lines[line]
            at = first + begin - offsets[line]
            if at < last:
                taken = min(end - begin, last - at)
                self._builder.copy(at, at + taken)
            else:
                taken = 1
                self._builder.copy(last, stop)
            begin += taken


def _place(block: Block, offsets: list[int], offset: int) -> int:
    """Where an offset in a block's joined lines is in the file."""
    line = min(bisect_right(offsets, offset), len(block.lines)) - 1
    return block.lines[line][0] + offset - offsets[line]
