"""Joins letter-spaced Japanese, as found in PDFs: 契 約 の 解 約 becomes 契約の解約.

Only spaces between single characters are removed. Spaces between words stay (東京 大阪), and so do lists of single
characters that are not a sentence: 日 月 火 水 木 金 土, ア イ ウ エ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.patterns import deferred

if TYPE_CHECKING:
    import re

_KANJI = "々〆〇〻\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "ぁ-ゖァ-ヺー"
_WIDE = f"[{_KANJI}{_KANA}、。，．・：；！？「」『』（）〔〕［］【】〈〉《》…‥―～０-９Ａ-Ｚａ-ｚ]"
_RUN = deferred(rf"(?<![^\s])({_WIDE})(?: {_WIDE})+(?![^\s])")
_JOINED = deferred(rf"(?<![^\s]){_WIDE}(?: (?:{_WIDE}|[0-9A-Za-z]))* {_WIDE}(?![^\s])")  # in a line that is spaced
_WIDE_CHARACTER = deferred(_WIDE)
_IS_KANJI = deferred(f"[{_KANJI}]")
_IS_KANA = deferred(f"[{_KANA}]")
_ENUMERATED = (
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん",
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
    "いろはにほへとちりぬるをわかよたれそつねならむ",
    "イロハニホヘトチリヌルヲワカヨタレソツネナラム",
)
_SHORTEST, _SHORTEST_KANA = 4, 6  # characters of a run that shows by itself that its line is spaced


def join_spaced(text: str, /) -> str:
    """Return a text without the spaces of letter-spaced lines; other white space stays.

    Example:
        >>> join_spaced("契 約 の 解 約 ： 東京 大阪")
        '契約の解約： 東京 大阪'
    """
    lines = text.split("\n")
    spaced = [_is_spaced(line) for line in lines]
    # Where most lines are spaced, a heading of kanji alone is spaced too.
    wide = sum(len(_WIDE_CHARACTER.findall(line)) for line in lines)
    most = 2 * sum(
        len(_WIDE_CHARACTER.findall(line)) for line, is_spaced in zip(lines, spaced, strict=True) if is_spaced
    )
    joined = (
        _JOINED.sub(_join, line) if is_spaced or (most > wide and _RUN.fullmatch(line.strip())) else line
        for line, is_spaced in zip(lines, spaced, strict=True)
    )
    return "\n".join(joined)


def _is_spaced(line: str) -> bool:
    """Return True if a line has a run of single characters that looks like text: kanji and kana, or many kana."""
    return any(_is_text(run[0].replace(" ", "")) for run in _RUN.finditer(line))


def _is_text(run: str) -> bool:
    if len(run) < _SHORTEST or not _IS_KANA.search(run):
        return False
    if _IS_KANJI.search(run):
        return True
    return len(run) >= _SHORTEST_KANA and not any(run in row for row in _ENUMERATED)


def _join(run: re.Match[str]) -> str:
    return run[0].replace(" ", "")
