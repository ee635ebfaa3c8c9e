"""The blocks of a Markdown file: quotes and lists around paragraphs, headings, code and HTML.

Lines are read one by one, as in CommonMark's own parsing strategy: first the quotes and items that continue, then new
ones, then the rest of the line. Nesting is limited, so that the time is linear in the length of the file.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

from jnlp.patterns import deferred
from jnlp.text.commonmark.references import definition_at, note_at, reads_as_text
from jnlp.text.commonmark.tags import tag_end

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEPEST = 40  # quotes and list items around a line; further marks are text
_LINE = deferred(r"([^\r\n]*+)(?:\r\n|[\r\n]|\Z)")
_HEADING = deferred(r"#{1,6}(?=[ \t]|$)[ \t]*+")
_FENCE = deferred(r"(`{3,}+)([^`]*+)$|(~{3,}+)")
_UNDERLINE = deferred(r"(?:=++|-++)[ \t]*+$")
_RULE_MARKS = deferred(r"[*_-]")
_BULLET = deferred(r"[-*+](?=[ \t]|$)")
_NUMBER = deferred(r"([0-9]{1,9})[.)](?=[ \t]|$)")
_TASK = deferred(r"\[ \][ \t]++(?=\S)")
_HTML_RAW = deferred(r"<(?:script|pre|style|textarea)(?=[\s>]|$)", re.IGNORECASE)
_HTML_RAW_END = deferred(r"</(?:script|pre|style|textarea)>", re.IGNORECASE)
_HTML_BLOCK = deferred(
    r"</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|dt"
    r"|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|main|menu"
    r"|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|tr"
    r"|track|ul)(?=[ \t]|/?>|$)",
    re.IGNORECASE,
)
_DECLARATION = deferred("<![A-Za-z]")
_ENDED = (("<!--", "-->"), ("<?", "?>"), ("<![CDATA[", "]]>"))
_TICKS = deferred("`+")
_DELIMITER_CELL = deferred(r":?-++:?")


class Kind(Enum):
    """What a block is."""

    PARAGRAPH = "paragraph"
    HEADING = "heading"
    UNDERLINED = "underlined heading"
    CODE = "code"
    HTML = "html"
    TABLE = "table"
    GAP = "gap"  # a blank line, a rule, a definition: its line break stays
    BULLET = "bullet"
    COPIED = "copied"  # the number of a list item


@dataclass(slots=True)
class Block:
    """A part of the file: for each line, where the content begins and ends, and where the next line begins."""

    kind: Kind
    lines: list[tuple[int, int, int]] = field(default_factory=list)
    is_text: bool = False  # a paragraph that is known not to be definitions alone
    level: int = 0  # of a heading, from 1; 0 for one in a quote or a list, which heads no part of the file


@dataclass(slots=True)
class _Container:
    """A quote, or a list item with the columns that its content is indented; `empty` until something is in it."""

    indent: int | None
    empty: bool = False


class Blocks:
    """Reads the blocks of a text; `found` holds them in order, `links` and `notes` the labels that are defined."""

    def __init__(self, text: str, start: int, /) -> None:
        self.text = text
        self.found: list[Block] = []
        self.links: set[str] = set()
        self.notes: set[str] = set()
        self._containers: list[_Container] = []
        self._leaf: Block | None = None  # the paragraph, fenced code or HTML that is open
        self._fence: tuple[str, int] = ("", 0)
        self._html_end: re.Pattern[str] | str | None = None
        self._at = self._column = self._spare = self._end = self._stop = 0
        for line in _LINE.finditer(text, start):
            if line.end() > line.start():
                self._read(*line.span(1), line.end())
        self._close()

    # The place in the line: `_at`, its column, and columns of a tab that are still to be used.

    def _indent(self) -> tuple[int, int]:
        """Return the position of the next non-blank character, and the columns of blanks before it."""
        at, column = self._at, self._column
        while at < self._end and self.text[at] in " \t":
            column += 4 - column % 4 if self.text[at] == "\t" else 1
            at += 1
        return at, column - self._column + self._spare

    def _consume(self, columns: int) -> None:
        """Skip blanks of a width in columns."""
        used = min(columns, self._spare)
        columns, self._spare = columns - used, self._spare - used
        while columns > 0 and self._at < self._end and self.text[self._at] in " \t":
            width = 4 - self._column % 4 if self.text[self._at] == "\t" else 1
            self._at, self._column = self._at + 1, self._column + width
            self._spare, columns = max(0, width - columns), columns - width

    def _move(self, at: int) -> None:
        """Move to a position behind the next blanks."""
        after, width = self._indent()
        self._column += width - self._spare + at - after
        self._at, self._spare = at, 0

    def _read(self, start: int, end: int, stop: int) -> None:
        self._at, self._column, self._spare, self._end, self._stop = start, 0, 0, end, stop
        matched = self._go_on()
        whole = matched == len(self._containers)
        if whole and self._leaf and self._leaf.kind in (Kind.CODE, Kind.HTML) and self._take_raw():
            return
        if self._leaf and self._leaf.kind is not Kind.PARAGRAPH:
            self._leaf = None
        opened = self._open(matched)
        if opened is None:
            return
        at, _ = self._indent()
        if at >= end:
            if not opened:
                self._close_to(matched)
            self._close()
            self.found.append(Block(Kind.GAP, [(end, end, stop)]))
        elif self._leaf and not opened:  # goes on, or is a lazy line of a paragraph in a quote or an item
            self._leaf.lines.append((at, end, stop))
        else:
            if not opened:
                self._close_to(matched)
            self._leaf = Block(Kind.PARAGRAPH, [(at, end, stop)])

    def _go_on(self) -> int:
        """Return how many open quotes and items continue in this line; move behind their markers."""
        for matched, container in enumerate(self._containers):
            at, width = self._indent()
            if container.indent is None:
                if width > 3 or at >= self._end or self.text[at] != ">":
                    return matched
                self._move(at + 1)
                self._consume(1)
            elif at >= self._end and not container.empty:
                self._consume(width)
            elif width >= container.indent and at < self._end:
                container.empty = False
                self._consume(container.indent)
            else:
                return matched
        return len(self._containers)

    def _take_raw(self) -> bool:
        """Add the line to open fenced code or HTML; False if it does not belong there."""
        leaf = self._leaf
        if leaf is None:
            return False
        at, width = self._indent()
        if leaf.kind is Kind.HTML:
            if self._html_end is None and at >= self._end:
                return False
            leaf.lines.append((self._at, self._end, self._stop))
            self._end_html(self._at)
            return True
        mark, indent = self._fence
        if width <= 3 and self.text.startswith(mark, at) and not self.text[at : self._end].rstrip(" \t").strip(mark[0]):
            self._leaf = None
            return True
        self._consume(min(indent, width))
        leaf.lines.append((self._at, self._end, self._stop))
        return True

    def _open(self, matched: int) -> bool | None:
        """Open the quotes, items and blocks that begin in this line.

        Returns:
            None if the line is used up, else whether a quote or an item began.
        """
        opened = False
        while True:
            at, width = self._indent()
            if at >= self._end:
                return opened
            if width >= 4:
                if self._leaf and not self._only_defines(self._leaf):
                    return opened
                self._begin(matched, opened)
                self._consume(4)
                self.found.append(Block(Kind.CODE, [(self._at, self._end, self._stop)]))
                return None
            if self._leaf_begins(at, matched, opened):
                return None
            if len(self._containers if opened else self._containers[:matched]) >= _DEEPEST:
                return opened
            if self.text[at] == ">":
                self._begin(matched, opened)
                self._move(at + 1)
                self._consume(1)
                self._containers.append(_Container(None))
            elif not self._item(at, width, matched, opened):
                return opened
            opened, matched = True, len(self._containers)

    def _leaf_begins(self, at: int, matched: int, opened: bool) -> bool:
        """Return True if a heading, a fence, HTML or a rule begins here; it uses up the line."""
        text, end = self.text, self._end
        mark = text[at]
        here = self._leaf is not None and not opened and matched == len(self._containers)
        if mark == "#" and (heading := _HEADING.match(text, at, end)):
            self._begin(matched, opened)
            level = 0 if self._containers else heading[0].count("#")
            lines = [(heading.end(), self._heading_end(heading.end()), self._stop)]
            self.found.append(Block(Kind.HEADING, lines, level=level))
        elif mark in "`~" and (fence := _FENCE.match(text, at, end)):
            self._begin(matched, opened)
            self._fence = (fence[1] or fence[3], self._indent()[1])
            self._leaf = Block(Kind.CODE)
            self.found.append(self._leaf)
        elif mark == "<":
            return self._html_begins(at, matched, opened)
        elif here and mark in "=-" and _UNDERLINE.match(text, at, end) and self._underline():
            return True
        elif mark in "*_-" and self._is_rule(at):
            self._begin(matched, opened)
            self.found.append(Block(Kind.GAP, [(end, end, self._stop)]))
        else:
            return False
        return True

    def _heading_end(self, start: int) -> int:
        """Return where a heading's text ends, without a closing run of # after a blank."""
        end = self._end
        while end > start and self.text[end - 1] in " \t":
            end -= 1
        marks = end
        while marks > start and self.text[marks - 1] == "#":
            marks -= 1
        if marks == start:
            return start
        if marks == end or self.text[marks - 1] not in " \t":
            return end
        while marks > start and self.text[marks - 1] in " \t":
            marks -= 1
        return marks

    def _underline(self) -> bool:
        """Turn the open paragraph into a heading; False if all of its lines are definitions."""
        leaf = self._leaf
        if leaf is None or self._only_defines(leaf):
            return False
        leaf.kind = Kind.UNDERLINED
        leaf.level = 0 if self._containers else 1 if "=" in self.text[self._at : self._end] else 2
        self._close()
        self.found.append(Block(Kind.GAP, [(self._end, self._end, self._stop)]))
        return True

    def _is_rule(self, at: int) -> bool:
        line = self.text[at : self._end]
        marks = line.count(line[0])
        return marks >= 3 and not line.replace(line[0], "").strip(" \t")

    def _html_begins(self, at: int, matched: int, opened: bool) -> bool:
        end = self._html_kind(at, interrupts=self._leaf is not None and not self._only_defines(self._leaf))
        if end == "":
            return False
        self._begin(matched, opened)
        self._html_end = end
        self._leaf = Block(Kind.HTML, [(self._at, self._end, self._stop)])
        self.found.append(self._leaf)
        self._end_html(at)
        return True

    def _html_kind(self, at: int, *, interrupts: bool) -> re.Pattern[str] | str | None:
        """Return what ends the HTML that begins here: a pattern, a string, or None for a blank line; "" if no HTML."""
        text, end = self.text, self._end
        if _HTML_RAW.match(text, at, end):
            return _HTML_RAW_END
        for opening, closing in _ENDED:
            if text.startswith(opening, at, end):
                return closing
        if _DECLARATION.match(text, at, end):
            return ">"
        if _HTML_BLOCK.match(text, at, end):
            return None
        alone = -1 if interrupts else tag_end(text, at, end)
        return None if alone > 0 and not text[alone:end].strip(" \t") else ""

    def _end_html(self, start: int) -> None:
        """Close the HTML block if this line ends it."""
        ending = self._html_end
        if isinstance(ending, str):
            ended = self.text.find(ending, start, self._end) >= 0
        else:
            ended = ending is not None and ending.search(self.text, start, self._end) is not None
        if ended:
            self._leaf = None

    def _item(self, at: int, width: int, matched: int, opened: bool) -> bool:
        """Open a list item if its marker is here."""
        text, end = self.text, self._end
        mark = _BULLET.match(text, at, end) or _NUMBER.match(text, at, end)
        if mark is None:
            return False
        number = mark[1] if mark.lastindex else None
        rest = text[mark.end() : mark.end() + 1]
        blank = not text[mark.end() : end].strip(" \t") if rest in " \t" and rest else mark.end() == end
        interrupts = self._leaf is not None and matched == len(self._containers) and not self._only_defines(self._leaf)
        if interrupts and (blank or (number is not None and int(number) != 1)):
            return False  # in a paragraph only a list that begins with something, and with 1, is one
        self._begin(matched, opened)
        self._move(mark.end())
        behind, padding = self._indent()
        used = 1 if blank or padding > 4 else padding
        self._containers.append(_Container(width + len(mark[0]) + used, blank))
        self._consume(used)
        if number is not None:
            self.found.append(Block(Kind.COPIED, [(at, self._at, self._at)]))
            return True
        if not blank and (task := _TASK.match(text, behind, end)):
            self._move(task.end())
        self.found.append(Block(Kind.BULLET, [(at, self._at, self._at)]))
        return True

    def _begin(self, matched: int, opened: bool) -> None:
        """Close the blocks that do not continue, since a new one begins."""
        if not opened:
            self._close_to(matched)
        self._close()

    def _close_to(self, matched: int) -> None:
        if matched < len(self._containers):
            self._close()
            del self._containers[matched:]

    def _close(self) -> None:
        """Close the open paragraph, code or HTML."""
        leaf, self._leaf = self._leaf, None
        if leaf is None or leaf.kind in (Kind.CODE, Kind.HTML):
            return
        for block in self._definitions(leaf):
            self.found.append(block)
        if leaf.lines:
            self.found += self._tables(leaf) if leaf.kind is Kind.PARAGRAPH else [leaf]

    def _only_defines(self, leaf: Block) -> bool:
        leaf.is_text = leaf.is_text or any(self._definition(start, end) is None for start, end, _ in leaf.lines)
        return not leaf.is_text

    def _definition(self, start: int, end: int) -> tuple[str, str] | None:
        return definition_at(self.text, start, end) if self.text[start] == "[" else None

    def _definitions(self, leaf: Block) -> Iterator[Block]:
        """Take the definitions from a paragraph's first lines; footnotes stay as text, without their labels."""
        taken = 0
        for start, end, stop in leaf.lines:
            defined = self._definition(start, end)
            note = note_at(self.text, start, end)
            if note is not None:
                self.notes.add(note[1].casefold())
            if note is not None and defined is None:
                leaf.lines[taken] = (note.end(), end, stop)
            if defined is None:
                break
            taken += 1
            if note is not None:
                yield Block(Kind.PARAGRAPH, [(note.end(), end, stop)])
            elif reads_as_text(defined[1]):
                yield Block(Kind.PARAGRAPH, [(start, end, stop)])
            else:
                self.links.add(defined[0])
                yield Block(Kind.GAP, [(end, end, stop)])
        del leaf.lines[:taken]

    def _tables(self, leaf: Block) -> Iterator[Block]:
        """A paragraph, or its text, its table and the rest."""
        lines = leaf.lines
        for number in range(1, len(lines)):
            cells = self._delimiters(*lines[number][:2])
            if cells and cells == len(cells_of(self.text, *lines[number - 1][:2])):
                table = Block(Kind.TABLE, [lines[number - 1], *lines[number + 1 :]])
                if not self._code_in_cells(table):
                    break
                if number > 1:
                    yield Block(Kind.PARAGRAPH, lines[: number - 1])
                yield table
                return
        yield leaf

    def _code_in_cells(self, table: Block) -> bool:
        """Return True if all code between backticks is inside cells; CommonMark without tables shows its content."""
        for start, end, _ in table.lines:
            if self.text.find("`", start, end) >= 0:
                for cell in cells_of(self.text, start, end):
                    ticks = Counter(map(len, _TICKS.findall(self.text, *cell)))
                    if any(count % 2 for count in ticks.values()):
                        return False
        return True

    def _delimiters(self, start: int, end: int) -> int:
        """Return the number of columns of a delimiter line |---|:--:|; 0 if it is not one."""
        line = self.text[start:end].strip(" \t")
        if "|" not in line or "-" not in line or line.strip("|-: \t"):
            return 0
        cells = line.removeprefix("|").removesuffix("|").split("|")
        return len(cells) if all(_DELIMITER_CELL.fullmatch(cell.strip(" \t")) for cell in cells) else 0


def cells_of(text: str, start: int, end: int, /) -> list[tuple[int, int]]:
    """Return where the cells of a table row begin and end; a bar after a backslash is not a border."""
    bars = [at for at in range(start, end) if text[at] == "|" and (at == start or text[at - 1] != "\\")]
    edges = [start - 1, *bars, end]
    cells = [(first + 1, last) for first, last in pairwise(edges)]
    if len(cells) > 1 and not text[slice(*cells[0])].strip():
        del cells[0]
    if len(cells) > 1 and not text[slice(*cells[-1])].strip():
        del cells[-1]
    return cells
