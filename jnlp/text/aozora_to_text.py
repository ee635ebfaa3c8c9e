"""The markup of Aozora Bunko: ruby 《》, notes ［＃…］, characters by code, the explaining header, the colophon."""

from __future__ import annotations

import re
from unicodedata import normalize

from jnlp.patterns import deferred

from .align import Aligned, Builder

_KANJI = "々〆〇ヶ㐀-䶿一-鿿豈-\ufaff\U00020000-\U0003ffff仝"
_RUBY = deferred(r"《[^《》\n]{1,60}》")
_HEADER = deferred(r"^-{20,}[ \t]*\r?\n(?:(?!-{20}).*\r?\n){1,60}?-{20,}[ \t]*(?:\r?\n)*", re.MULTILINE)
_HEADER_SAYS = deferred(r"《》|［＃］|ルビ|テキスト中に現れる記号")
_TOKEN = deferred(r"《[^《》\n]{1,60}》|｜(?=[^｜《》\n]{1,60}《)|※?［＃|〔(?=[^〔〕\n]{1,80}〕)|[〔〕]")
_NOTE = deferred("［＃[^［］\n]{1,80}］")
_NOTE_END = deferred("[［］\n]")
_CODE_POINT = deferred(r"U\+([0-9A-Fa-f]{4,6})")
_JIS = deferred(r"(?<![0-9-])([12])-([0-9]{1,2})-([0-9]{1,2})(?![0-9-])")
_ACCENTS = dict(zip("`'^~:,&_", "\u0300\u0301\u0302\u0303\u0308\u0327\u030a\u0304", strict=True))
_ACCENTED = deferred(r"AE&|ae&|OE&|oe&|s&|[cCsStT],|[A-Za-z][`'^~:&_/]")
_LIGATURES = {
    "AE&": "Æ",
    "ae&": "æ",
    "OE&": "Œ",
    "oe&": "œ",
    "s&": "ß",
    "o/": "ø",
    "O/": "Ø",
    "l/": "ł",
    "L/": "Ł",
    "d/": "đ",
}
_GLOSSED = deferred(rf"(?:[{_KANJI}]|｜[^｜《》\n]{{1,60}})《[ぁ-んー・゛゜ゝゞ]+》")
_LOOKED_AT = 1 << 18  # characters
_LONGEST_NOTE, _DEEPEST_NOTE = 500, 4


def aozora(text: str, /) -> Aligned:
    """Return the text of an Aozora Bunko file: without ruby and notes, ※［＃…］ replaced by its character (or 〓).

    Example:
        >>> aozora("吾輩《わがはい》は猫である。").text
        '吾輩は猫である。'
    """
    builder = Builder(text)
    header = _HEADER.search(text, 0, 8192)
    if header and not _HEADER_SAYS.search(header[0]):
        header = None
    end = _body_end(text, header.end() if header else 0)
    if header:
        _body(builder, text, 0, header.start())
        _body(builder, text, header.end(), end)
    else:
        _body(builder, text, 0, end)
    return builder.build()


def is_aozora(text: str, /) -> bool:
    """Return True if a text has Aozora's markup; 《》 around titles alone do not count.

    Example:
        >>> is_aozora("吾輩《わがはい》は猫である。名前はまだ無《な》い。"), is_aozora("《重要》お知らせ")
        (True, False)
    """
    head = text[:_LOOKED_AT]
    header = _HEADER.search(head, 0, 8192)
    if (header and _HEADER_SAYS.search(header[0])) or _NOTE.search(head):
        return True
    ruby = len(_RUBY.findall(head))
    return ruby >= 2 and len(_GLOSSED.findall(head)) >= 0.9 * ruby


def _body_end(text: str, start: int) -> int:
    """Return where the colophon begins: at the last line that names the source, if little follows it."""
    place = max(text.rfind("\n底本：", start), text.rfind("\n底本の親本：", start))
    if place < 0 or len(text) - place > 8192:
        return len(text)
    first = text.rfind("\n底本：", max(start, place - 4096), place)
    return len(text[: first if first >= 0 else place].rstrip())


def _body(builder: Builder, text: str, start: int, end: int) -> None:
    done = start
    while token := _TOKEN.search(text, start, end):
        begin, start = token.span()
        kind = token[0]
        if kind.endswith("［＃"):
            closed = _note_end(text, start, end)
            if closed is None:
                continue
            builder.copy(done, begin)
            if kind[0] == "※":
                builder.replace(_gaiji(text[start : closed - 1]), begin, closed)
            done = start = closed
        elif kind == "〔":
            closed = text.find("〕", start, start + 82)
            if not _ACCENTED.search(text, start, max(start, closed)) or re.search("[ぁ-ん一-鿿]", text[start:closed]):
                continue
            builder.copy(done, begin)
            _accents(builder, text, start, closed)
            done = start = closed + 1
        elif kind not in "〔〕":
            builder.copy(done, begin)
            done = start
    builder.copy(done, end)


def _note_end(text: str, start: int, end: int) -> int | None:
    """Return the end of a note, which may contain further notes; None if it does not close on its line."""
    depth = 1
    end = min(end, start + _LONGEST_NOTE)
    while bracket := _NOTE_END.search(text, start, end):
        start = bracket.end()
        if bracket[0] == "\n":
            return None
        depth += 1 if bracket[0] == "［" else -1
        if depth == 0:
            return start
        if depth > _DEEPEST_NOTE:
            return None
    return None


def _gaiji(note: str) -> str:
    """The character that a note names by Unicode or by JIS X 0213 plane, row and cell; 〓 if it names none."""
    if code := _CODE_POINT.search(note):
        number = int(code[1], 16)
        return chr(number) if 0x20 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "〓"
    if jis := _JIS.search(note):
        plane, row, cell = map(int, jis.groups())
        try:
            return (b"\x8f" * (plane - 1) + bytes((0xA0 + row, 0xA0 + cell))).decode("euc_jis_2004")
        except (UnicodeDecodeError, ValueError):
            return "〓"
    return "〓"


def _accents(builder: Builder, text: str, start: int, end: int) -> None:
    """The inside of 〔〕: cafe' is café, ae& is æ."""
    for match in _ACCENTED.finditer(text, start, end):
        builder.copy(start, match.start())
        pair = match[0]
        known = _LIGATURES.get(pair)
        builder.replace(known or normalize("NFC", pair[0] + _ACCENTS.get(pair[1], pair[1])), *match.span())
        start = match.end()
    builder.copy(start, end)
