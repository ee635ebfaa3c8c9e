"""Other readings of a text, each with offsets back: what a word looks like once its disguise is taken off.

A *view* is the text with one kind of disguise undone: signs and drawls inside words removed (死🙂ね, ばーーか),
look-alike characters replaced (バ力), romaji read as kana (bakayarou). A word found in a view counts only where the
view differs from the text; everything else is found in the text itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from unicodedata import category

from jnlp.patterns import deferred
from jnlp.text import Aligned, Builder, compose, fold, identity, retext
from jnlp_toxicity.romaji import kana_of

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator

MASK = "●"
SEPARATOR = "·"


class _Table(dict[int, Any]):
    """A table for `str.translate` that learns which characters stay: one that lacks them raises for each."""

    def __missing__(self, code: int) -> int:
        self[code] = code
        return code


_CANONICAL = _Table(str.maketrans({**dict.fromkeys("●○◯〇◎◉×✕✖☓*■□▲△", MASK), **dict.fromkeys(" ・･.-_/|", SEPARATOR)}))

_CHANGED = frozenset(map(chr, _CANONICAL))

_ALIKE = dict(
    zip("力口囗二卜夕工八千才廾厶匕彡亻又乂丿一十冫ヵヶ", "カロロニトタエハチオサムヒミイヌメノーナンカケ", strict=True)
)
_SMALL = dict(zip("ァィゥェォぁぃぅぇぉｧｨｩｪｫ", "アイウエオあいうえおアイウエオ", strict=True))
_SMALL_ALONE = deferred("(?<![ぁ-ゖァ-ヺー])[ァィゥェォぁぃぅぇぉｧｨｩｪｫ](?=[ぁ-ゖァ-ヺｦ-ﾟ])|(?<=[モザサシヤ])ィ")
_KANA = "ぁ-ゖァ-ヺｦ-ﾟㇰ-ㇿ"
_ALIKE_RUN = deferred(f"[{''.join(_ALIKE)}]+")
_MAY_BE_ALIKE = frozenset((*_ALIKE, *_SMALL))
_IS_KANA = deferred(f"[{_KANA}ー゛゜]")
_STOPS = "。、！？!?,，「」『』（）()【】\n\r"
_VOWELS = {
    kana: vowel
    for vowel, row in zip(
        "あいうえお",
        (
            "あかさたなはまやらわがざだばぱゃぁ",
            "いきしちにひみりぎじぢびぴぃ",
            "うくすつぬふむゆるぐずづぶぷゅぅ",
            "えけせてねへめれげぜでべぺぇ",
            "おこそとのほもよろをごぞどぼぽょぉ",
        ),
        strict=True,
    )
    for kana in row
}
_LITTLE = dict(zip("あいうえお", "ぁぃぅぇぉ", strict=True))
_LATIN_RUN = deferred(r"[a-z][a-z'-]*[a-z]")


class Kind(Enum):
    """Which disguise a view takes off."""

    PLAIN = "plain"
    SIGNS = "signs"
    ALIKE = "alike"
    ROMAJI = "romaji"


@dataclass(frozen=True, slots=True)
class View:
    """A reading of the text, aligned with it."""

    kind: Kind
    aligned: Aligned

    @property
    def text(self) -> str:
        """The text of the reading, folded as word lists are."""
        return self.aligned.text


def fold_words(text: str, /) -> Aligned:
    """Return the text as words are compared: width, case and kana folded; masks as ●, separators as ·."""
    return _canonical(fold(text, kana=True))


def views(text: str, /) -> Iterator[View]:
    """Yield the readings of a text in which a word may be found, the folded text first.

    Example:
        >>> [(view.kind.value, view.text) for view in views("バ力、死🙂ね")]
        [('plain', 'ば力、死🙂ね'), ('signs', 'ば力、死ね'), ('alike', 'ばか、死ね')]
    """
    plain = fold(text, kana=True)
    yield View(Kind.PLAIN, _canonical(plain))
    short = _changed(plain, *_SQUEEZE)
    if short is not plain:
        yield View(Kind.SIGNS, _canonical(short))
    alike = look_alikes(text)
    if alike is not None:
        folded = fold(alike, kana=True)
        yield View(Kind.ALIKE, _canonical(_changed(compose(retext(text, alike), folded), *_SQUEEZE)))
    latin = _changed(short, _without_romaji)
    if latin is not short:
        yield View(Kind.ROMAJI, _canonical(latin))


def _canonical(view: Aligned) -> Aligned:
    if _CHANGED.isdisjoint(view.text):
        return view
    return compose(view, retext(view.text, view.text.translate(_CANONICAL)))


def look_alikes(text: str, /) -> str | None:
    """Return the text with look-alikes of katakana next to kana replaced (バ力 → バカ), or None without any."""
    if _MAY_BE_ALIKE.isdisjoint(text):
        return None

    def change(run: re.Match[str]) -> str:
        start, end = run.span()
        beside = text[start - 1 : start] + text[end : end + 1]
        if not _IS_KANA.search(beside):
            return run[0]
        return "".join(_ALIKE[character] for character in run[0])

    changed = _ALIKE_RUN.sub(change, text)
    changed = _SMALL_ALONE.sub(lambda small: _SMALL[small[0]], changed)
    return changed if changed != text else None


def squeeze(text: str, /) -> Aligned:
    """Return the text without signs between letters, drawls and repetitions.

    Example:
        >>> squeeze("ばーーか、死🙂ね").text
        'ばか、死ね'
        >>> squeeze("楽しいし、ねこもいる").text
        '楽しいし、ねこもいる'
    """
    return _changed(identity(text), *_SQUEEZE)


def squeeze_key(word: str, /) -> str:
    """Return a folded word as `squeeze` leaves it."""
    return squeeze(word).text


def _without_romaji(text: str) -> Aligned | None:
    """Return the text with whole Latin words that read as romaji turned into hiragana, or None without any."""
    builder, done = Builder(text), 0
    for run in _LATIN_RUN.finditer(text):
        kana = kana_of(run[0], text[max(0, run.start() - 40) : run.start()], text[run.end() : run.end() + 40])
        if kana is None:
            continue
        builder.copy(done, run.start())
        builder.replace(kana, *run.span())
        done = run.end()
    if not done:
        return None
    builder.copy(done, len(text))
    return builder.build()


def _changed(first: Aligned, *steps: Callable[[str], Aligned | None]) -> Aligned:
    """Return what steps make of a text one after the other; `first` itself if all of them return None."""
    for step in steps:
        second = step(first.text)
        if second is not None:
            first = compose(first, second)
    return first


@lru_cache(maxsize=1 << 14)
def _is_letter(character: str) -> bool:
    return category(character)[0] in "LN" or character in "ー々"


@lru_cache(maxsize=1 << 14)
def _is_japanese(character: str) -> bool:
    return not character.isascii() and _is_letter(character)


_GAP = deferred(r"(?<=[^\W_〇])[\W_〇]{1,8}(?=[^\W_〇])")
"""Signs in a row that may hide a word; 〇 is one of them, though Unicode has it as a number."""


def _without_signs(text: str) -> Aligned | None:
    """Remove the signs between two letters; stops, blanks and marks in Latin only where letters stand one by one.

    None: there are none.
    """
    builder, done = Builder(text), 0
    for gap in _GAP.finditer(text):
        start, end = gap.span()
        if _may_close(text, start, end):
            builder.copy(done, start)
            done = end
    if not done:
        return None
    builder.copy(done, len(text))
    return builder.build()


def _may_close(text: str, start: int, end: int) -> bool:
    left, right, gap = text[start - 1], text[end], text[start:end]
    blank, stops = gap.isspace(), any(character in _STOPS for character in gap)
    if not blank and not stops:
        if _is_japanese(left) and _is_japanese(right):
            return True
        if left.isdigit() and right.isdigit():
            return False
    alone_left = start < 2 or not _is_letter(text[start - 2])
    alone_right = end + 1 >= len(text) or not _is_letter(text[end + 1])
    return (alone_left or alone_right) if blank and not stops else (alone_left and alone_right)


_LAUGH = deferred(r"(?<=[^\x00-\x7f])w+(?=[^\x00-\x7f])")
_DRAWN = deferred(
    r"[ー~]+|[ぁぃぅぇぉ]+|(?<=[^\x00-\x7f])w+"
    f"|([{''.join(kana for kana in _VOWELS if kana not in 'ぁぃぅぇぉゃゅょ')}])(?=([あいうえお])\\2)"
    r"|(?!\d)(.)(?=\3\3)"
)


_MAY_DRAW = deferred(r"[ー~ぁぃぅぇぉw]|(.)\1")


def _without_drawls(text: str) -> Aligned | None:
    """Remove ー and ~ after a letter, a vowel drawn out, a letter repeated three times, and ww between letters.

    None: there are none.
    """
    builder, done = Builder(text), 0
    for candidate in _DRAWN.finditer(text) if _MAY_DRAW.search(text) else ():
        place = candidate.start() + (candidate.lastindex is not None)
        if place < done:
            continue
        start, end = _drawl(text, place)
        if end > start:
            builder.copy(done, start)
            done = end
    if not done:
        return None
    builder.copy(done, len(text))
    return builder.build()


_SQUEEZE = (_without_signs, _without_drawls)


def _drawl(text: str, place: int) -> tuple[int, int]:
    """Return what is drawn out at a place: the range to remove, empty if nothing is."""
    character = text[place]
    before = text[place - 1] if place else ""
    if character == "w" and (laugh := _LAUGH.match(text, place)):
        return laugh.span()
    if not before or not _is_letter(before):
        return place, place
    end = place + 1
    while end < len(text) and text[end] == character:
        end += 1
    if character in "ー~":
        return place, end
    vowel = _VOWELS.get(before)
    if vowel is not None and character == _LITTLE[vowel]:
        return place, end
    if vowel == character and before != character and end - place >= 2:
        return place, end
    if before == character and end - place >= 2 and not character.isdigit():
        return place, end
    return place, place
