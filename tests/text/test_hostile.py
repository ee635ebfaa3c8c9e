"""Text made to be slow: every function and every regular expression that reads users' text does linear work.

The steps of `re` cannot be counted, so processor time is: first against a bound that linear work meets by far, and only
what exceeds it is compared at two lengths, a fourfold text taking fourfold time and not sixteenfold.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

import jnlp.io.reading
import jnlp.text
from jnlp.io.reading import tabular
from jnlp.io.reading.columns import TEXT_COLUMNS
from jnlp.patterns import deferred
from jnlp.text import MARKUPS, cut, decode, front_matter, html_title, is_aozora, lines, paragraphs, sentences
from jnlp.text.hypertext import html_with_outline
from jnlp.text.spacing import join_spaced

SIZE = 8000  # characters, about
SECONDS = 0.08  # what is done in less is not looked at

UNITS = [
    "a",
    " ",
    "\n",
    "\t",
    "　",
    "\r",
    " \n",
    "# a ",
    "#",
    "`",
    "`a",
    "``a`",
    "[",
    "]",
    "[]",
    "![",
    "[a](",
    '[a](b "',
    "[a](<",
    "[a]: ",
    "[a]: b\n",
    "[^a",
    "[^a]: b\n",
    "<",
    "<a ",
    '<a b="',
    "<a b='",
    '<a b=">" ',
    '<a b="1" ',
    "</a ",
    "<!--",
    "<!",
    "<?",
    "<![CDATA[",
    "&",
    "&a",
    "&#",
    "*",
    "*a",
    "**a*",
    "*a*",
    "_a ",
    "~~a",
    "\\",
    "> ",
    "- ",
    "- a\n",
    "-\n\n",
    "1. ",
    "| a",
    "|a|\n|-|\n",
    "    a\n",
    "---\n",
    "===\n",
    "a\n===\n",
    "+++\n",
    "```\n",
    "<div>\n",
    "<script>",
    "</script ",
    "<title",
    "<pre>",
    "<ruby><rt>",
    "<td>",
    "…",
    "「",
    "」",
    "（あ）",
    "《a",
    "漢《あ",
    "｜a",
    "［＃",
    "〔a'",
    "a.",
    "1．",
    "。",
    "！」",
    "．を",
    "！と",
    '"',
    "'",
    "- -",
    "=",
    "漢 ",
    "漢 字 の ",
    "sep=",
    ",",
    '",',
    "あ",
    "-" * 30 + "\n",
    "\x1b$B",
    "\x1b(B",
    "title: ",
    "\ud83d",
]
AROUND = [("", ""), ("。# a", "b")]


def seconds(work: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    work(text)
    return time.process_time() - start


def slow(work: Callable[[str], object], unit: str, before: str, after: str) -> bool:
    """Whether work grows faster than the text; one that is fast enough is measured once."""

    def made(size: int) -> str:
        return before + unit * (size // len(unit)) + after

    if seconds(work, made(SIZE)) < SECONDS:
        return False
    short, long = (min(seconds(work, made(size)) for _ in range(3)) for size in (SIZE // 4, SIZE))
    return long > max(SECONDS, 8 * short)


def modules() -> Iterator[ModuleType]:
    for package in (jnlp.text, jnlp.io.reading):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


SOURCES = "".join(map(inspect.getsource, modules()))
PATTERNS = {
    f"{module.__name__.removeprefix('jnlp.')}.{name}": value
    for module in modules()
    for name, value in vars(module).items()
    if isinstance(value, re.Pattern | type(deferred("a")))
}
BOUNDED = {
    "text.sentences._ABBREVIATION": "reads 12 characters",
    "text.sentences._ENDS_INSIDE": "reads 8 characters",
    "text.sentences._NAMED": "reads 12 characters",
    "text.paragraphs._BROKEN_OFF": "reads 12 characters",
    "text.paragraphs._ENDED": "reads 12 characters",
}
"""Patterns that are tried on a few characters only."""


@pytest.mark.parametrize("name", sorted(set(PATTERNS) - set(BOUNDED)))
def test_every_regular_expression_is_linear(name: str) -> None:
    pattern = PATTERNS[name]
    searches = re.search(rf"\b{name.rpartition('.')[2]}\.(?:search|finditer|findall|sub|split)\(", SOURCES)

    def work(text: str) -> None:
        whole = text.encode("utf-8", "surrogatepass") if isinstance(pattern.pattern, bytes) else text
        if searches:
            for _ in pattern.finditer(whole):
                pass
        pattern.match(whole)
        pattern.fullmatch(whole)

    found = [(unit, around) for unit in UNITS for around in AROUND[:2] if slow(work, unit, *around)]
    assert not found


def test_the_list_of_bounded_patterns_is_true() -> None:
    assert set(BOUNDED) <= set(PATTERNS)


FUNCTIONS: dict[str, Callable[[str], object]] = {
    **MARKUPS,
    "front_matter": lambda text: (front_matter("---\n" + text + "\n---\n"), front_matter("+++\n" + text + "\n+++\n")),
    "html_title": html_title,
    "html content": lambda text: html_with_outline(text, content=True),
    "is_aozora": is_aozora,
    "paragraphs": lambda text: list(paragraphs(text)),
    "lines": lambda text: list(lines(text)),
    "sentences": lambda text: list(sentences(text)),
    "cut": lambda text: list(cut(text, 500)),
    "join_spaced": join_spaced,
    "sniff": tabular.sniff,
    "decode": lambda text: decode(text.encode("cp932", "replace")),
    "decode utf-8": lambda text: decode(text.encode("utf-8", "replace")),
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_on_text_is_linear(name: str) -> None:
    found = [(unit, around) for unit in UNITS for around in AROUND[:2] if slow(FUNCTIONS[name], unit, *around)]
    assert not found


@pytest.mark.parametrize(
    "text", ["# a" + " " * 100_000 + "b", "x" + "`" * 100_000, " " * 100_000, "[" * 100_000, "「" * 100_000]
)
def test_a_hundred_thousand_repeats_are_read(text: str) -> None:
    for name in ("markdown", "html", "aozora"):
        assert seconds(MARKUPS[name], text) < 5
    assert seconds(lambda text: list(sentences(text)), text) < 5


def test_the_names_of_text_columns_are_plain() -> None:
    assert all(name.strip() == name for name in TEXT_COLUMNS)
