"""HTML to text with offsets into the source.

A tokenizer of its own rather than `html.parser`: it gives offsets instead of lines and columns, and reads a broken page
the same way on every Python.
"""

from __future__ import annotations

import re
from html import unescape

from .align import Aligned, Builder

_TOKEN = re.compile(
    r"""(?P<comment><!--.*?(?:-->|\Z))
    |<!\[CDATA\[(?P<cdata>.*?)(?:\]\]>|\Z)
    |<[!?][^<>]*>
    |<(?P<close>/?)(?P<tag>[A-Za-z][^\s/<>]*)(?:[^<>"']|"[^"]{0,5000}"|'[^']{0,5000}'|["'](?=[^<>]*>))*>
    |(?P<entity>&(?:\#[0-9]{1,8};?|\#[xX][0-9A-Fa-f]{1,7};?|[A-Za-z][A-Za-z0-9]{1,31};?))
    |(?P<space>[ \t\n\r\f]+)
    |(?P<text>[^<&\ \t\n\r\f]+(?:\ [^<&\ \t\n\r\f]+)*|[<&])""",
    re.DOTALL | re.VERBOSE,
)
_RAW = {"script", "style", "template", "textarea", "svg", "math", "noembed", "iframe", "object", "canvas"}
_GLOSS = {"rt", "rp", "rtc"}
_GLOSS_ENDS = {"ruby", "rb", "rt", "rp", "rtc"}
# fmt: off
_PARAGRAPHS = {
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "div", "section", "article", "header", "footer", "main", "nav",
    "aside", "blockquote", "pre", "table", "ul", "ol", "dl", "form", "fieldset", "figure", "figcaption", "details",
    "address", "hr", "title", "body", "head", "html",
}
# fmt: on
_BREAKS = {"br", "li", "dt", "dd", "tr", "caption", "summary", "option", "legend", "thead", "tbody", "tfoot"}
_CELLS = {"td", "th"}
_TITLE = re.compile(r"<title(?:\s[^<>]*)?>(.*?)(?:</title\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_STRENGTH = {"": 0, " ": 1, "\t": 2, "\n": 3, "\n\n": 4}
_WIDE = re.compile("[\u3000-\u30ff\u3400-\u9fff\uff01-\uff9f]")


def html(text: str, /) -> Aligned:
    """Return the text that a page shows, with offsets into its source; broken markup is text or nothing, no error."""
    page = _Page(text)
    position = 0
    while token := _TOKEN.match(text, position):
        position = page.take(token)
    return page.builder.build()


def html_title(text: str, /) -> str | None:
    """Return the title of a page with its white space collapsed, or None if it has none."""
    found = _TITLE.search(text)
    title = " ".join(unescape(found[1]).split()) if found else ""
    return title or None


class _Page:
    """What is being written: the separator that is due, and what is being skipped or kept as it stands."""

    def __init__(self, source: str) -> None:
        self.builder = Builder(source)
        self._source = source
        self._due, self._due_start, self._due_end = "", 0, 0
        self._last = ""
        self._pre = 0
        self._gloss = False

    def take(self, token: re.Match[str]) -> int:
        """Write one token and return where to go on."""
        start, end = token.span()
        kind = token.lastgroup
        if kind == "text":
            self._write(self._source[start:end], start, end, copied=True)
        elif kind == "space":
            self._space(start, end)
        elif kind == "entity":
            self._entity(token[0], start, end)
        elif kind == "cdata":
            self._write(token["cdata"], *token.span("cdata"), copied=True)
        elif kind == "tag":
            return self._tag(token["tag"].lower(), bool(token["close"]), start, end)
        return end

    def _tag(self, tag: str, closes: bool, start: int, end: int) -> int:
        if tag in _RAW and not closes and self._source[end - 2] != "/":
            return self._skip(tag, end)
        if tag in _GLOSS_ENDS:
            self._gloss = tag in _GLOSS and not closes
        elif tag in _PARAGRAPHS:
            self._gloss = False
            self._separate("\n\n", start, end)
            if tag == "pre":
                self._pre = max(0, self._pre + (-1 if closes else 1))
        elif tag in _BREAKS:
            self._separate("\n", start, end)
        elif tag in _CELLS:
            self._separate("\t", start, end)
        return end

    def _skip(self, tag: str, end: int) -> int:
        """Past the end tag of an element whose inside is no text; an unclosed one takes the rest, as in browsers."""
        closing = re.compile(rf"</{re.escape(tag)}(?=[\s/>])[^>]*>", re.IGNORECASE).search(self._source, end)
        return closing.end() if closing else len(self._source)

    def _entity(self, entity: str, start: int, end: int) -> None:
        meant = unescape(entity)
        if meant == entity:
            self._write(entity, start, end, copied=True)
        elif meant.strip(" \t\n\r\f"):
            self._write(meant, start, end, copied=False)
        else:
            self._space(start, end)

    def _space(self, start: int, end: int) -> None:
        if self._pre and not self._gloss:
            self._write(self._source[start:end], start, end, copied=True)
        else:
            self._separate(" ", start, end)

    def _separate(self, separator: str, start: int, end: int) -> None:
        if self._gloss:
            return
        self._due_start = self._due_start if self._due else start
        self._due_end = end
        if _STRENGTH[separator] > _STRENGTH[self._due]:
            self._due = separator

    def _write(self, text: str, start: int, end: int, *, copied: bool) -> None:
        if self._gloss or not text:
            return
        if self._due and self._last and not self._joins(text):
            self.builder.replace(self._due, self._due_start, self._due_end)
        self._due = ""
        if copied:
            self.builder.copy(start, end)
        else:
            self.builder.replace(text, start, end)
        self._last = text[-1]

    def _joins(self, text: str) -> bool:
        """A line broken in the source between two Japanese characters is no space."""
        broken = self._due == " " and any(c in "\r\n" for c in self._source[self._due_start : self._due_end])
        return broken and bool(_WIDE.match(self._last) and _WIDE.match(text[0]))
