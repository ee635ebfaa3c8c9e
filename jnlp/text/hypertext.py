"""HTML to text with offsets into the source.

It has its own tokenizer instead of `html.parser`, to get offsets instead of lines and columns, and the same result for
broken pages in every Python version.
"""

from __future__ import annotations

import re
from html import unescape

from jnlp.patterns import deferred
from jnlp.types import Mark

from .align import Aligned, Builder

# Groups are not possessive: Python up to 3.11.4 loses its place where one ends midway.
_TOKEN = deferred(
    r"""(?P<cdata><!\[CDATA\[)
    |(?P<comment><!--)
    |<[!?][^<>]*+>
    |(?P<tag></?[A-Za-z])
    |(?P<entity>&(?:\#[0-9]{1,8};?|\#[xX][0-9A-Fa-f]{1,7};?|[A-Za-z][A-Za-z0-9]{1,31};?))
    |(?P<space>[ \t\n\r\f]++)
    |(?P<text>[^<&\ \t\n\r\f]++(?:\ [^<&\ \t\n\r\f]++)*|[<&])""",
    re.VERBOSE,
)
_NAME = deferred(r"</?([A-Za-z][^ \t\n\r\f/<>]*+)")
_ATTRIBUTE = deferred(
    r"[ \t\n\r\f/]*+(?:[^ \t\n\r\f/>=][^ \t\n\r\f/>=]*+|=[^ \t\n\r\f/>=]*+)(?:[ \t\n\r\f]*+=[ \t\n\r\f]*+)?"
)
_VALUE = deferred(r"[^ \t\n\r\f>]*+")
_COMMENT_END = deferred(r"--!?>")
_RAW = {"script", "style", "template", "noembed", "noframes", "iframe", "annotation", "annotation-xml"}
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
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_TITLE = deferred(r"<title(?:\s[^<>]*)?>(.*?)(?:</title\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_IN_TITLE = deferred(r"<(script|style)(?=[\s/>]).*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_HEAD = 1 << 17  # characters in which a page states its author and date
_META = deferred(r"<meta(?=\s)[^<>]{1,2000}>", re.IGNORECASE)
_SAID = deferred(r"""([a-zA-Z]{1,20})\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_MEANT = {
    **dict.fromkeys(("author", "article:author", "dc.creator", "dcterms.creator"), "author"),
    **dict.fromkeys(
        ("article:published_time", "date", "dc.date", "dcterms.created", "dcterms.issued", "pubdate"), "date"
    ),
}
_NAVIGATION = deferred(r"""\brole\s{0,9}=\s{0,9}["']?(?:navigation|search)\b""", re.IGNORECASE)
_NAVIGATING = {"div", "section", "ul", "ol", "header", "footer", "aside", "form", "table"}  # may have such a role
_AROUND = {"header", "footer", "aside"}  # what surrounds the main part of a page that marks one
_MAIN = deferred(r"<main(?=[ \t\n\r\f/>])", re.IGNORECASE)
_MAIN_END = deferred(r"</main(?=[ \t\n\r\f/>])", re.IGNORECASE)
_LONGEST_HEADING = 300  # characters; an element that is longer was not closed, or is not a heading
_STRENGTH = {"": 0, " ": 1, "\t": 2, "\n": 3, "\n\n": 4}
_WIDE = deferred("[\u3000-\u30ff\u3400-\u9fff\uff01-\uff9f]")


def html(text: str, /) -> Aligned:
    """Return the text that a page shows, with offsets into its source. Broken markup never raises an error.

    Example:
        >>> html("<p>東京&amp;大阪</p>").text
        '東京&大阪'
    """
    return _Page(text).read()


def html_with_outline(text: str, /, *, content: bool = False) -> tuple[Aligned, tuple[Mark, ...]]:
    """Return the text that a page shows, and its headings.

    Args:
        text: The page.
        content: Leave out navigation: `nav` and elements with the role navigation or search, and in a page with a
            `main`, each `header`, `footer` and `aside` outside it. A page that has nothing else keeps all.

    Example:
        >>> html_with_outline("<h2>第1条</h2>目的")[1]
        (Mark(start=0, kind='heading', level=2, title='第1条', number=None),)
        >>> html_with_outline("<nav>製品 採用</nav><p>目的</p>", content=True)[0].text
        '目的'
    """
    page = _Page(text, content=content)
    found = page.read()
    if content and page.left_out and not found.text.strip():
        page = _Page(text)
        found = page.read()
    return found, page.outline()


def html_fragment(text: str, /) -> tuple[Aligned, tuple[Mark, ...]]:
    """Return the text that a piece of a page shows, and its headings.

    A comment or a script that does not end in it is text.
    """
    page = _Page(text, whole=False)
    return page.read(), page.outline()


def html_title(text: str, /) -> str | None:
    """Return the title of a page with its white space collapsed, or None if it has none.

    Example:
        >>> html_title("<title>就業 規則</title>")
        '就業 規則'
    """
    found = _TITLE.search(text)
    title = " ".join(unescape(_IN_TITLE.sub("", found[1])).split()) if found else ""
    return title or None


def html_meta(text: str, /) -> dict[str, str]:
    """Return the author and the date that a page states in its head, where it does.

    Example:
        >>> html_meta('<meta name="author" content="総務部"><meta name="date" content="2024-04-01">')
        {'author': '総務部', 'date': '2024-04-01'}
    """
    found: dict[str, str] = {}
    for meta in _META.finditer(text, 0, _HEAD):
        said = {key.lower(): unescape(double or single or bare) for key, double, single, bare in _SAID.findall(meta[0])}
        key = _MEANT.get((said.get("name") or said.get("property") or "").lower())
        value = " ".join(said.get("content", "").split())
        if key and value:
            found.setdefault(key, value)
    return found


def _main_part(source: str) -> tuple[int, int] | None:
    """Return where the main part of a page is, if the page marks one."""
    start = _MAIN.search(source)
    end = _MAIN_END.search(source, start.end()) if start else None
    return (start.start(), end.start()) if start and end else None


class _Page:
    """The state of writing a page: the pending separator, and elements being skipped or kept unchanged."""

    def __init__(self, source: str, *, whole: bool = True, content: bool = False) -> None:
        self.builder = Builder(source)
        self._source = source
        self._whole = whole
        self._content = content
        self._main = _main_part(source) if content else None
        self.left_out = False
        """Whether something was left out as navigation."""
        self._unclosed: set[str] = set()  # elements whose end was looked for in vain
        self._broken = False  # a tag has no end: from there on any > ends one
        self._missing: set[str] = set()  # ends that do not come any more
        self._due, self._due_start, self._due_end = "", 0, 0
        self._last = ""
        self._pre = 0
        self._gloss = False
        self._heading: int | None = None  # the level of the heading that is open
        self._heading_start: int | None = None  # where it begins in the new text
        self._headings: list[tuple[int, int, str]] = []

    def read(self) -> Aligned:
        """Read the page once."""
        position = 0
        while token := _TOKEN.match(self._source, position):
            position = self._take(token)
        self._end_heading()
        return self.builder.build()

    def outline(self) -> tuple[Mark, ...]:
        """Return the headings of what was read."""
        return tuple(Mark(start, "heading", level, title) for start, level, title in self._headings)

    def _take(self, token: re.Match[str]) -> int:
        """Write one token and return where to continue."""
        start, end = token.span()
        kind = token.lastgroup
        if kind == "space":
            self._space(start, end)
        elif kind == "entity":
            self._entity(token[0], start, end)
        elif kind == "cdata":
            return self._cdata(start, end)
        elif kind == "comment":
            return self._comment(start, end)
        elif kind == "tag":
            return self._tag(start)
        elif kind == "text":
            self._write(self._source[start:end], start, end, copied=True)
        return end

    def _find(self, closing: str, start: int) -> int:
        """Return the next position of a string, or -1; a failed search is not repeated."""
        found = -1 if closing in self._missing else self._source.find(closing, start)
        if found < 0:
            self._missing.add(closing)
        return found

    def _cdata(self, start: int, end: int) -> int:
        closed = self._find("]]>", end)
        if closed < 0:
            return self._rest(start)
        self._write(self._source[end:closed], end, closed, copied=True)
        return closed + 3

    def _rest(self, start: int) -> int:
        """Keep everything that follows as text: the construct that begins there has no end."""
        self._write(self._source[start:], start, len(self._source), copied=True)
        return len(self._source)

    def _comment(self, start: int, end: int) -> int:
        """Past a comment."""
        if self._source.startswith((">", "->"), end):
            return self._source.index(">", end) + 1
        closed = _COMMENT_END.search(self._source, end)
        return closed.end() if closed else self._rest(start)

    def _tag(self, start: int) -> int:
        end = self._tag_end(start)
        name = _NAME.match(self._source, start)
        if end < 0 or name is None or self._source.startswith("<", name.end()):
            self._write("<", start, start + 1, copied=True)
            return start + 1
        return self._element(name[1].lower(), self._source[start + 1] == "/", start, end)

    def _tag_end(self, start: int) -> int:
        """Return the end of a tag, or -1. As in HTML's own parser, a > ends it unless it is in a quoted value."""
        source = self._source
        place = _NAME.match(source, start).end()  # type: ignore[union-attr]  # the token begins with a name
        while not self._broken and place < len(source):
            attribute = _ATTRIBUTE.match(source, place)
            if attribute is None:
                closed = self._find(">", place)
                if closed >= 0:
                    return closed + 1
                break
            place = attribute.end()
            if not attribute[0].rstrip(" \t\n\r\f").endswith("=") or attribute[0].strip(" \t\n\r\f/") == "=":
                continue
            quote = source[place : place + 1]
            if quote in ("'", '"') and quote:
                place = self._find(quote, place + 1) + 1
                if not place:
                    break
            elif value := _VALUE.match(source, place):
                place = value.end()
        self._broken = True
        return self._find(">", start) + 1 or -1

    def _element(self, tag: str, closes: bool, start: int, end: int) -> int:
        if tag in _RAW and not closes and self._source[end - 2] != "/":
            return self._skip(tag, end)
        if self._content and not closes and self._is_around(tag, start, end):
            closed = self._past(tag, end)
            if closed is not None:
                self.left_out = True
                self._separate("\n\n", start, closed)
                return closed
        if tag in _GLOSS_ENDS:
            self._gloss = tag in _GLOSS and not closes
        elif tag in _PARAGRAPHS:
            self._gloss = False
            self._separate("\n\n", start, end)
            if tag in _HEADINGS:
                self._end_heading()
                self._heading = None if closes else int(tag[1])
            if tag == "pre":
                self._pre = max(0, self._pre + (-1 if closes else 1))
        elif tag in _BREAKS:
            self._separate("\n", start, end)
        elif tag in _CELLS:
            self._separate("\t", start, end)
        return end

    def _is_around(self, tag: str, start: int, end: int) -> bool:
        """Return whether an element is navigation, or surrounds the main part."""
        if tag == "nav" or (tag in _NAVIGATING and _NAVIGATION.search(self._source, start, end)):
            return True
        return tag in _AROUND and self._main is not None and not self._main[0] <= start < self._main[1]

    def _past(self, tag: str, end: int) -> int | None:
        """Return the end of an element with elements of its kind in it; None if it has no end."""
        if tag in self._unclosed:
            return None
        depth = 1
        for found in re.compile(rf"<(/?){re.escape(tag)}(?=[ \t\n\r\f/>])", re.IGNORECASE).finditer(self._source, end):
            depth += -1 if found[1] else 1
            if depth == 0:
                closed = self._find(">", found.end())
                return closed + 1 if closed >= 0 else None
        self._unclosed.add(tag)
        return None

    def _end_heading(self) -> None:
        """Keep the heading that was open, if it has a text."""
        start, level = self._heading_start, self._heading
        self._heading = self._heading_start = None
        if start is None or level is None or len(self.builder) - start > _LONGEST_HEADING:
            return
        title = " ".join(self.builder.since(start).split())
        if title:
            self._headings.append((start, level, title))

    def _skip(self, tag: str, end: int) -> int:
        """Return the end of an element whose content is not text; as in browsers, an unclosed one has no end."""
        if tag not in self._missing:
            closing = re.compile(rf"</{re.escape(tag)}(?=[ \t\n\r\f/>])", re.IGNORECASE).search(self._source, end)
            closed = self._find(">", closing.end()) if closing else -1
            if closed >= 0:
                return closed + 1
            self._missing.add(tag)
        return len(self._source) if self._whole else end

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
        if self._heading is not None and self._heading_start is None:
            self._heading_start = len(self.builder)
        if copied:
            self.builder.copy(start, end)
        else:
            self.builder.replace(text, start, end)
        self._last = text[-1]

    def _joins(self, text: str) -> bool:
        """Return True if a line break is between two Japanese characters, and so not a space."""
        broken = self._due == " " and any(c in "\r\n" for c in self._source[self._due_start : self._due_end])
        return broken and bool(_WIDE.match(self._last) and _WIDE.match(text[0]))
