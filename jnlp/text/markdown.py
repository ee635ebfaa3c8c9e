"""Markdown to text with offsets: first the lines (front matter, fences, headings, lists, tables), then their inside."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise

from .align import Aligned, Builder

_FRONT = re.compile(
    r"\ufeff?(?:---[ \t]*\r?\n.*?^(?:---|\.\.\.)|\+\+\+[ \t]*\r?\n.*?^\+\+\+)[ \t]*(?:\r?\n|\Z)",
    re.DOTALL | re.MULTILINE,
)
_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")
_FENCE = re.compile(r"[ \t]*(?:>[ \t]?)*[ \t]*(`{3,}|~{3,})([^`\n]*)$")
_QUOTE = re.compile(r"[ \t]{0,3}(?:>[ \t]?)+")
_HEADING = re.compile(r"[ \t]{0,3}#{1,6}(?=[ \t]|$)[ \t]*")
_HEADING_END = re.compile(r"[ \t]+#+[ \t]*$|[ \t]*\{#[\w-]+\}[ \t]*$")
_BULLET = re.compile(r"([ \t]*)([-*+])[ \t]+(?:\[[ xX]\][ \t]+)?")
_RULE = re.compile(r"[ \t]{0,3}(?:(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|(?:-[ \t]*){3,}|=+[ \t]*)$")
_TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$")
_CELL = re.compile(r"[ \t]*(?<!\\)\|[ \t]*")
_NOTE = re.compile(r"[ \t]{0,3}\[\^[^\]\n]+\]:[ \t]*")
_DEFINITION = re.compile(r"[ \t]{0,3}\[[^\]\n]+\]:[ \t]*\S+.*$")
_HTML_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)

_TEXT = r"(?:\\.|[^\[\]\\]|\[(?:\\.|[^\[\]\\]){0,500}\]){0,2000}"
_TARGET = r"\(\s*(?:<[^<>\n]*>|(?:[^\s()\\]|\\.|\([^\s()]*\))*)(?:\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?\s*\)"
_INLINE = re.compile(
    rf"""\\(?P<escape>[!-/:-@\[-`{{-~])
    |(?P<ticks>`+)(?P<code>(?:.|\n){{1,5000}}?)(?<!`)(?P=ticks)(?!`)
    |<!--(?:.|\n)*?(?:-->|\Z)
    |!\[(?P<alt>{_TEXT})\](?:{_TARGET}|\[[^\[\]]*\])
    |\[(?P<footnote>\^[^\]\s]+)\]
    |\[(?P<link>{_TEXT})\](?:{_TARGET}|\[[^\[\]]*\])
    |<(?P<auto>(?:https?|ftp|mailto):[^<>\s]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)>
    |(?P<br><br[ \t]*/?>)
    |</?[A-Za-z][\w-]*(?:\s[^<>]*)?/?>
    |(?P<entity>&(?:\#[0-9]{{1,7}}|\#[xX][0-9A-Fa-f]{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,31}});)
    |\*{{3}}(?=[^\s*])(?P<both>(?:\\.|[^\\*]){{1,2000}}?)(?<!\s)\*{{3}}(?!\*)
    |\*{{2}}(?=\*?[^\s*])(?P<strong>(?:\\.|[^\\*]|\*(?!\*)){{1,2000}}?)(?<!\s)\*{{2}}(?!\*)
    |\*(?=[^\s*])(?P<emphasis>(?:\\.|[^\\*]){{1,2000}}?)(?<!\s)\*(?!\*)
    |(?<!\w)(?P<under>_{{1,3}})(?=[^\s_])(?P<low>(?:\\.|[^\\_]|(?<=\w)_(?=\w)){{1,2000}}?)(?<![\s_])(?P=under)(?!\w)
    |(?P<tilde>~~)(?=\S)(?P<struck>(?:.|\n){{1,2000}}?)(?<=\S)~~""",
    re.VERBOSE,
)
_NESTED = ("alt", "link", "both", "strong", "emphasis", "low", "struck")


def markdown(text: str, /) -> Aligned:
    """Return the text of a Markdown file: code, link and image texts stay; bullets become ・, table bars tabs."""
    document = _Document(text)
    _, position = front_matter(text)
    while position < len(text):
        position = document.line(position)
    document.flush()
    return document.builder.build()


def front_matter(text: str, /) -> tuple[str, int]:
    """Return the front matter of a Markdown file (YAML or TOML, its fences included), and where the rest begins."""
    front = _FRONT.match(text)
    return (front[0], front.end()) if front else ("", 0)


class _Document:
    """What is being written: the plain lines that wait to be read together, and the fence that is open."""

    def __init__(self, source: str) -> None:
        self.builder = Builder(source)
        self._source = source
        self._fence = ""
        self._waiting: tuple[int, int] | None = None

    def line(self, position: int) -> int:
        """Read the line at a position, and return where the next begins."""
        match = _LINE.match(self._source, position)
        stop = match.end() if match else len(self._source)
        end = len(self._source[position:stop].rstrip("\r\n")) + position
        comment = (
            _HTML_COMMENT.match(self._source, position)
            if self._source.startswith("<!--", position) and not self._fence
            else None
        )
        if comment:
            self.flush()
            return comment.end()
        self._take(position, end, stop)
        return stop

    def flush(self) -> None:
        """Write the plain lines that wait."""
        if self._waiting:
            self._inline(*self._waiting)
            self._waiting = None

    def _take(self, start: int, end: int, stop: int) -> None:
        source = self._source
        fence = _FENCE.match(source, start, end)
        if fence and (not self._fence or (fence[1].startswith(self._fence) and not fence[2].strip())):
            self.flush()
            self._fence = "" if self._fence else fence[1]
        elif self._fence:
            self.builder.copy(start, stop)
        elif _RULE.match(source, start, end) or (
            _DEFINITION.match(source, start, end) and not _NOTE.match(source, start, end)
        ):
            self.flush()
            self.builder.copy(end, stop)
        elif "|" in source[start:end] and _TABLE_RULE.match(source, start, end):
            self.flush()
        elif _ROW.match(source, start, end):
            self.flush()
            self._row(start, end, stop)
        else:
            self._block(start, end, stop)

    def _block(self, start: int, end: int, stop: int) -> None:
        """A line of prose: its markers go, the rest is read with its neighbours if it has none."""
        source, begin = self._source, start
        if quote := _QUOTE.match(source, begin, end):
            begin = quote.end()
        if heading := _HEADING.match(source, begin, end):
            self.flush()
            tail = _HEADING_END.search(source, heading.end(), end)
            self._inline(heading.end(), tail.start() if tail else end)
            self.builder.replace("\n\n", end, stop)
            return
        if note := _NOTE.match(source, begin, end):
            begin = note.end()
        elif bullet := _BULLET.match(source, begin, end):
            self.flush()
            self.builder.copy(begin, bullet.end(1))
            self.builder.replace("・", bullet.start(2), bullet.end())
            begin = bullet.end()
        if begin > start or begin == end:
            self.flush()
            self._waiting = (begin, stop)
        elif self._waiting:
            self._waiting = (self._waiting[0], stop)
        else:
            self._waiting = (begin, stop)

    def _row(self, start: int, end: int, stop: int) -> None:
        """A table row: its cells with tabs between them."""
        bars = [bar.span() for bar in _CELL.finditer(self._source, start, end)]
        for number, (bar, following) in enumerate(pairwise(bars)):
            if number:
                self.builder.replace("\t", *bar)
            self._inline(bar[1], following[0])
        self.builder.copy(end, stop)

    def _inline(self, start: int, end: int, depth: int = 0) -> None:
        source, done = self._source, start
        for match in _INLINE.finditer(source, start, end):
            self.builder.copy(done, match.start())
            done = match.end()
            nested = next((name for name in _NESTED if match[name] is not None), None)
            if nested:
                if depth < 8:
                    self._inline(*match.span(nested), depth + 1)
                else:
                    self.builder.copy(*match.span(nested))
            else:
                self._leaf(match)
        self.builder.copy(done, end)

    def _leaf(self, match: re.Match[str]) -> None:
        for name in ("escape", "code", "auto"):
            if match[name] is not None:
                self.builder.copy(*match.span(name))
        if match["entity"]:
            self.builder.replace(unescape(match["entity"]), *match.span())
        elif match["br"]:
            self.builder.replace("\n", *match.span())
