"""Lines of Japanese on a terminal: kinsoku, words, widths."""

from __future__ import annotations

import io
import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jnlp.cli import console
from jnlp.cli.folding import NOT_FIRST, NOT_LAST, breaks


def cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def fold(text: str, width: int) -> list[str]:
    places = [0, *breaks(text, width, cells), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(places)]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("今日は良い天気です。", 18, ["今日は良い天気で", "す。"]),
        ("今日は良い天気です。", 20, ["今日は良い天気です。"]),
        ("彼は「はい」と言った。", 6, ["彼は", "「は", "い」と", "言っ", "た。"]),
        ("キャッチャーが", 6, ["キャッ", "チャー", "が"]),
        ("東京 Tower に行く", 12, ["東京 Tower ", "に行く"]),
        ("これは example です", 10, ["これは ", "example で", "す"]),
        ("Pneumonoultramicroscopic", 10, ["Pneumonoul", "tramicrosc", "opic"]),
        ("。。。。。。", 4, ["。。", "。。", "。。"]),  # the rules leave no place
        ("時々刻々と", 4, ["時々", "刻々", "と"]),
        ("価格は￥1,200です", 8, ["価格は", "￥1,200", "です"]),
        ("", 10, [""]),
        ("漢", 1, ["漢"]),
    ],
)
def test_lines(text: str, width: int, lines: list[str]) -> None:
    assert fold(text, width) == lines


@given(st.text("あ漢。、「」ー（）ぁッabc1 ,.(", max_size=60), st.integers(2, 30))
def test_every_part_fits_and_nothing_is_lost(text: str, width: int) -> None:
    parts = fold(text, width)
    assert "".join(parts) == text
    assert all(cells(part) <= width for part in parts)


@given(st.text("あ漢字を読む。、「」", min_size=1, max_size=60), st.integers(12, 30))
def test_a_line_begins_as_it_may_where_there_is_a_place_for_it(text: str, width: int) -> None:
    parts = fold(text, width)
    for before, after in itertools.pairwise(parts):
        if after[0] in NOT_FIRST or before[-1] in NOT_LAST:  # then no place in the last half of the line was better
            middle = len(before) // 2
            inner = [at for at in range(middle + 1, len(before))]
            assert all(before[at] in NOT_FIRST or before[at - 1] in NOT_LAST for at in inner)


def test_a_passage_and_a_table_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "23")
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    console.passage("1. 規程.txt", "休暇は年に二十日です。次の行です。", [(0, 2)])
    with console.Pages() as pages:
        pages.add({"text": "休暇は年に二十日です。また次の行です。", "n": 1})
    lines = [line.strip() for line in out.getvalue().splitlines() if line.strip()]
    assert lines
    assert not [line for line in lines if line[0] in NOT_FIRST]
    assert "休暇は年に二十日で" in lines
