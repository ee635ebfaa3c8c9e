"""Reads Latin words as romaji, where they are not plainly English."""

from __future__ import annotations

import re
from functools import lru_cache

_ROWS = {
    "": "あいうえお", "k": "かきくけこ", "s": "さしすせそ", "t": "たちつてと", "n": "なにぬねの", "h": "はひふへほ",
    "m": "まみむめも", "y": "や ゆ よ", "r": "らりるれろ", "w": "わ   を", "g": "がぎぐげご", "z": "ざじずぜぞ",
    "d": "だぢづでど", "b": "ばびぶべぼ", "p": "ぱぴぷぺぽ", "j": " じ   ", "f": "  ふ  ",
}  # fmt: skip
_GLIDES = {
    "ky": "き", "sy": "し", "sh": "し", "ty": "ち", "ch": "ち", "ny": "に", "hy": "ひ", "my": "み", "ry": "り",
    "gy": "ぎ", "zy": "じ", "j": "じ", "jy": "じ", "by": "び", "py": "ぴ",
}  # fmt: skip
_SYLLABLES = {
    **{
        row + vowel: kana
        for row, line in _ROWS.items()
        for vowel, kana in zip("aiueo", line, strict=True)
        if kana > " "
    },
    **{row + vowel: kana + y for row, kana in _GLIDES.items() for vowel, y in zip("auo", "ゃゅょ", strict=True)},
    **{"shi": "し", "chi": "ち", "tsu": "つ", "fu": "ふ", "ji": "じ", "n": "ん", "nn": "ん", "n'": "ん"},
}

_ENGLISH_WORDS = """
    a an the and or of to in on at for with from by is are was be been am i you he she it we they me my your his her our
    their this that these those not no so up out as if but rise let can will would do does did have has had like love go
    get all one sun moon star light new just how what when who why more than then there here into over under about song
    album feat ft vs mv pv tv"""
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
"""Words next to which a Latin word is English, not romaji."""

_DOUBTFUL = frozenset(
    {"shine", "sine", "homo", "hage", "kimo", "chon", "rezu", "same", "gay", "ana", "kasu", "gomi", "sex"}
)
"""Romaji that are also words of other languages: read only next to Japanese or other romaji, or alone."""

_BESIDE_WORDS = """
    omae temee temae kisama koitsu aitsu anta baka aho kuso kasu gomi busu debu hage hayaku haya sassato tottoto maji
    majide kimoi uzai shine sine korosu korose yo ya wa ga zo omaera minna"""
_BESIDE = frozenset(_BESIDE_WORDS.split())


def kana_of(word: str, before: str = "", after: str = "", /) -> str | None:
    """Return a Latin word read as romaji, or None if it cannot be or where its neighbours are English.

    Args:
        word: Lower-case Latin letters.
        before: What comes before it in the text.
        after: What comes after it.

    Example:
        >>> kana_of("bakayarou"), kana_of("korosu"), kana_of("sunday")
        ('ばかやろう', 'ころす', None)
        >>> kana_of("shine", "rise and ")
    """
    kana = _syllables(word)
    if kana is None:
        return None
    left, right = _neighbours(before, after)
    if left in _ENGLISH or right in _ENGLISH:
        return None
    for neighbour in (left, right):
        if neighbour and len(neighbour) > 1 and _syllables(neighbour) is None:
            return None
    if word in _DOUBTFUL and not _is_romaji(word, before, after, left, right):
        return None
    return kana


def is_doubtful(word: str, /) -> bool:
    """Return whether a Latin word in lower case is romaji and a word of another language too."""
    return word in _DOUBTFUL


def _neighbours(before: str, after: str) -> tuple[str, str]:
    """Return the Latin words right before and right after, if nothing but blanks is between."""
    left = re.search(r"([a-z']+)[ ·]+$", before)
    right = re.match(r"[ ·]+([a-z']+)", after)
    return (left[1] if left else "", right[1] if right else "")


def _is_romaji(word: str, before: str, after: str, left: str, right: str) -> bool:
    """Return whether the surroundings of a doubtful word make it Japanese."""
    if left in _BESIDE or right in _BESIDE:
        return True
    if left or right:
        return False
    alone = word != "sine" and not before.strip() and not after.strip(" !?！？w。")
    addressed = re.search(
        r"(?:お前|おまえ|てめえ|てめぇ|貴様|きさま|あんた|こいつ|あいつ|早く|はやく|さっさと|とっとと|まじで|全員|ばか|あほ|くず|かす|ごみ)ら?(?:は|も|、)?$",
        before,
    )
    ordered = re.match(r"(?:よ|や|って|かす|ばか|あほ|ごみ|くず)", after)
    return bool(alone or addressed or ordered)


@lru_cache(maxsize=1 << 12)
def _syllables(word: str) -> str | None:
    """Return the kana of a word that consists of syllables, else None; vowels drawn out are shortened."""
    word = re.sub(r"([aiueo])\1{2,}", r"\1", word.replace("-", ""))
    kana, place = [], 0
    while place < len(word):
        if place + 1 < len(word) and word[place] == word[place + 1] and word[place] in "kstpgzdbjc":
            kana.append("っ")
            place += 1
            continue
        for size in (3, 2, 1):
            syllable = word[place : place + size]
            if len(syllable) == size and syllable in _SYLLABLES and not _splits_n(word, place, size):
                kana.append(_SYLLABLES[syllable])
                place += size
                break
        else:
            return None
    return "".join(kana)


def _splits_n(word: str, place: int, size: int) -> bool:
    """Return whether `nn` is taken where its second n begins a syllable (konna)."""
    return size == 2 and word[place : place + 2] == "nn" and word[place + 2 : place + 3] in tuple("aiueoy")
