"""Detects Chinese and Korean text in its own encodings, so that it is reported and not read as rare kanji.

Nearly all bytes of GB 18030, Big5 and EUC-KR are also valid kanji in cp932 or EUC-JP. Character frequencies decide: a
fifth of Chinese or Korean prose are the two hundred characters below; by chance they would be a thirtieth.
"""

from __future__ import annotations

import codecs

from jnlp.patterns import deferred

LANGUAGES = {"gb18030": "Chinese", "big5": "Chinese", "cp949": "Korean"}
"""The detected encodings, with their languages."""

_HANZI = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法"
    "学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外"
    "将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及"
    "这個們來為國說時會對於著過發後裡種經麼學現當沒動還進樣與長機無關點業將兩間問戰應頭體見產話給門兒聲從實軍開東並後您請請让吗吧呢嗎"
)
_HANGUL = frozenset(
    "이다는에의을가고하지를은한로도사기서있나어그리자아대인해시라것수으만니들게일제부스보면상과여전정장주었안원공구요적우음오드조세했말마성소와"
    "까물동화신국생모선진경무비러없거중위각문발연내용할유간년계된당같식때입더번방재차행데등습민관학업회실개명트바호르파미치통"
)
_FOREIGN = deferred("[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
_MARKS = frozenset("，。、：；！？“”‘’（）《》「」　")
_KANA = deferred("[\u3041-\u30fa]")
_FREQUENT, _COMMON, _RARE, _MARK, _ASCII, _OTHER = 7.5, 12.5, 19.0, 6.5, 8.0, 17.0  # bits
_FEWEST = 6  # different characters: a word that is repeated proves nothing new
_SHARE, _SURPLUS = 0.2, 3  # of them that are frequent, and more, since few prove little
_PROSE = 100  # characters: of a long text, the different characters are mostly rare ones
_MARGIN, _MARGIN_EACH = 24.0, 1.5  # bits
_MOST_BITS = 13.0  # a character: beyond, it is not text
_SAMPLE = 8192  # bytes


def foreign_codec(sample: bytes, japanese: float, /) -> str | None:
    """Return the codec in which bytes are clearly Chinese or Korean text, or None.

    Args:
        sample: Bytes that are not UTF-8; only `head` of them are read.
        japanese: The cost in bits of `head(sample)` as Japanese; infinite if it cannot be decoded.

    Example:
        >>> foreign_codec("这是一个很好的问题，我们都不知道。".encode("gb18030"), 999.0)
        'gb18030'
    """
    costs = {codec: cost for codec in LANGUAGES if (cost := _cost(head(sample), codec)) is not None}
    best = min(costs, key=costs.__getitem__, default=None)
    if best is None or _has_kana(head(sample)):
        return None
    characters = len(_FOREIGN.findall(_read(head(sample), best) or ""))
    return best if costs[best] + _MARGIN + _MARGIN_EACH * characters < japanese else None


def head(sample: bytes, /) -> bytes:
    """Return the part of a sample on which languages are compared."""
    return sample[:_SAMPLE]


def _has_kana(data: bytes) -> bool:
    """Return True if two fifths of the text are kana in a Japanese codec; foreign text has fewer by chance."""
    for codec in ("cp932", "euc_jp"):
        text = data.decode(codec, "replace")
        if 5 * len(_KANA.findall(text)) > 2 * sum(not character.isascii() for character in text):
            return True
    return False


def _read(data: bytes, codec: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(codec)("strict").decode(data)  # half a character may be last
    except UnicodeDecodeError:
        return None


def _cost(data: bytes, codec: str) -> float | None:
    """Return the cost of bytes as text in the codec's language; None if they are no such text."""
    text = _read(data, codec)
    if text is None:
        return None
    frequent = _HANGUL if codec == "cp949" else _HANZI
    found = set(_FOREIGN.findall(text)[:_PROSE])
    share = len(found & frequent)
    if len(found) < _FEWEST or share < _SHARE * len(found) + _SURPLUS or len(_KANA.findall(text)) > len(text) // 10:
        return None
    cost = sum(_bits(character, codec, frequent) for character in text)
    strange = [character for character in text if not character.isascii()]
    most = _MOST_BITS * len(strange) + _ASCII * (len(text) - len(strange))
    return cost if cost < most else None


def _bits(character: str, codec: str, frequent: frozenset[str]) -> float:
    if character < "\x80":
        return _ASCII
    if character in frequent:
        return _FREQUENT
    if character in _MARKS:
        return _MARK
    if not _FOREIGN.match(character):
        return _OTHER
    return _COMMON if _is_common(character, codec) else _RARE


def _is_common(character: str, codec: str) -> bool:
    """Whether a character is of the first level of its standard."""
    try:
        lead = character.encode({"gb18030": "gb2312", "cp949": "euc_kr"}.get(codec, codec))[0]
    except UnicodeEncodeError:
        return False
    return {"gb18030": 0xB0 <= lead <= 0xD7, "big5": 0xA4 <= lead <= 0xC6, "cp949": 0xB0 <= lead <= 0xC8}[codec]
