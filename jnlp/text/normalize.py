"""Normalisers: functions from a text to an `Aligned` text.

NFKC works on clusters: a *joiner* (a combining mark, ﾞ, a Hangul vowel) may merge with the character before it, and any
other character begins a new cluster. Only clusters that change are normalised separately. The result equals NFKC of the
whole text.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from unicodedata import category, is_normalized, normalize

from jnlp.patterns import deferred

from .align import Aligned, Builder, compose, identity, retext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DASHES = "‐‑‒–—―−－─━"
_DASH_SET = frozenset(_DASHES)
_KATAKANA = "ァ-ヺヽ-ヿㇰ-ㇿｦ-ｯｱ-ﾟ゙゚"
_LONG_VOWEL = deferred(f"(?<=[{_KATAKANA}])[{_DASHES}](?![0-9A-Za-z０-９Ａ-Ｚａ-ｚ])")
_VARIANTS = str.maketrans({**dict.fromkeys(_DASHES, "-"), "〜": "~", "∼": "~", "〰": "~"})
_SPACES = str.maketrans(dict.fromkeys("\t\n\r\v\f\x1c\x1d\x1e\x1f\x85\u1680\u2028\u2029", " "))
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Invisible characters: Unicode's Default_Ignorable_Code_Point, and the blank Braille cell."""

_INVISIBLE = deferred(f"[{_IGNORABLE}]+")
_MARKS = deferred("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f]+")
"""Combining marks that may be written on any letter; after NFKC, those that have no composed form."""

_SOUND_MARKS = str.maketrans("゛゜", "\u3099\u309a")
"""Spacing voiced sound marks, which NFKC would separate from their kana by a space."""

FOLD_VERSION = 2
"""Changes whenever `fold` may give another text; an index folded by another version must be rebuilt."""
_KANA = str.maketrans({chr(code): chr(code - 0x60) for code in (*range(0x30A1, 0x30F7), 0x30FD, 0x30FE)})


def nfkc(text: str, /) -> Aligned:
    """Return Unicode NFKC of the text, equal to `unicodedata.normalize("NFKC", text)`, with an alignment.

    Example:
        >>> aligned = nfkc("㍻元年")
        >>> aligned.text, aligned.span(0, 2)
        ('平成元年', (0, 1))
    """
    if text.isascii() or is_normalized("NFKC", text):
        return identity(text)
    singles, others = _split(text, lambda character: normalize("NFKC", character))
    plain = retext(text, text.translate(singles))
    joiners = "".join(map(re.escape, sorted(filter(_joins, set(plain.text)))))
    if not joiners:
        return compose(plain, _expand(plain.text, others))
    starts = f"[{''.join(map(re.escape, others))}]|" if others else ""
    cluster = re.compile(f"(?:{starts}[^{joiners}](?=[{joiners}]))[{joiners}]*|[{joiners}]+", re.DOTALL)
    return compose(plain, _replace(plain.text, cluster, lambda part: normalize("NFKC", part)))


def fold(text: str, /, *, width: bool = True, kana: bool = False, case: bool = True) -> Aligned:
    """Fold differences that a search should ignore, with an alignment.

    Args:
        text: The text.
        width: NFKC; dashes after katakana become ー, others -; wave dashes ~; white space a space. Invisible
            characters (variation selectors, zero-width and filler characters) and marks without a composed form go.
        kana: Katakana becomes hiragana.
        case: Unicode case folding.

    Example:
        >>> fold("ＡＢＣ").text
        'abc'
        >>> fold("ﾊﾟｿｺﾝ", kana=True).text
        'ぱそこん'
    """
    if width and _INVISIBLE.search(text):
        visible = without_invisible(text)
        return compose(visible, fold(visible.text, kana=kana, case=case))
    # before NFKC, which makes an ASCII hyphen of －
    varied = _varied(text) if width else text

    table = _table(width, case, kana)
    plain = varied.translate(table)
    if len(plain) == len(text) and (not width or (is_normalized("NFKC", plain) and not _MARKS.search(plain))):
        return retext(text, plain)
    singles, others = _split(varied, lambda character: table[ord(character)])
    folded = retext(text, varied.translate(singles) if singles else varied)
    folded = _then(folded, lambda inner: _expand(inner, others))
    if not width:
        return folded
    folded = _then(folded, nfkc)  # marks that stood apart, or were made of one character, join their letters
    return _then(folded, _without_marks) if _MARKS.search(folded.text) else folded


def _varied(text: str) -> str:
    """Return the text with spacing sound marks as combining ones, and dashes after katakana as long-vowel marks."""
    if "゛" in text or "゜" in text:
        text = text.translate(_SOUND_MARKS)
    return text if _DASH_SET.isdisjoint(text) else _LONG_VOWEL.sub("ー", text)


class _Table(dict[int, str]):
    """What characters become, for `str.translate`; filled as they are met."""

    def __init__(self, width: bool, case: bool, kana: bool) -> None:
        super().__init__()
        self._how = (width, case, kana)

    def __missing__(self, code: int) -> str:
        width, case, kana = self._how
        character = chr(code)
        if width:
            character = normalize("NFKC", character.translate(_VARIANTS)).translate(_SPACES)
        if case:
            character = character.casefold()
        self[code] = changed = character.translate(_KANA) if kana else character
        return changed


@cache
def _table(width: bool, case: bool, kana: bool) -> _Table:
    return _Table(width, case, kana)


def without_invisible(text: str, /) -> Aligned:
    """Return the text without invisible characters, with an alignment.

    Example:
        >>> without_invisible("葛\U000e0100城").text
        '葛城'
    """
    return _replace(text, _INVISIBLE, lambda _: "")


def readable(text: str, /) -> Aligned:
    """Return the text as a reader sees it: without invisible characters, and with marks composed with their letters.

    Example:
        >>> readable("死\u034fね").text
        '死ね'
    """
    hidden = _INVISIBLE.search(text) or _MARKS.search(text) or "゛" in text or "゜" in text
    return fold(text, case=False) if hidden else identity(text)


def _without_marks(text: str) -> Aligned:
    return _replace(text, _MARKS, lambda _: "")


def search_fold(text: str, /) -> Aligned:
    """Fold width and case, keeping hiragana and katakana apart: the normaliser `fold`.

    Example:
        >>> search_fold("ＰＤＦファイル").text
        'pdfファイル'
    """
    return fold(text)


def fold_kana(text: str, /) -> Aligned:
    """Fold width, case and kana, for word lists: the normaliser `fold-kana`.

    Example:
        >>> fold_kana("バカ").text
        'ばか'
    """
    return fold(text, kana=True)


NORMALIZERS: dict[str, Callable[[str], Aligned]] = {
    "identity": identity,
    "nfkc": nfkc,
    "fold": search_fold,
    "fold-kana": fold_kana,
}


def _then(first: Aligned, step: Callable[[str], Aligned]) -> Aligned:
    return compose(first, step(first.text))


def _replace(text: str, pattern: re.Pattern[str], change: Callable[[str], str]) -> Aligned:
    """Replace each match of the pattern by a function of it, each match as a whole."""
    builder = Builder(text)
    done = 0
    for match in pattern.finditer(text):
        before, after = match[0], change(match[0])
        if before != after:
            builder.copy(done, match.start())
            builder.replace(after, *match.span())
            done = match.end()
    builder.copy(done, len(text))
    return builder.build()


def _expand(text: str, becomes: Mapping[str, str]) -> Aligned:
    """Replace single characters by several."""
    if not becomes:
        return identity(text)
    return _replace(text, re.compile(f"[{''.join(map(re.escape, becomes))}]"), becomes.__getitem__)


def _split(text: str, change: Callable[[str], str]) -> tuple[dict[int, str], dict[str, str]]:
    """Return two tables of changed characters: those that become one character, and those that become several."""
    singles: dict[int, str] = {}
    others: dict[str, str] = {}
    for character in set(text):
        changed = change(character)
        if len(changed) > 1:
            others[character] = changed
        elif changed != character:
            singles[ord(character)] = changed
    return singles, others


@lru_cache(maxsize=1 << 16)
def _joins(character: str) -> bool:
    """Return True if the character may combine with the one before it; errs towards True (UAX 15, section 9)."""
    first = normalize("NFKD", character)[0]
    return category(first)[0] == "M" or "\u1160" <= first <= "\u11ff" or "\U00016d63" <= first <= "\U00016d6a"
