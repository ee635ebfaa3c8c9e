"""The inlines of a paragraph, a heading or a cell: markup is removed, everything else stays."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from html import unescape
from html.entities import html5
from typing import TYPE_CHECKING

from jnlp.patterns import deferred
from jnlp.text.align import Aligned, Builder
from jnlp.text.commonmark.references import label_at, normal, target_end
from jnlp.text.commonmark.tags import Tags

if TYPE_CHECKING:
    from collections.abc import Collection

_SPECIAL = deferred(r"[\\`*_~<&!\[\]]")
_TICKS = deferred("`+")
_RUN = deferred(r"(.)\1*", re.DOTALL)
_ESCAPED = deferred(r"\\[!-/:-@\[-`{-~]")
_ENTITY = deferred(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|([A-Za-z][A-Za-z0-9]{1,31}));")
_AUTOLINK = deferred(
    r"<(?:[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\x00-\x20<>]*+"
    r"|[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]++@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)>"
)
_BREAK = deferred(r"<br[ \t]*/?>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Labels:
    """The normalised labels of links and footnotes that a document defines."""

    links: Collection[str] = ()
    notes: Collection[str] = ()


def inlines(text: str, labels: Labels, /) -> Aligned:
    """Return the text that a paragraph shows, with offsets into its source. Linear in its length."""
    return _Inlines(text, labels).read()


@dataclass(slots=True)
class _Run:
    """A run of `*`, `_` or `~~` that may open or close; `[start, end)` is its unused part."""

    start: int
    end: int
    length: int
    opens: bool
    closes: bool
    serial: int = 0


@dataclass(frozen=True, slots=True)
class _Bracket:
    start: int
    inside: int
    runs: int  # how many runs came before
    edits: int  # how many edits were made before
    image: bool


class _Inlines:
    def __init__(self, text: str, labels: Labels) -> None:
        self._text, self._labels = text, labels
        self._edits: list[tuple[int, int, str]] = []
        self._runs: list[_Run] = []
        self._brackets: list[_Bracket] = []
        self._dead = 0  # brackets below this depth open no link: links hold no links
        self._ticks: dict[int, list[int]] | None = None
        self._tags = Tags(text)

    def read(self) -> Aligned:
        """Read the text once and apply the edits."""
        text, place = self._text, 0
        # fmt: off
        read = {
            "\\": self._backslash, "`": self._code, "<": self._angle, "&": self._entity, "!": self._image,
            "[": self._open, "]": self._close, "*": self._run, "_": self._run, "~": self._run,
        }
        # fmt: on
        while special := _SPECIAL.search(text, place):
            place = read[special[0]](special.start())
        self._emphasis(0)
        builder, done = Builder(text), 0
        for start, end, put in sorted(self._edits):
            builder.copy(done, start)
            builder.replace(put, start, end)
            done = end
        builder.copy(done, len(text))
        return builder.build()

    def _drop(self, start: int, end: int) -> None:
        self._edits.append((start, end, ""))

    def _backslash(self, at: int) -> int:
        if not _ESCAPED.match(self._text, at):
            if self._text.startswith("\n", at + 1):  # a hard line break
                self._drop(at, at + 1)
            return at + 1
        self._drop(at, at + 1)
        return at + 2

    def _code(self, at: int) -> int:
        if self._ticks is None:
            self._ticks = {}
            for ticks in _TICKS.finditer(self._text):
                self._ticks.setdefault(len(ticks[0]), []).append(ticks.start())
        end = self._run_end(at)
        places = self._ticks.get(end - at, [])
        found = bisect_left(places, end)
        if found == len(places):
            return end
        self._drop(at, end)
        self._drop(places[found], places[found] + end - at)
        return places[found] + end - at

    def _angle(self, at: int) -> int:
        if link := _AUTOLINK.match(self._text, at):
            self._drop(at, at + 1)
            self._drop(link.end() - 1, link.end())
            return link.end()
        end = self._tags.end(at)
        if end < 0:
            return at + 1
        if self._text.startswith("<?", at):  # to HTML it ends at the first >
            self._drop(at, self._text.index(">", at) + 1)
        elif self._tags.is_cdata(at):
            self._drop(at, at + 9)
            self._drop(end - 3, end)
        else:
            self._edits.append((at, end, "\n" if _BREAK.fullmatch(self._text, at, end) else ""))
        return end

    def _entity(self, at: int) -> int:
        entity = _ENTITY.match(self._text, at)
        if entity is None or (entity[1] and f"{entity[1]};" not in html5):
            return at + 1
        self._edits.append((at, entity.end(), unescape(entity[0]) or "\ufffd"))
        return entity.end()

    def _image(self, at: int) -> int:
        if not self._text.startswith("[", at + 1):
            return at + 1
        self._push(_Bracket(at, at + 2, len(self._runs), len(self._edits), image=True))
        return at + 2

    def _open(self, at: int) -> int:
        self._push(_Bracket(at, at + 1, len(self._runs), len(self._edits), image=False))
        return at + 1

    def _push(self, bracket: _Bracket) -> None:
        self._dead = min(self._dead, len(self._brackets))
        self._brackets.append(bracket)

    def _close(self, at: int) -> int:
        if not self._brackets:
            return at + 1
        bracket = self._brackets.pop()
        if not bracket.image and len(self._brackets) < self._dead:
            return at + 1
        if not bracket.image and self._is_note(bracket, at):
            del self._runs[bracket.runs :], self._edits[bracket.edits :]
            self._drop(bracket.start, at + 1)
            return at + 1
        end = self._link_end(bracket, at)
        if end < 0:
            return at + 1
        self._drop(bracket.start, bracket.inside)
        self._drop(at, end)
        self._emphasis(bracket.runs)
        if not bracket.image:
            self._dead = len(self._brackets)
        return end

    def _is_note(self, bracket: _Bracket, at: int) -> bool:
        if not self._labels.notes or not self._text.startswith("^", bracket.inside) or at - bracket.inside > 999:
            return False
        return normal(self._text[bracket.inside + 1 : at]) in self._labels.notes

    def _link_end(self, bracket: _Bracket, at: int) -> int:
        """Return where the link whose text closes here ends: after target, reference or text; -1 if it is none."""
        if self._text.startswith("(", at + 1) and (end := target_end(self._text, at + 1)) >= 0:
            return end
        if not self._labels.links:
            return -1
        if reference := label_at(self._text, at + 1):
            return reference.end() if normal(reference[1]) in self._labels.links else -1
        if at - bracket.inside > 999 or normal(self._text[bracket.inside : at]) not in self._labels.links:
            return -1
        return at + 3 if self._text.startswith("[]", at + 1) else at + 1

    def _run(self, at: int) -> int:
        text, mark = self._text, self._text[at]
        end = self._run_end(at)
        before, after = text[at - 1 : at], text[end : end + 1]
        opens, closes = bool(after) and not after.isspace(), bool(before) and not before.isspace()
        if mark == "_":  # not inside words: snake_case
            opens, closes = opens and not _is_word(before), closes and not _is_word(after)
        if (opens or closes) and (mark != "~" or end - at == 2):
            self._runs.append(_Run(at, end, end - at, opens, closes))
        return end

    def _run_end(self, at: int) -> int:
        run = _RUN.match(self._text, at)
        return run.end() if run else at + 1

    def _emphasis(self, bottom: int) -> None:
        """Pair the runs above a depth as CommonMark does: each closer with the nearest opener."""
        openers: list[_Run] = []
        failed: dict[tuple[str, bool, int], int] = {}  # up to which opener none fits such a run
        for serial, run in enumerate(self._runs[bottom:], start=1):
            run.serial = serial
            mark = self._text[run.start]
            key = (mark, run.opens, run.length % 3)
            while run.closes and run.start < run.end:
                found = len(openers) - 1
                while found >= 0 and openers[found].serial > failed.get(key, 0) and not self._fit(openers[found], run):
                    found -= 1
                if found < 0 or openers[found].serial <= failed.get(key, 0):
                    failed[key] = openers[-1].serial if openers else 0
                    break
                del openers[found + 1 :]
                self._pair(openers[found], run)
                if openers[found].start == openers[found].end:
                    openers.pop()
            if run.opens and run.start < run.end:
                openers.append(run)
        del self._runs[bottom:]

    def _fit(self, opener: _Run, closer: _Run) -> bool:
        if self._text[opener.start] != self._text[closer.start]:
            return False
        both = opener.closes or closer.opens
        threes = opener.length % 3 == 0 and closer.length % 3 == 0
        return threes or not (both and (opener.length + closer.length) % 3 == 0)

    def _pair(self, opener: _Run, closer: _Run) -> None:
        used = 2 if min(opener.end - opener.start, closer.end - closer.start) >= 2 else 1
        opener.end -= used
        self._drop(opener.end, opener.end + used)
        self._drop(closer.start, closer.start + used)
        closer.start += used


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
