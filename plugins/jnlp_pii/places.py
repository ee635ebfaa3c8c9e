"""The rule for addresses: a place by Sudachi's tags, with a municipality, up to a block number (丁目, 番地, 1-2-3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.patterns import deferred
from jnlp_pii.numbers import PREFECTURE
from jnlp_pii.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp_pii.net import Found
    from jnlp_pii.words import Word

_N = r"(?:[0-9]{1,4}|[一二三四五六七八九十百〇]{1,5})"
_BLOCK = deferred(
    rf"(?<![0-9])(?<![一二三四五六七八九十百])(?:{_N}丁目(?:[ 　]?{_N}(?:番地?"
    rf"|番町)?(?:の{_N})?(?:-[0-9]{{1,4}}){{0,3}}(?:[ 　]?{_N}号)?)?"
    rf"|{_N}番地(?:の{_N})?(?:[ 　]?{_N}号)?|{_N}番[ 　]?{_N}号|[0-9]{{1,4}}(?:-[0-9]{{1,4}}){{1,4}}(?:号(?!室))?"
    r"|(?<=[町通村字])[0-9]{1,4}(?=[ 　]|[\n。、)」]|$))(?![0-9]|-[0-9])(?!年|月|[年月]度|回|条|項|円|人|名)"
)
_MUNICIPALITY = deferred(r"[一-鿿ぁ-んァ-ヶ々ー][都道府県市区町村郡]")
_BUILDING = deferred(
    r"[ 　]?[一-鿿ァ-ヶーぁ-んA-Za-z0-9・々]{0,14}(?:ビル(?:ディング)?|マンション|ハイツ|コーポ|荘|アパート"
    r"|タワー|レジデンス|ハウス|メゾン|パレス|棟|会館)"
    r"[一-鿿ァ-ヶーA-Za-z]{0,8}(?:[ 　]?[0-9A-Z][0-9A-Z-]{0,4}(?:号室|号|階|F)?)?|[ 　]?[0-9]{1,4}号室"
    r"|[ 　][0-9]{1,3}階"
)
_STOP = deferred(r"[。、！？!?\n\r,「」『』（）()【】\[\]:：;；/／<>|｜\t…〒]")
_REACH = 45
_INSIDE = frozenset(
    {
        "上る",
        "上ル",
        "下る",
        "下ル",
        "入る",
        "入ル",
        "東入",
        "西入",
        "の",
        "ノ",
        "ヶ",
        "ケ",
        "が",
        "つ",
        "字",
        " ",
        "　",
        "大字",
    }
)
_BLANKS = " 　"


def places(text: str, /) -> Iterator[Found]:
    """Yield addresses down to a block; a municipality alone is none."""
    done = 0
    for hit in _BLOCK.finditer(text):
        if hit.start() < done:
            continue
        start = _head(text, done, hit.start())
        if start is None:
            continue
        building = _BUILDING.match(text, hit.end())
        done = building.end() if building else hit.end()
        yield start, done, "address"


def _head(text: str, low: int, end: int) -> int | None:
    """Return where the address whose block number begins at `end` begins, `low` or later; None if it is none."""
    low = max(low, end - _REACH)
    for stop in _STOP.finditer(text, low, end):
        low = stop.end()
    if end - low < 2 or not _MUNICIPALITY.search(text, low, end):
        return None
    found = words(text[low:end], low)
    first = _chain(found)
    place = next((word.start for word in found[first:] if word.is_place), None)
    if place is not None and (prefecture := PREFECTURE.search(text, place, end)):
        place = prefecture.start() + len(prefecture[0]) - len(prefecture[0].lstrip())
    return place if place is not None and _MUNICIPALITY.search(text, place, end) else None


def _chain(found: Sequence[Word]) -> int:
    """Return the first of the words at the end that are all nouns, or what names of places have inside."""
    first = len(found)
    while first and (found[first - 1].speech[0] in ("名詞", "接尾辞", "接頭辞") or found[first - 1].surface in _INSIDE):
        first -= 1
    return first
