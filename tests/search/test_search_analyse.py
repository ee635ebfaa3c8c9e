"""What a query finds and what is highlighted, on real Japanese; nothing a user types breaks the full-text index."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.errors import JnlpError
from jnlp_search.analyse import analyser, highlights
from jnlp_search.store.schema import TABLES

# query, what it finds, what it does not
FOUND = [
    ("葛城", "葛\U000e0100城市の歴史を調べる。", "京都市の歴史を調べる。"),
    ("葛\U000e0101城", "葛城市の歴史を調べる。", "京都市の歴史を調べる。"),
    ("❤", "いいねの印は❤\ufe0fです。", "いいねの印は☆です。"),
    ("カ\u3099ス料金", "ガス料金を払う。", "水道を使う。"),
    ("契\u200b約", "契約を解\u00ad除する。", "規則を変更する。"),
    ("解除", "契約を解\u00ad除する。", "契約を更新する。"),
    ("コンピュータ", "コンピューターを起動する。", "電子計算機を起動する。"),
    ("コンピューター", "新しいコンピュータが届いた。", "新しい机が届いた。"),
    ("ｺﾝﾋﾟｭｰﾀ", "コンピューターを起動する。", "電子計算機を起動する。"),
    ("打合せ", "明日の打ち合わせは十時からです。", "明日の会議は十時からです。"),
    ("打ち合わせ", "打合せの記録を残す。", "会議の記録を残す。"),
    ("引越し", "引っ越しの荷物をまとめた。", "旅行の荷物をまとめた。"),
    ("サーバ", "サーバーが停止した。", "計算が停止した。"),
    ("ウイルス", "ウィルスに感染した。", "細菌に感染した。"),
    ("ヴァイオリン", "バイオリンを習う。", "ピアノを習う。"),
    ("子ども", "子供の声がする。", "大人の声がする。"),
    ("行なう", "試験を行った。", "試験をやめた。"),
    ("分かる", "意味がわからない。", "意味を調べない。"),
    ("ＡＢＣ株式会社", "abc株式会社と契約した。", "別の商店と契約した。"),
    ("１２３番", "123番の窓口へ。", "456の窓口へ。"),
    ("㍻", "平成元年に建てられた。", "昭和元年に建てられた。"),
    ("㎏", "重さは10kgです。", "長さは10mです。"),
    ("C++", "C++で書かれた道具。", "Pythonで書かれた道具。"),
    ("C#", "C#で書かれた道具。", "Pythonで書かれた道具。"),
    ("Python", "PYTHONの入門書。", "Javaの入門書。"),
    ("雨", "雨が降る。", "雪が降る。"),
    ("か", "これは何ですか。", "これは本です。"),
    ("の", "春の海。", "海が見える。"),
    ("が", "雨が降る。", "雨か雪。"),
    ("解約", "契約を途中で解約する。", "契約を更新する。"),
    ("契約を途中で解約する条件", "解約は三か月前までに申し出る。", "天気は晴れ。"),
    ("東京都庁", "東京の都庁へ行く。", "大阪へ行く。"),
    ("都庁", "東京都庁を訪ねた。", "京都を訪ねた。"),
    ("京都", "京都の寺。", "東京都の寺。"),
    ("食べた", "パンを食べられなかった。", "パンを焼いた。"),
    ("静か", "静かな湖。", "広い湖。"),
    ("美しい", "美しく咲く花。", "赤く咲く花。"),
    ("取扱説明書", "取り扱い説明書を読む。", "新聞を読む。"),
    ("50%", "湿度50%を保つ。", "湿度40を保つ。"),
    ("😀", "了解です😀", "了解です。"),
    ("か\u3099っこう", "がっこうへ行く。", "海へ行く。"),
]

UNBROKEN = [
    '"', '""', "*", "AND", "NOT", "OR OR", "NEAR(雨 雪)", "words:雨", "(", ")", "雨)", "-雨", "^雨", "雨*", '"雨', "+",
    "++", "'", ";--", "。", "　", "…", "ー", "・・・", "\0", "雨\0雪", "%", "_", "{雨}", "雨 AND NOT 雪", "\u3099", "ﾞ",
    "🇯🇵", "https://example.jp/?q=雨&r=1",
]  # fmt: skip


def index(name: str, texts: list[str]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.executescript(TABLES)
    for number, text in enumerate(texts):
        words = " ".join(word.form for word in analyser(name).words(text))
        db.execute("INSERT INTO fulltext (rowid, words) VALUES (?, ?)", (number, words))
    return db


def matches(db: sqlite3.Connection, match: str) -> list[int]:
    if not match:
        return []
    return [row[0] for row in db.execute("SELECT rowid FROM fulltext WHERE fulltext MATCH ? ORDER BY rowid", (match,))]


@pytest.mark.parametrize(("query", "yes", "no"), FOUND)
def test_a_query_finds_its_words_in_any_spelling(query: str, yes: str, no: str) -> None:
    asked = analyser("sudachi").query(query)
    assert matches(index("sudachi", [no, yes]), asked.match) == [1]
    assert highlights(analyser("sudachi"), asked, yes)
    assert not highlights(analyser("sudachi"), asked, no)


@pytest.mark.parametrize(
    ("query", "yes", "no"),
    [
        ("解約", "契約を途中で解約する。", "契約を更新する。"),
        ("雨", "大雨が降る。", "雪が降る。"),
        ("か", "これは何ですか。", "これは本です。"),
        ("ｺﾝﾋﾟｭｰﾀ", "コンピュータを起動する。", "机を買う。"),
        ("C++", "C++で書かれた道具。", "Pythonで書かれた道具。"),
        ("1928年", "昭和3年、西暦1928年のこと。", "1929のこと。"),
        ("ＡＢＣ", "abcと契約した。", "別の商店と契約した。"),
    ],
)
def test_bigrams_find_without_a_dictionary(query: str, yes: str, no: str) -> None:
    asked = analyser("bigram").query(query)
    assert matches(index("bigram", [no, yes]), asked.match) == [1]
    assert highlights(analyser("bigram"), asked, yes)
    assert not highlights(analyser("bigram"), asked, no)


@pytest.mark.parametrize("name", ["sudachi", "bigram"])
@pytest.mark.parametrize("query", UNBROKEN)
def test_no_query_breaks_the_full_text_index(name: str, query: str) -> None:
    db = index(name, ["雨が降る。", "晴れた空。"])
    asked = analyser(name).query(query)
    for expression in (asked.match, asked.phrases):
        assert matches(db, expression) in ([], [0])


@pytest.mark.parametrize("name", ["sudachi", "bigram"])
@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60))
def test_every_text_is_found_by_itself(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    db = index(name, [text])
    asked = analyser(name).query(text)
    words = list(analyser(name).words(text))
    assert all(0 <= word.start < word.end <= len(text) for word in words)
    assert matches(db, asked.match) == ([0] if words else [])
    matches(db, asked.phrases)


@pytest.mark.parametrize(
    ("query", "passage", "marked"),
    [
        ("解約の条件", "契約の解約には条件がある。", ["解約", "条件"]),
        ("打合せ", "明日の打ち合わせは、午後の打合せと別です。", ["打ち合わせ", "打合せ"]),
        ("東京都庁", "東京都庁は新宿にある。", ["東京都庁"]),
        ("ｶﾞｽ漏れ", "ガス漏れのときは窓を開ける。", ["ガス漏れ"]),
        ("平成", "㍻元年と平成二年。", ["㍻", "平成"]),
        ("食べる", "パンを食べたかったが、食べられなかった。", ["食べ", "食べ"]),
        ("C++", "CとC++とC#。", ["C", "C", "C"]),
        ("雨は降るか", "雨か雪が降るだろうか。", ["雨", "降る"]),
        ("監視業務", "受託者は、毎日二十四時間にわたり途切れることなく監\n視業務を行う。", ["監\n視業務"]),
        ("空", "雨が降る。", []),
    ],
)
def test_highlights_are_offsets_in_the_passage(query: str, passage: str, marked: list[str]) -> None:
    asked = analyser("sudachi").query(query)
    assert [passage[start:end] for start, end in highlights(analyser("sudachi"), asked, passage)] == marked


def test_neighbouring_words_are_a_phrase() -> None:
    asked = analyser("sudachi").query("自動更新 C++")
    assert asked.match == '"自動" OR "更新" OR "c"'
    assert asked.phrases == '"自動 更新" OR "c +" OR "+ +"'


@pytest.mark.parametrize(
    ("query", "yes", "no"),
    [
        ("E06", "エラーコードE06が出た。", "エラーコードE07が出た。"),
        ("自動更新", "契約は自動更新とする。", "自動で契約を更新とする。"),
        ("C++", "C++の本。", "Cの本。"),
    ],
)
def test_words_side_by_side_rank_first(query: str, yes: str, no: str) -> None:
    asked = analyser("sudachi").query(query)
    assert matches(index("sudachi", [no, yes]), asked.phrases) == [1]


def test_text_over_the_limit_of_sudachi_is_analysed_whole() -> None:
    text = "吾輩は猫である。" * 9_000
    words = list(analyser("sudachi").words(text))
    assert sum(word.form == "猫" for word in words) == 9_000
    assert all(text[word.start : word.end] == "猫" for word in words if word.form == "猫")
    rare = list(analyser("sudachi").words("𠮷" * 15_000))  # four bytes each
    assert sum(word.end - word.start for word in rare) == rare[-1].end == 15_000


def test_an_unknown_analyser_is_an_error() -> None:
    with pytest.raises(JnlpError, match="no analyser is called 'mecab'"):
        analyser("mecab")
