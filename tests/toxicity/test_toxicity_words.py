"""Hard cases both ways: what the word lists must find, and what they must leave alone."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.errors import JnlpError
from jnlp_toxicity import decision
from jnlp_toxicity.lexicon import Entry, _folded, load, noisy_or
from jnlp_toxicity.logic import by_category
from jnlp_toxicity.matcher import Match, _without_overlaps, find
from jnlp_toxicity.screens import Words, pairs
from jnlp_toxicity.views import fold_words, squeeze_key

TOXIC = {
    # the text: what is found in it, and the category
    "お前は本当にバカだな": ("バカ", "insult"),
    "ばーか！": ("ばーか", "insult"),
    "ﾊﾞｶじゃないの": ("ﾊﾞｶ", "insult"),
    "バカー！": ("バカ", "insult"),
    "バカッ！": ("バカ", "insult"),
    "馬鹿じゃねえの？": ("馬鹿", "insult"),
    "バカバカバカ！": ("バカバカバカ", "insult"),
    "アホか": ("アホ", "insult"),
    "阿呆め": ("阿呆", "insult"),
    "マヌケな奴": ("マヌケ", "insult"),
    "このクソ野郎が": ("クソ野郎", "insult"),
    "ク・ソ・野・郎": ("ク・ソ・野・郎", "insult"),
    "クソガキどもめ": ("クソガキ", "insult"),
    "あいつはカスだ": ("あいつはカス", "insult"),
    "クズ野郎": ("クズ野郎", "insult"),
    "この豚野郎": ("豚野郎", "insult"),
    "カスが何を言うか": ("カス", "insult"),
    "このブス": ("ブス", "insult"),
    "デブのくせに": ("デブ", "insult"),
    "キモいんだよ、近寄るな": ("キモい", "insult"),
    "うざいんだよ": ("うざい", "insult"),
    "お前みたいなゴミは": ("お前みたいなゴミ", "insult"),
    "お前らは所詮クズだ": ("お前らは所詮クズ", "insult"),
    "生きる価値もない": ("生きる価値もない", "insult"),
    "ＦＵＣＫ　ＹＯＵ": ("ＦＵＣＫ", "insult"),
    "f*ck you": ("f*ck", "insult"),
    "死ね": ("死ね", "violence"),
    "死●ね": ("死●ね", "violence"),
    "死 ね": ("死 ね", "violence"),
    "し ね": ("し ね", "violence"),
    "さっさとしね": ("さっさとしね", "violence"),
    "お前はシネ": ("お前はシネ", "violence"),
    "4ね": ("4ね", "violence"),
    "４ね！": ("４ね", "violence"),
    "タヒね": ("タヒね", "violence"),
    "ﾀﾋね": ("ﾀﾋね", "violence"),
    "氏ねよ": ("氏ね", "violence"),
    "死ねばいいのに": ("死ね", "violence"),
    "死ねバカ": ("死ね", "violence"),
    "死ねばか野郎": ("死ね", "violence"),
    "早く死ねって言ってんだよ": ("死ね", "violence"),
    "くたばれ！": ("くたばれ", "violence"),
    "ぶっ殺すぞ": ("ぶっ殺す", "violence"),
    "ぶっころすぞ": ("ぶっころす", "violence"),
    "殺してやる": ("殺してやる", "violence"),
    "自殺しろ": ("自殺しろ", "violence"),
    "死んでしまえ": ("死んでしまえ", "violence"),
    "死んでくれ": ("死んでくれ", "violence"),
    "お前を必ず殺す": ("お前を必ず殺す", "violence"),
    "てめえ、ぶん殴るぞ": ("てめえ", "insult"),
    "まんこ": ("まんこ", "sexual"),
    "ま○こ": ("ま○こ", "sexual"),
    "マ●コ見せろ": ("マ●コ", "sexual"),
    "ち◯こ": ("ち◯こ", "sexual"),
    "フェラしてくれ": ("フェラ", "sexual"),
    "キチガイ": ("キチガイ", "discrimination"),
    "キ・チ・ガ・イ": ("キ・チ・ガ・イ", "discrimination"),
    "きち●い": ("きち●い", "discrimination"),
    "きちがいじみた": ("きちがい", "discrimination"),
    "基地外かよ": ("基地外", "discrimination"),
    "ガイジすぎる": ("ガイジ", "discrimination"),
    "チョン公": ("チョン公", "discrimination"),
    "知恵遅れが": ("知恵遅れ", "discrimination"),
    "びっこを引いて歩く": ("びっこ", "discrimination"),
    "女のくせに生意気だ": ("女のくせに", "discrimination"),
    "だから女は駄目なんだ": ("だから女は駄目", "discrimination"),
    "黒人は出ていけ": ("黒人は出ていけ", "discrimination"),
    "中国人どもが": ("中国人ども", "discrimination"),
}

CLEAN = """
バカンスに行く バカラのグラス ばかり言うな 馬鹿正直な人だ 火事場の馬鹿力 馬鹿にならない金額 バカ売れ商品
剣道バカの親父 馬鹿苗病の防除 バカバカしい話 アホウドリの保護 アホロートル 殺菌する 殺虫剤を買う
鬼畜難易度のゲーム もしねこがいたら シネマを見る シナリオを書く シナモンの香り シナイ半島 インドシナ半島
東シナ海の天気 支那そばを食べる 人は死ねば土に還る 死ねばかえって楽になる このままでは死ねない 死ねる覚悟
彼氏ねえ、いないよ 14ねんど 第4ねじ 2〇2〇年 事故で死亡した 犯人を殺人の疑いで逮捕 息を殺せ カスタムする
カステラを食べた カスピ海 カスミソウ お金をかす 酒かすの汁 天カスをのせる コーヒーカス クズ粉を水で溶く
くずもちを食べる 星屑のような夜 紙屑を拾う ゴミを捨てる お前ゴミ出しといて お前は豚肉が好きか 豚肉を焼く
ボケの花が咲く ピンボケ写真 平和ボケと言われる やけくそだ 耳くそを取る デブリを除去 ハゲワシが飛ぶ
ハゲタカファンド ブスコパンを飲む キモノを着る キモチがいい ウザベキ きしめん キッシュ てめえ勝手
不具合がある 土人形を作る めくらましを使う つんぼさじき かたわらに置く 片輪走行 もはや手遅れだ
河川や池沼に生息する 池沼の生態系 ホモ・サピエンス ホモサピエンスの進化 レズニック氏 オカマイタチ
お構いなく ジャップリン チョンマゲを結う ちょんまげ頭 チョンジュ市 エタノールで消毒 パンチングマシン
ちんちん電車に乗る ちんすこう おまんじゅう 完全変態の昆虫 エッセックス大学 sussexの海
エロイカ交響曲 アナルコサンディカリズム デヴィッド・リンチ監督 三角形の底辺と高さ びっくり仰天
明日の天気は晴れです めくらないでください めくられたページ 三枚めくらせる
"""


def score(text: str) -> float:
    return noisy_or(by_category(find(text, load())).values())


@pytest.mark.parametrize("text", TOXIC)
def test_found(text):
    word, category = TOXIC[text]
    matches = find(text, load())
    assert (word, category) in [(text[m.start : m.end], m.entry.category) for m in matches]
    assert score(text) >= 0.5


@pytest.mark.parametrize("text", [*CLEAN.split(), "", "　\n"])
def test_left_alone(text):
    assert score(text) < 0.5, [(text[m.start : m.end], m.entry.word) for m in find(text, load())]


@pytest.mark.parametrize(
    "hidden", ["\u034f", "\ufe0e", "\U000e0100", "\u3164", "\u2800", "\u180b", "\U000e0061", "\u200b", "\u0336"]
)
@pytest.mark.parametrize("word", ["死ね", "馬鹿", "バカ", "きもい", "殺すぞ"])
def test_an_invisible_character_hides_no_word(hidden, word):
    for place in range(len(word) + 1):
        text = f"お前、{word[:place]}{hidden * 2}{word[place:]}。"
        plain = [match.entry for match in find(f"お前、{word}。", load())]
        assert plain
        assert [match.entry for match in find(text, load())] == plain, text
    assert not find(f"馬鹿{hidden}正直な人だ", load())


@pytest.mark.parametrize("text", ["ハ\u3099カじゃないの", "ﾊ\u3099ｶめ", "ハ゛カめ", "ﾊ゛ｶめ"])
def test_a_mark_apart_from_its_letter_hides_no_word(text):
    assert [match.entry.category for match in find(text, load())] == ["insult"]


def test_mild_words_are_found_but_do_not_convict_alone():
    text = "性交渉と射精の仕組みを保健の授業で習う"
    assert {m.entry.category for m in find(text, load())} == {"sexual"}
    assert 0 < score(text) < 0.5


@settings(max_examples=150, deadline=None)
@given(
    st.text(st.sampled_from("お前はバカだ、。死ね㌔ﾊﾞｶﾞA ○●・クソ野郎 \n\u3000"), max_size=40),
    st.sampled_from(["死ね。", "クソ野郎", "キ・チ・ガ・イ"]),
)
def test_spans_are_in_the_text_in_order_and_apart(text, word):
    whole = f"{text}。{word}"
    matches = find(whole, load())
    assert matches
    assert all(0 <= m.start < m.end <= len(whole) for m in matches)
    assert all(a.end <= b.start for a, b in pairwise(matches))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6), st.sampled_from([0.25, 0.55, 0.9])), max_size=20))
def test_of_overlapping_words_the_longer_and_the_worse_stay(found):
    candidates = [Match(start, start + size, Entry("", "", severity)) for start, size, severity in found]
    plain: list[Match] = []
    for match in sorted(candidates, key=lambda m: (m.start - m.end, -m.entry.severity, m.start)):
        if all(match.end <= other.start or other.end <= match.start for other in plain):
            plain.append(match)
    assert _without_overlaps(candidates) == sorted(plain, key=lambda match: match.start)


def test_an_allowed_expression_within_another_does_not_end_it():
    lexicon = load((), ["あのバカな男の話", "バカ"])
    assert find("あのバカな男の話とバカ", lexicon) == []
    assert find("あの男の話のバカ女", lexicon) != []


def test_a_pattern_that_matches_nothing_at_a_place_finds_nothing(tmp_path):
    path = tmp_path / "ng.txt"
    path.write_text("[spam 2 pattern]\n(?=炎上)\n", "utf-8")
    assert find("大炎上です", load([str(path)])) == []


def test_offsets_count_in_the_original_where_folding_changes_lengths():
    text = "㍻の㌔とｶﾞﾊﾞｶﾞ、ﾊﾞｶ！"
    (match,) = find(text, load())
    assert text[match.start : match.end] == "ﾊﾞｶ"


def test_a_users_list_and_allowed_expressions(tmp_path):
    path = tmp_path / "ng.txt"
    path.write_text("# 社内の禁句\n炎上商法\n[spam 2]\n副業で稼げる\n[spam 2 pattern]\n\\d+万円を?不労所得\n", "utf-8")
    lexicon = load([str(path)], ["馬鹿の家"])
    found = [(m.entry.word, m.entry.category) for m in find("炎上商法だ。副業で稼げる。30万円不労所得", lexicon)]
    assert found == [("炎上商法", "custom"), ("副業で稼げる", "spam"), (r"\d+万円を?不労所得", "spam")]
    assert find("ここは馬鹿の家です", lexicon) == []
    assert find("ここは馬鹿の家です", load()) != []
    assert {"custom", "spam", "insult", "violence"} <= set(lexicon.categories)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[insult 2 pattern]\n(a|)\n", "matches the empty text"),
        ("[insult 2 pattern]\n(\n", "ng.txt:2"),
        ("[insult 2 loud]\n", "unknown flag"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused(content, message, tmp_path):
    path = tmp_path / "ng.txt"
    path.write_text(content, "utf-8")
    with pytest.raises(JnlpError, match=message):
        load([str(path)])


def test_a_missing_or_undecodable_list_is_one_clear_error(tmp_path):
    with pytest.raises(JnlpError, match="cannot read the word list"):
        load([str(tmp_path / "none.txt")])
    (tmp_path / "sjis.txt").write_bytes("禁句".encode("cp932"))
    with pytest.raises(JnlpError, match="cannot read the word list"):
        load([str(tmp_path / "sjis.txt")])


def test_the_shipped_list_names_its_sources():
    from importlib.resources import files

    text = files("jnlp_toxicity").joinpath("words.txt").read_text("utf-8")
    for credit in ("inappropriate-words-ja", "MIT", "HojiChar", "Apache-2.0", "open2ch", "LDNOOBW", "CC BY 4.0"):
        assert credit in text
    assert set(load().categories) == set(decision.CATEGORIES) | decision.SIGNS


def test_every_allowed_expression_has_a_word_that_is_found_without_it():
    lexicon = load()
    bare = dataclasses.replace(lexicon, allowed=Words())
    frames = ("{}", "この{}は", "{}た", "{}て", "{}の話", "{}ない", "{}る", "{}だ")
    idle = [
        entry.word for entry in lexicon.allowed if not any(find(frame.format(entry.word), bare) for frame in frames)
    ]
    assert not idle


@given(st.lists(st.text(alphabet="バカばｶﾞがか゛゙\u3099㍻０aAー－-あ\0\n ・〇", min_size=1), max_size=6))
def test_words_folded_together_are_those_folded_one_by_one(words: list[str]) -> None:
    assert _folded(words) == [fold_words(word).text for word in words]


def test_the_words_for_disguises_are_those_of_the_list() -> None:
    lexicon = load()
    folded = [(entry.key, fold_words(entry.word).text) for entry in lexicon.entries]
    assert all(key == alone for key, alone in folded)
    assert set(lexicon.squeezed) == set(lexicon.words) == set(lexicon.entries)
    words = {entry.word for *_, entry in lexicon.squeezed.find("ばか", pairs("ばか"))}
    assert words == {entry.word for entry in lexicon.entries if squeeze_key(entry.key) == "ばか"} != set()
