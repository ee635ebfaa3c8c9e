"""Sentences as character offsets, and cutting of very long text.

One pass over each paragraph looks only at terminators and opening brackets. A bracket that closes within `_BRACKET`
characters is skipped as a whole. Any other bracket is an ordinary character, so an unclosed 「 cannot swallow a file.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING
from unicodedata import combining

from jnlp.patterns import deferred

from .paragraphs import paragraphs, trim

if TYPE_CHECKING:
    from collections.abc import Iterator

_BRACKET = 300  # characters: longer quotations are split inside
_PAIRS = dict(zip("「『（(［[｛{【〈《〔“｢〝", "」』）)］]｝}】〉》〕”｣〟", strict=True))
_OPENERS = {closer: opener for opener, closer in _PAIRS.items()}
_CLOSERS = "".join(map(re.escape, _OPENERS))
_BRACKETS = deferred(f"[{''.join(map(re.escape, _PAIRS))}{_CLOSERS}]")
_MARK = "。．｡！？!?‼⁇⁈⁉"
_EVENT = deferred(rf"[{''.join(map(re.escape, _PAIRS))}]|[{_MARK}]+|\.+|(?<![…‥])[…‥]++(?=\u3000)")
_TAIL = deferred(
    rf"(?:[{_CLOSERS}’〟{_MARK}]|(?<=[{_MARK}])[…‥♪♡♥☆★]+|[（(](?:笑|泣|汗|爆|苦笑|怒|涙|照|焦|謎|嘘|爆笑)[)）])+"
)
_CLOSED = deferred(f"[{_CLOSERS}]+")
_ENDS_INSIDE = deferred(rf"[{_MARK}.…‥][{_CLOSERS}]*[{_CLOSERS}]$")

# After a closing bracket a sentence goes on with a particle, unless the hiragana begins a word that opens sentences.
_OPENS = (
    "そう|それ|そこ|その|そし|そん|あの|あな|あれ|あた|ある|この|これ|ここ|こう|こん|でも|だが|だから|だけど|しかし|とて|もう|もし|まだ|また|まあ|"
    "はい|はは|はじ|はっ|いや|いえ|いい|いま|いつ|すると|すぐ|すべ|ところ|とに|ふと|ふた|やが|やは|やっ|かれ|かの|わた|わし|ぼく|おれ|おい|みん|みな|"
    "ちょ|さあ|さて|さら|なぜ|なに|なる|なん|どう|どこ|どん|だれ|にも|のち|のん|ひと|ほん|つい|つま|たし|たと|よう|よし|より|うん|ええ|えっ"
)
_PARTICLE = deferred(rf"(?!{_OPENS})[ぁ-んー]|[、，,・]|という|とと|[。．]")
# After ！ and ？ it goes on with a quotative or an object particle (助けて！と叫んだ), after 。 hardly ever.
_QUOTED = deferred(
    r"[、，,]|を|の(?![ちんどりびぞこみろっ])|と(?:[、いの]|言|云|思|叫|聞|答|尋|訊|述|話|書|語|続|呼|怒|笑|つぶ|呟|さけ|問|騒|喜|驚|返|題|銘|表)"
    r"|って|などと?|が(?![、，])|は(?![いはじっあぁず、や])|に(?![わこもっ])|で(?![もはすき])"
)
_NAMED = deferred(r"(?:モーニング娘|モー娘|Yahoo|ＹＡＨＯＯ|ヤフー)$", re.IGNORECASE)
_NAME_GOES_ON = deferred(r"\s?[A-Za-zァ-ヶ一-鿿]|[はがをにへとのもでや、・」』）)]|から|まで|より|など")
_NOUN = deferred(r"[、，]|を|の(?![ちんどりびぞこみろっ])")

_ABBREVIATION = deferred(
    r"(?:(?<![A-Za-z])(?:[A-Za-z]|Dr|Mr|Mrs|Ms|Prof|Sr|Jr|St|Mt|Rev|Gen|Col|Capt|Lt|Sgt|Hon|vs|cf|viz|al|ca|approx|Inc|Ltd|Co|Corp|Bros|Univ|Dept|"
    r"Vol|vol|Fig|fig|Figs|Eq|eq|Sec|sec|Ch|ch|Ed|ed|eds|pp|Nos|nos|Art|art|Ver|ver|Rev|Tel|tel|Ph\.D|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
    r"|(?:[A-Za-z]\.)+[A-Za-z])$"
)
_NUMBERED = deferred(r"(?<![A-Za-z])(?:No|no|p|art)$")
_ITEM = deferred(r"[(（]?(?:[0-9０-９]{1,3}|[A-Za-zＡ-Ｚ])$")
_WORD = deferred(r"[0-9A-Za-z０-９Ａ-Ｚａ-ｚ]")
_AFTER_QUOTE = deferred(rf"(?!{_OPENS})(?:と|って|など)")
_BLANK = deferred(r"\s*")
_QUERY = deferred(r"[0-9A-Za-z=&#_/\-]")


def sentences(text: str, /) -> Iterator[tuple[int, int]]:
    """Yield the sentences in order, without outer white space; every other character belongs to exactly one.

    A sentence ends at 。．！？!? with following brackets and quotes, at a full stop that is not an abbreviation, and at
    the end of a paragraph. Linear time.

    Example:
        >>> list(sentences("雨だ。「行こう。」と言った。"))
        [(0, 3), (3, 14)]
    """
    for start, end in paragraphs(text):
        begin = start
        for stop in _stops(text, start, end):
            sentence = trim(text, begin, stop)
            if sentence[0] < sentence[1]:
                yield sentence
            begin = stop


def cut(text: str, limit: int, /) -> Iterator[tuple[int, int]]:
    """Yield ranges of at most `limit` characters that tile the text.

    They end at sentence ends if possible, else after 、 or white space, else before any non-combining character. Raises
    ValueError if limit < 1.

    Example:
        >>> list(cut("雨だ。風もある。", 5))
        [(0, 3), (3, 8)]
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    begin = last = 0
    if len(text) <= limit:
        yield from [(0, len(text))] if text else []
        return
    for start, _ in chain(sentences(text), [(len(text), len(text))]):
        while start - begin > limit:
            stop = last if last > begin else _break(text, begin, begin + limit)
            yield begin, stop
            begin = stop
        last = start
    if begin < len(text):
        yield begin, len(text)


def _stops(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the end of each sentence of a paragraph; the last one is the paragraph's end."""
    closer = _Closers(text, end)
    begin = position = start  # `begin` is the first character of the sentence that is no blank
    while event := _EVENT.search(text, position, end):
        opened, position = event.span()
        if event[0] in _PAIRS:
            closed = closer.of(opened)
            if closed is None:
                continue
            position = closed + 1
            stop = _after_bracket(text, begin, opened, position, end)
        else:
            position = _after_tail(text, position, begin, end)
            stop = position if _ends(text, begin, opened, event.end(), position, end) else None
        if stop is not None:
            position = stop
            begin = _BLANK.match(text, stop, end).end()  # type: ignore[union-attr]  # it matches anywhere
            if stop < end:
                yield stop
    yield end


def _after_bracket(text: str, begin: int, opened: int, closed: int, end: int) -> int | None:
    """Return the sentence's end if it consists of a bracket with a complete sentence inside, else None."""
    if begin < opened:
        return None
    if not _ENDS_INSIDE.search(text, max(opened, closed - 8), closed):
        return None
    tail = _TAIL.match(text, closed, end)
    stop = tail.end() if tail else closed
    return None if _PARTICLE.match(text, stop, end) else stop


def _after_tail(text: str, stop: int, begin: int, end: int) -> int:
    """Return the end of the brackets and quotes that follow a run of terminators."""
    if tail := _TAIL.match(text, stop, end):
        stop = tail.end()
    if stop < end and text[stop] == '"' and text.count('"', max(begin, stop - 2000), stop) % 2:
        stop += 1
    return stop


def _ends(text: str, begin: int, mark: int, stop: int, tail: int, end: int) -> bool:
    """Return True if the sentence ends at a run of terminators `[mark, stop)` with brackets up to `tail`."""
    run = text[mark:stop]
    if run[0] == "." and not _full_stop(text, begin, mark, stop, end):
        return False
    before = text[max(begin, mark - 12) : mark]
    if _NAMED.search(before) and _NAME_GOES_ON.match(text, stop, end):
        return False
    if run == "．" and ((_WORD.match(text, stop, end) and _WORD.match(before[-1:])) or _is_item(text, begin, mark)):
        return False
    if run.isascii() and run[0] != "." and before[-1:].isascii() and _QUERY.match(text, stop, end):
        return False
    return not _goes_on(text, mark, tail, end)


def _is_item(text: str, begin: int, mark: int) -> bool:
    """Return True if the text before a mark is only the number of a list item: (1, ａ."""
    return mark - begin <= 4 and _ITEM.fullmatch(text, begin, mark) is not None


def _goes_on(text: str, mark: int, stop: int, end: int) -> bool:
    """Return True if the sentence continues after a mark and its brackets: 助けて！と叫んだ."""
    if _CLOSED.search(text, mark, stop):
        return bool(_AFTER_QUOTE.match(text, stop, end))
    return bool((_NOUN if text[stop - 1] in "。．｡." else _QUOTED).match(text, stop, end))


def _full_stop(text: str, begin: int, mark: int, stop: int, end: int) -> bool:
    """Return True if an ASCII full stop ends a sentence: not in 3.14, e.g., Dr., example.com, No. 5, 1. はじめに."""
    if stop - mark > 1 or stop >= end:
        return stop >= end
    after = text[stop]
    if _WORD.match(after) or after in ",;:/\\_-":
        return False
    before = text[max(begin, mark - 12) : mark]
    if _ABBREVIATION.search(before) or _is_item(text, begin, mark):
        return False
    following = text[stop : stop + 8].lstrip()
    if _NUMBERED.search(before) and following[:1].isdigit():
        return False
    if after.isspace() or after in _OPENERS or after in "\"'”’":
        return not ("a" <= following[:1] <= "z")
    return not _PARTICLE.match(after) or not before[-1:].isascii()


class _Closers:
    """Finds closing brackets. It reads ahead up to the limit, and no character twice."""

    def __init__(self, text: str, end: int) -> None:
        self._text, self._end = text, end
        self._read = 0
        self._open: list[int] = []
        self._found: dict[int, int] = {}

    def of(self, opened: int) -> int | None:
        """Return where an opening bracket closes, or None if not within the limit. Calls must be in order."""
        if self._read <= opened:
            self._open.clear()
            self._read = opened
        limit = min(self._end, opened + _BRACKET)
        while opened not in self._found and (bracket := _BRACKETS.search(self._text, self._read, limit)):
            self._read = bracket.end()
            self._take(bracket[0], bracket.start())
        closed = self._found.get(opened)
        if closed is not None:
            self._found.clear()
        return closed

    def _take(self, bracket: str, place: int) -> None:
        if bracket in _PAIRS:
            self._open = [*self._open[-31:], place]
            return
        for depth in range(len(self._open) - 1, -1, -1):
            if self._text[self._open[depth]] == _OPENERS[bracket]:
                self._found[self._open[depth]] = place
                del self._open[depth:]
                return


def _break(text: str, begin: int, stop: int) -> int:
    """Return where to cut a range that has no sentence end."""
    for soft in (r"[、，,；;](?!\d)|[」』）)】]", r"\s"):
        found = max(
            (match.end() for match in re.compile(soft).finditer(text, begin + (stop - begin) // 2, stop)), default=begin
        )
        if found > begin and not _sticks(text, found):
            return found
    place = stop
    while place > begin and _sticks(text, place):
        place -= 1
    return place if place > begin else stop


def _sticks(text: str, place: int) -> bool:
    """Return True if a cut there would split a combined character."""
    if place >= len(text):
        return False
    after = text[place]
    before = text[place - 1]
    if before == "\u200d" or (before == "\r" and after == "\n"):
        return True
    return bool(combining(after)) or after in "\u200d\ufe0e\ufe0fﾞﾟ" or "\udc00" <= after <= "\udfff"
