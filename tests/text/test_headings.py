"""Headings of plain Japanese text: contracts, rules, manuals; and lines that only look like them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jnlp.text import headings


def levels(text: str) -> list[tuple[int, str]]:
    return [(mark.level, mark.title) for mark in headings(text)]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("第1条（目的）", 6),
        ("第３条　（秘密保持）", 6),
        ("第十二条の二", 6),
        ("第一編 総則", 1),
        ("第１章総則", 2),
        ("第2節 契約の解除", 3),
        ("　第三款　売買の効力", 4),
        ("■ ご注意", 7),
        ("■注意事項", 7),
        ("◆手順", 7),
        ("【概要】", 7),
        ("1. はじめに", 8),
        ("１　目的", 8),
        ("1.2 インストール手順", 9),
        ("1.2.3 設定ファイル", 10),
        ("(1) 対象者", 12),
        ("（２）支給額", 12),
    ],
)
def test_a_line_that_is_a_heading(line: str, level: int) -> None:
    assert levels(f"{line}\n本文です。") == [(level, line.strip("　"))]


@pytest.mark.parametrize(
    "line",
    [
        "第3条の規定により、契約を解除する。",
        "第2章では、契約の解除について述べる。",
        "第1章 総則 ………… 3",
        "第1回の会議",
        "3.14 は円周率です",
        "1. りんごを買う。",
        "2024 年の実績",
        "0.9 1,192   0.95",
        "10.5	20.3	30.1",
        "（1）甲は、乙に対し、損害を賠償する。",
        "【注】この製品は、室内で使ってください。" + "長い文" * 20,
        "■" + "長い行" * 20,
        "■",
        "第百条",
    ][:-1],
)
def test_a_line_that_is_text(line: str) -> None:
    assert levels(f"前の文です。\n{line}\n次の文です。") == []


def test_an_article_with_its_text_in_the_same_line() -> None:
    text = "第5条　甲は、乙に対し、月末までに代金を支払う。\n第6条（解除） 乙は、いつでも本契約を解除できる。"
    assert levels(text) == [(6, "第5条"), (6, "第6条（解除）")]


def test_items_of_a_list_are_no_headings_and_a_numbered_section_is_one() -> None:
    assert levels("買うもの\n1. りんご\n2. みかん\n") == []
    assert levels("説明です。\n\n1. りんご\n赤い果物です。\n\n2. みかん\n黄色い果物です。") == [
        (8, "1. りんご"),
        (8, "2. みかん"),
    ]


def test_offsets_are_where_the_heading_begins() -> None:
    text = "前文。\r\n\r\n　第1条（目的）\r\n本文。"
    (mark,) = headings(text)
    assert text[mark.start :].startswith("第1条（目的）")
    assert mark.title == "第1条（目的）"


@given(st.text("第1一条章（）(). 　\n■【】の。あ目的", max_size=200))
def test_every_title_stands_in_the_text_at_its_offset(text: str) -> None:
    found = headings(text)
    assert [mark.start for mark in found] == sorted({mark.start for mark in found})
    for mark in found:
        assert text.startswith(mark.title, mark.start)


@pytest.mark.parametrize(
    "line",
    ["第" * 100_000, "第1条" * 50_000, "（" * 100_000, "1." * 50_000, "■ " * 50_000, "　" * 100_000, "\n" * 100_000],
)
def test_long_lines_cost_no_more_than_their_beginning(line: str) -> None:
    assert len(headings(line)) <= 1
