"""Link targets, as after `](`, and link definitions, `[label]: target "title"`."""

from __future__ import annotations

import re

from jnlp.patterns import deferred

_BLANK = deferred(r"[ \t]*+(?:\r?\n|\r)?[ \t]*+")
_POINTED = deferred(r"<(?:[^<>\r\n\\]|\\.)*+>")
_PLAIN = deferred(r"[^\x00-\x20\x7f()\\]++|\\[!-/:-@\[-`{-~]|\\(?![ \t\r\n])")
_TITLE = deferred(r'"(?:[^"\\]|\\.)*+"|\'(?:[^\'\\]|\\.)*+\'|\((?:[^()\\]|\\.)*+\)', re.DOTALL)
_DEEPEST = 32
_LABEL = deferred(r"\[((?:[^\[\]\\]|\\.){1,999})\]", re.DOTALL)
_DEFINITION = deferred(r"\[((?:[^\[\]\\]|\\.){1,999})\]:[ \t]*+")
_NOTE = deferred(r"\[\^([^\[\]\s]{1,999})\]:[ \t]*+(?=[^ \t\r\n])")
_NO_LINK = deferred(r"<?[ \t]*(?:javascript|vbscript|file|data):", re.IGNORECASE)
_JAPANESE = deferred("[\u3001-\u30ff\u3400-\u9fff\uff01-\uff9f]")
_OF_PATHS = deferred(r"[/#:.<]")


def target_end(text: str, start: int, /) -> int:
    """Return the end of the target that begins at `(`, after its `)`, or -1 if it is not a target."""
    place = _skip(text, start + 1)
    if _NO_LINK.match(text, place):  # shown as text by careful programs
        return -1
    destination = destination_end(text, place)
    if destination < 0:
        return -1
    after = _skip(text, destination)
    if after > destination and (title := _TITLE.match(text, after)):
        after = _skip(text, title.end())
    return after + 1 if text.startswith(")", after) else -1


def destination_end(text: str, start: int, end: int | None = None, /) -> int:
    """Return where a link's destination ends: in angle brackets, or up to a blank with its parentheses balanced."""
    end = len(text) if end is None else end
    if text.startswith("<", start):
        pointed = _POINTED.match(text, start, end)
        return pointed.end() if pointed else -1
    depth, place = 0, start
    while place < end:
        if plain := _PLAIN.match(text, place, end):
            place = plain.end()
        elif text[place] == "(" and depth < _DEEPEST:
            depth, place = depth + 1, place + 1
        elif text[place] == ")" and depth:
            depth, place = depth - 1, place + 1
        else:
            break
    return -1 if depth or (place < end and text[place] == "(") else place


def label_at(text: str, start: int, /) -> re.Match[str] | None:
    """Return the match of `[label]` at a position; its first group is the label."""
    return _LABEL.match(text, start)


def normal(label: str, /) -> str:
    """Return a label normalised for comparison: case folded, white space collapsed."""
    return " ".join(label.split()).casefold()


def note_at(text: str, start: int, end: int, /) -> re.Match[str] | None:
    """Return the match of a footnote's `[^label]:`."""
    return _NOTE.match(text, start, end)


def definition_at(text: str, start: int, end: int, /) -> tuple[str, str] | None:
    """Return the label that a line defines and its destination, or None if the line is text."""
    head = _DEFINITION.match(text, start, end)
    if head is None or not head[1].strip():
        return None
    stop = destination_end(text, head.end(), end)
    destination = text[head.end() : stop]
    if stop <= head.end() or _NO_LINK.match(destination):
        return None
    rest = text[stop:end].strip(" \t")
    if rest and (text[stop] not in " \t" or not _TITLE.fullmatch(rest)):
        return None
    return normal(head[1]), destination


def reads_as_text(destination: str, /) -> bool:
    """Return True if a destination is Japanese and unlike a path, as in a chat log: `[田中]: 了解しました。`."""
    return bool(_JAPANESE.search(destination)) and not _OF_PATHS.search(destination)


def _skip(text: str, start: int) -> int:
    blank = _BLANK.match(text, start)
    return blank.end() if blank else start
