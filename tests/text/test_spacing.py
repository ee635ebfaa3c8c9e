"""Letter-spaced Japanese is joined, real blanks stay."""

from __future__ import annotations

import pytest

from jnlp.text.spacing import join_spaced


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("契 約 の 解 約 条 件 は 三 か 月 前 の 予 告 と す る 。", "契約の解約条件は三か月前の予告とする。"),
        ("契 約 の 解 約 ： 東京 大阪", "契約の解約： 東京 大阪"),
        ("第 1 2 条 の 規 定 に よ る 。", "第12条の規定による。"),
        ("あ り が と う ご ざ い ま す 。", "ありがとうございます。"),
        ("甲 は 「 乙 」 と い う 。", "甲は「乙」という。"),
        ("契 約 書\n第 一 条 本 契 約 は 甲 の も の と す る 。", "契約書\n第一条本契約は甲のものとする。"),
        ("名 前 の 欄 に 書 く  山田 太郎", "名前の欄に書く  山田 太郎"),
    ],
)
def test_letter_spacing_goes(text: str, joined: str) -> None:
    assert join_spaced(text) == joined


@pytest.mark.parametrize(
    "text",
    [
        "東京 大阪 名古屋",
        "日 月 火 水 木 金 土",
        "春 夏 秋 冬",
        "ア イ ウ エ オ カ キ",
        "い ろ は に ほ へ と",
        "甲 と 乙",
        "目 次",
        "I a m here",
        "品名 数 単価\nりんご 3 個 100 円",
        "○ × △ ○ ×",
        "A 社 の 製品 と B 社 の 製品",
        "１ ２ ３ ４ ５",
        "契　約　書",
        "今日 は よい 天気 です 。",
        "",
    ],
)
def test_real_blanks_stay(text: str) -> None:
    assert join_spaced(text) == text
