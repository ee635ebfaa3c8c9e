"""Lines of Japanese on a terminal: kinsoku, words, widths."""

from __future__ import annotations

import io
import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jnlp.cli import console
from jnlp.cli.folding import NOT_FIRST, NOT_LAST, breaks, column_widths
from jnlp.terminal import TOGETHER, listed


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


@pytest.mark.parametrize(
    ("natural", "room", "widths"),
    [
        ([5, 60, 5, 20], 100, [5, 60, 5, 20]),
        ([5, 60, 5, 20], 60, [5, 30, 5, 20]),
        ([5, 60, 5, 50], 60, [5, 25, 5, 25]),
        ([5, 60, 5, 9, 50], 40, [5, 11, 5, 9, 10]),
        ([12, 12, 12, 60], 30, [7, 7, 8, 8]),  # too many: all are folded
        ([5, 60], 0, [1, 1]),
        ([], 10, []),
    ],
)
def test_short_columns_keep_their_width(natural: list[int], room: int, widths: list[int]) -> None:
    assert column_widths(natural, room) == widths


def test_a_list_in_a_cell_is_broken_between_its_items() -> None:
    why = listed(["馬鹿 (insult)", "消えろ (violence)", "n-grams 0.71", "model 0.15"])
    whole = [line.replace(TOGETHER, " ").rstrip() for line in fold(why, 25)]
    assert whole == ["馬鹿 (insult)", "消えろ (violence)", "n-grams 0.71  model 0.15"]
    narrow = [line.replace(TOGETHER, " ").rstrip() for line in fold(why, 12)]
    assert narrow[:2] == ["馬鹿", "(insult)"]
    assert narrow[-2:] == ["n-grams 0.71", "model 0.15"]


@pytest.mark.parametrize("width", [80, 60])
def test_a_crowded_table_fits_the_screen_and_keeps_its_numbers(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    text = "軽くて使いやすく、気に入っています。とても便利なので、家族にも勧めました。"
    why = listed(["馬鹿 (insult)", "消えろ (violence)", "n-grams 0.71", "model 0.15", "vectors 0.49"])
    row = {"id": "arg:1", "text": text, "toxic": "yes", "score": "0.995", "threshold": "0.500", "grade": "3"}
    with console.Pages() as pages:
        pages.add({**row, "why": why})
    lines = out.getvalue().splitlines()
    assert all(cells(line.rstrip()) <= width for line in lines)
    assert lines[0].split() == [*row, "why"], "no heading is folded"
    assert lines[2].split()[0] == "arg:1"
    assert {"yes", "0.995", "0.500", "3"} <= set(lines[2].split())
    assert TOGETHER not in out.getvalue()
    assert "".join(line[7:].split("  ")[0] for line in lines[2:]).replace(" ", "").startswith(text[:6])
