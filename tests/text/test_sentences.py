"""Sentences and paragraphs: a table of real Japanese, and the laws of covering and tiling."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.text import cut, lines, paragraphs, sentences

TEXT = st.text(
    st.sampled_from('あいカ漢字とはの。、！？!?．.…‥「」『』（）()"” 　\n\r-#1aB・笑\u3099👨\u200d'), max_size=60
)

CASES: list[tuple[str, list[str]]] = [
    ("", []),
    (" \n　\n", []),
    ("吾輩は猫である。名前はまだ無い。", ["吾輩は猫である。", "名前はまだ無い。"]),
    ("句点のない見出し", ["句点のない見出し"]),
    ("えっ！？本当？！知らなかった。", ["えっ！？", "本当？！", "知らなかった。"]),
    ("Really?! はい!? そう。", ["Really?!", "はい!?", "そう。"]),
    ("楽しい！！！最高だ。", ["楽しい！！！", "最高だ。"]),
    ("すごい！　次は？　終わり。", ["すごい！", "次は？", "終わり。"]),
    ("「こんにちは。」と彼は言った。", ["「こんにちは。」と彼は言った。"]),
    ("「こんにちは」。彼は言った。", ["「こんにちは」。", "彼は言った。"]),
    ("「行くぞ！」彼は走った。", ["「行くぞ！」", "彼は走った。"]),
    ("「はい。」「いいえ。」", ["「はい。」", "「いいえ。」"]),
    ("「はい」「いいえ」と答えた。", ["「はい」「いいえ」と答えた。"]),
    ("彼女は「A。B。」と書いた。次。", ["彼女は「A。B。」と書いた。", "次。"]),
    ("「彼が『行く。』と言った。」と聞いた。", ["「彼が『行く。』と言った。」と聞いた。"]),
    ("彼は（多分。）来ない。次の日。", ["彼は（多分。）来ない。", "次の日。"]),
    ("（これは注です。）次の文。", ["（これは注です。）", "次の文。"]),
    ("これは「未完で始まる。次の文。最後。", ["これは「未完で始まる。", "次の文。", "最後。"]),
    ("閉じるだけ」の文。次の文。", ["閉じるだけ」の文。", "次の文。"]),
    ("楽しかった（笑）。また行きたい！（笑）次も。", ["楽しかった（笑）。", "また行きたい！（笑）", "次も。"]),
    ("最高だ！♪また来る。", ["最高だ！♪", "また来る。"]),
    ("助けて！と叫んだ。", ["助けて！と叫んだ。"]),
    ("なぜ？という問い。", ["なぜ？という問い。"]),
    ("行く？とても心配だ。", ["行く？", "とても心配だ。"]),
    ("Yahoo!ニュースを読む。次。", ["Yahoo!ニュースを読む。", "次。"]),
    ("Yahoo! JAPANで検索した。", ["Yahoo! JAPANで検索した。"]),
    ("Yahoo!の株価。", ["Yahoo!の株価。"]),
    ("モーニング娘。のコンサートに行った。", ["モーニング娘。のコンサートに行った。"]),
    ("モーニング娘。が好きだ。歌もいい。", ["モーニング娘。が好きだ。", "歌もいい。"]),
    ("そうか……。でも、まあ……いいか。", ["そうか……。", "でも、まあ……いいか。"]),
    ("待て‥‥ひょっとして‥‥。", ["待て‥‥ひょっとして‥‥。"]),
    ("それは…　いや、やめよう。", ["それは…", "いや、やめよう。"]),
    ("Dr. Smithは3.14と言った。v1.2だ。", ["Dr. Smithは3.14と言った。", "v1.2だ。"]),
    ("e.g. これです。No. 5を見よ。", ["e.g. これです。", "No. 5を見よ。"]),
    (
        "The U.S. economy grew. It was 3.5 percent. See example.com for it.",
        ["The U.S. economy grew.", "It was 3.5 percent.", "See example.com for it."],
    ),
    ("Ph.D. を取得した。Co., Ltd.の社員。", ["Ph.D. を取得した。", "Co., Ltd.の社員。"]),
    ("これは文です.次の文です.", ["これは文です.", "次の文です."]),
    ("値は３．１４である．次に進む．", ["値は３．１４である．", "次に進む．"]),
    ("１．はじめに", ["１．はじめに"]),
    ("1. はじめに\n2. 方法", ["1. はじめに", "2. 方法"]),
    ("a != b? はい。", ["a != b?", "はい。"]),
    ("https://example.com/?q=1 を見る。次。", ["https://example.com/?q=1 を見る。", "次。"]),
    ('"こんにちは。" "さようなら。"', ['"こんにちは。"', '"さようなら。"']),
    ("“終わり。”次。", ["“終わり。”", "次。"]),
    ("ﾃｽﾄ｡次｡", ["ﾃｽﾄ｡", "次｡"]),
    ("一行目\n\n二行目", ["一行目", "二行目"]),
    ("# 見出し\n本文です。", ["# 見出し", "本文です。"]),
    ("第一章　始まり\n　春の朝だった。", ["第一章　始まり", "春の朝だった。"]),
    ("・りんご\n・みかん", ["・りんご", "・みかん"]),
    ("- りんごを\n- みかんを", ["- りんごを", "- みかんを"]),
    ("これは長い文で、\n途中で折れている。次。", ["これは長い文で、\n途中で折れている。", "次。"]),
    ("日本の首都は\r\n東京です。", ["日本の首都は\r\n東京です。"]),
    (
        "よろしくお願いします\nこちらこそ\nこんにちは\n元気？",
        ["よろしくお願いします", "こちらこそ", "こんにちは", "元気？"],
    ),
    ("彼は立って、\n「行くぞ」\nと言った。", ["彼は立って、", "「行くぞ」", "と言った。"]),
    ("最後の文は、\n　字下げで始まる。", ["最後の文は、", "字下げで始まる。"]),
    ("The quick brown fox jumps over\nthe lazy dog. End.", ["The quick brown fox jumps over\nthe lazy dog.", "End."]),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_sentences_of_the_table(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


WRAPPED = """　吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当が
つかぬ。何でも薄暗いじめじめした所でニャーニャー泣いていた事
だけは記憶している。吾輩はここで始めて人間というものを見た。
しかもあとで聞くとそれは書生というものだ。
　次の段落はここから。
"""


def test_a_hard_wrapped_paragraph_is_one() -> None:
    found = [WRAPPED[start:end] for start, end in paragraphs(WRAPPED)]
    assert [part[:5] for part in found] == ["吾輩は猫で", "次の段落は"]
    assert [WRAPPED[start:end] for start, end in sentences(WRAPPED)][2:4] == [
        "どこで生れたかとんと見当が\nつかぬ。",
        "何でも薄暗いじめじめした所でニャーニャー泣いていた事\nだけは記憶している。",
    ]


def test_long_lines_are_paragraphs_each() -> None:
    text = "\n".join(["とても長い一行で終わりの印のない行" * 12] * 4)
    assert len(list(paragraphs(text))) == 4


def test_lines_are_what_stands_between_breaks() -> None:
    text = "一\r\n　二 \n\n三\r四"
    assert [text[start:end] for start, end in lines(text)] == ["一", "二", "三", "四"]


def test_an_unclosed_bracket_does_not_swallow_the_file() -> None:
    text = "彼は「" + "長い話をした。" * 1000
    assert len(list(sentences(text))) == 1000


def test_a_long_quotation_is_split_inside() -> None:
    text = "「" + "長い話をした。" * 100 + "」と言った。次。"
    found = [text[start:end] for start, end in sentences(text)]
    assert len(found) == 101
    assert found[-2:] == ["長い話をした。」と言った。", "次。"]


@pytest.mark.parametrize(
    "text", ["「" * 100_000, "（あ）" * 50_000, "1.a．" * 40_000, "あ" * 1_000_000, "！と" * 50_000]
)
def test_hostile_text_is_covered(text: str) -> None:
    assert sum(end - start for start, end in sentences(text)) == len(text)


@pytest.mark.parametrize("split", [sentences, paragraphs, lines])
@given(text=TEXT)
@settings(max_examples=200, deadline=None)
def test_ranges_cover_all_but_white_space_in_order(split: object, text: str) -> None:
    assert callable(split)
    done = 0
    for start, end in split(text):
        assert done <= start < end
        assert not text[done:start].strip()
        assert text[start:end] == text[start:end].strip()
        done = end
    assert not text[done:].strip()


@given(TEXT, st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_cut_tiles_the_text(text: str, limit: int) -> None:
    pieces = list(cut(text, limit))
    assert "".join(text[start:end] for start, end in pieces) == text
    assert all(0 < end - start <= limit for start, end in pieces)


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("あ。いう。えおか。", 5, ["あ。いう。", "えおか。"]),
        ("あいうえお、かきくけこ", 7, ["あいうえお、", "かきくけこ"]),
        ("hello wide world", 12, ["hello wide ", "world"]),
        ("あいうえおかきくけこ", 4, ["あいうえ", "おかきく", "けこ"]),
        ("ああか\u3099あ", 3, ["ああ", "か\u3099あ"]),
        ("ああ👨\u200d👩あ", 4, ["ああ", "👨\u200d👩あ"]),
        ("短い", 100, ["短い"]),
    ],
)
def test_cut_prefers_sentence_ends(text: str, limit: int, expected: list[str]) -> None:
    assert [text[start:end] for start, end in cut(text, limit)] == expected


def test_cut_needs_a_limit() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        list(cut("あ", 0))
