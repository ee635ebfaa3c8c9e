"""Rules for names of persons: what Sudachi tags as one, before a title or after a word such as 氏名."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.patterns import deferred
from jnlp_pii.words import is_surname, words

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence

    from jnlp_pii.net import Found
    from jnlp_pii.words import Word

_TITLE = deferred(
    r"[ 　]?(?:さん|さま|様|氏|殿|くん|君|ちゃん|先生|先輩|部長|課長|係長|次長|社長|店長|専務|常務|主任|主査|室長"
    r"|教授|准教授|博士|医師"
    r"|弁護士|税理士|看護師|と申し(?:ます|まして|ました)|と申す者|宛(?=[ 　\n。、)]|$))"
)
_NOT_PERSON = frozenset(
    {
        "ワン",
        "ニャン",
        "仏",
        "神",
        "王",
        "姫",
        "皇",
        "帝",
        "天皇",
        "釈迦",
        "キリスト",
        "マリア",
        "サンタ",
        "サンタクロース",
        "イエス",
    }
)
"""What Sudachi tags as a name and is no living person."""

_JOINTS = frozenset(" 　・=＝")
_STOP = deferred(r"[。、！？!?\n\r,「」『』（）()【】\[\]:：;；/／<>|｜\t…]")
_REACH = 24
_LABEL = deferred(
    r"(?:ご?氏名|お名前|名前|フルネーム|申込者|契約者|申請者|届出人|患者|依頼者|被保険者|担当者?|責任者|代表者"
    r"|差出人|宛名|署名|名義人?|保護者)(?:名|氏名)?(?:様)?(?:\([^)\n]{1,8}\))?"
    r"[ 　]{0,3}(?::[ 　]{0,3}|は、?|[\t　]|(?<=氏名) )"
)
_KANA_LABEL = deferred(
    r"(?:フリガナ|ふりがな|カナ氏名|氏名カナ|読み仮名|よみがな|口座名義人?"
    r"|名義人?)(?:\([^)\n]{1,6}\))?[ 　]{0,3}(?::|[\t 　])[ 　]{0,3}"
    r"((?:[ァ-ヴー]{2,8}[ 　]?[ァ-ヴー]{2,8}|[ぁ-ゔー]{2,8}[ 　][ぁ-ゔー]{2,8}))(?=[\s、。,)]|様|$)"
)
_APART = deferred(r"(?<![一-鿿々ァ-ヶ])([一-鿿々ヶ]{1,5})[ 　]([一-鿿々]{1,3}|[ぁ-ん]{2,4}|[ァ-ヶー]{2,5})$")
"""A family name, a blank and a given name, whatever Sudachi makes of the second (石川 ひなた)."""

_APART_HERE = deferred(rf"{_APART.pattern[:-1]}(?=[\s、。,)]|様|さま|です|と申|$)")
_ORDINAL, _KANJI = deferred("[一二三四五六七八九十]+号"), deferred("[一-鿿]")
_AFTER = 6
_VALUE = 20
_FULL = 4
"""Characters from which a name is a full one, which can be nothing else in the same text."""

_KATAKANA, _LATIN = deferred("[ァ-ヺー]"), deferred("[A-Za-z]")


def names(text: str, /) -> Iterator[Found]:
    """Yield names of persons, without their titles; a full name is found in the rest of the text too."""
    found = list(_by_rule(text))
    yield from found
    taken = {start for start, _, _ in found}
    for whole in {text[start:end] for start, end, _ in found if end - start >= _FULL}:
        place = text.find(whole)
        while place >= 0:
            if place not in taken and not _runs_on(text, place, place + len(whole)):
                yield place, place + len(whole), "name"
            place = text.find(whole, place + len(whole))


def _runs_on(text: str, start: int, end: int) -> bool:
    """Return whether katakana or Latin letters continue outside `[start, end)`."""
    return any(
        script.match(text, edge) and script.match(text, edge - 1)
        for script in (_KATAKANA, _LATIN)
        for edge in (start, end)
        if edge
    )


def _by_rule(text: str) -> Iterator[Found]:
    for hit in _TITLE.finditer(text):
        low = _clause_start(text, hit.start())
        if hit.start() > low and (found := _name_before(text, low, hit)):
            yield *found, "name"
    for hit in _LABEL.finditer(text):
        if found := _name_after(text, hit.end()):
            yield *found, "name"
    for hit in _KANA_LABEL.finditer(text):
        yield *hit.span(1), "name"


def _clause_start(text: str, place: int) -> int:
    low = max(0, place - _REACH)
    for stop in _STOP.finditer(text, low, place):
        low = stop.end()
    return low


def _name_before(text: str, low: int, title: re.Match[str]) -> tuple[int, int] | None:
    """Return the name that ends where a title begins, or None."""
    end = title.start()
    if apart := _APART.search(text, low, end):
        first = words(text[low : apart.end(1)], low)[-1]
        if first.start == apart.start() and is_surname(apart[1]):
            return apart.span()
    found = words(text[low : min(len(text), title.end() + _AFTER)], low)
    place = next((n for n, word in enumerate(found) if word.end == end), None)
    if place is None or not _begins_title(found, place + 1, title):
        return None
    last = found[place]
    if last.surface in _NOT_PERSON or not (last.is_person or (last.speech[0] == "名詞" and is_surname(last.surface))):
        return None
    start = _first_of_name(found, place)
    whole = text[start:end]
    return (start, end) if (len(whole) > 1 and not _ORDINAL.fullmatch(whole)) or _KANJI.fullmatch(whole) else None


def _begins_title(found: Sequence[Word], place: int, title: re.Match[str]) -> bool:
    """Return whether the word after a name is the title, or a blank and the title: not the head of a longer word."""
    while place < len(found) and found[place].surface in _JOINTS:
        place += 1
    if place >= len(found):
        return False
    word = found[place]
    return title.start() <= word.start < title.end() and (
        word.end <= title.end() or title[0].lstrip().startswith(("と申", "宛")) or not word.known
    )


def _first_of_name(found: Sequence[Word], place: int) -> int:
    """Return where the name that ends with a word begins: names, with a blank or ・ between them."""
    first = place
    while first > 0:
        before = found[first - 1]
        if before.is_person and before.surface not in _NOT_PERSON:
            first -= 1
        elif before.speech[0] == "名詞" and len(before.surface) > 1 and is_surname(before.surface):
            first -= 1
            break
        elif before.surface in _JOINTS and first > 1 and found[first - 2].is_person:
            first -= 2
        else:
            break
        if found[first].speech[3] == "姓" and found[first].start < found[place].start:
            break  # a family name begins a name
    return found[first].start


def _name_after(text: str, place: int) -> tuple[int, int] | None:
    """Return the name that a form has at a place: at least one word of it is tagged as a name, or None."""
    if (apart := _APART_HERE.match(text, place)) and is_surname(apart[1]):
        return apart.span()
    stop = _STOP.search(text, place, min(len(text), place + _VALUE))
    end = stop.start() if stop else min(len(text), place + _VALUE)
    found = words(text[place:end], place)
    count = 0
    while count < len(found) and (found[count].is_person or (found[count].surface in _JOINTS and count > 0)):
        count += 1
    while count and found[count - 1].surface in _JOINTS:
        count -= 1
    kept = found[:count]
    if not kept or kept[0].surface in _NOT_PERSON or kept[-1].end - kept[0].start < 2:
        return None
    return kept[0].start, kept[-1].end
