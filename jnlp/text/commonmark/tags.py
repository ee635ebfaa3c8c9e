"""HTML in Markdown: finds the end of a tag, a comment or a declaration by CommonMark's rules."""

from __future__ import annotations

from jnlp.patterns import deferred

_NAME = deferred(r"</?[A-Za-z][A-Za-z0-9-]*+")
_ATTRIBUTE = deferred(
    r"[ \t\r\n]++[A-Za-z_:][A-Za-z0-9_.:-]*+"
    r"(?:[ \t\r\n]*+=[ \t\r\n]*+(?:[^\s\"'=<>`]++|'[^']*+'|\"[^\"]*+\"))?"
)
_TAG_END = deferred(r"[ \t\r\n]*+/?>")
_MOST_ATTRIBUTES = 100
_COMMENT = ("<!--", "-->")
_ENDED = (_COMMENT, ("<?", "?>"), ("<![CDATA[", "]]>"))
_DECLARATION = deferred(r"<![A-Za-z][^<>]*+>")


class Tags:
    """Finds the ends of tags in one text. It remembers failed searches, so that none is repeated."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._missing: set[str] = set()

    def end(self, start: int, /) -> int:
        """Return the end of the HTML that begins at `<`, or -1 if it is not HTML."""
        text = self._text
        for opening, closing in _ENDED:
            if text.startswith(opening, start):
                return self._find(closing, start + len(opening), empty=opening == "<!--")
        if declaration := _DECLARATION.match(text, start):
            return declaration.end()
        return tag_end(text, start)

    def is_cdata(self, start: int, /) -> bool:
        """Return True if a CDATA section begins there."""
        return self._text.startswith("<![CDATA[", start)

    def _find(self, closing: str, start: int, *, empty: bool) -> int:
        if empty and self._text.startswith((">", "->"), start):  # <!--> and <!---> are whole comments
            return self._text.index(">", start) + 1
        if closing in self._missing:
            return -1
        found = self._text.find(closing, start)
        if found < 0:
            self._missing.add(closing)
            return -1
        return found + len(closing)


def tag_end(text: str, start: int, end: int | None = None, /) -> int:
    """Return the end of the opening or closing tag that begins at `<`, or -1. Tag and attribute names are ASCII.

    Example:
        >>> tag_end("<b class=x>太字", 0), tag_end("<A社>の見積", 0)
        (11, -1)
    """
    end = len(text) if end is None else end
    name = _NAME.match(text, start, end)
    if name is None:
        return -1
    place = name.end()
    if text[start + 1] != "/":
        for _ in range(_MOST_ATTRIBUTES):
            attribute = _ATTRIBUTE.match(text, place, end)
            if attribute is None:
                break
            place = attribute.end()
    closed = _TAG_END.match(text, place, end)
    if closed is None or (text[start + 1] == "/" and text[closed.end() - 2] == "/"):
        return -1
    return closed.end()
