"""Listed words in disguise must be found, with offsets of the original; what only resembles one must be left alone."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp_toxicity import boundaries
from jnlp_toxicity.lexicon import load, noisy_or
from jnlp_toxicity.logic import by_category
from jnlp_toxicity.matcher import find
from jnlp_toxicity.views import views

HIDDEN = """
# look-alikes
バ力じゃないの|バ力
キ千ガイかよ|キ千ガイ
八ゲおやじ|八ゲ
ヤリ千ン|ヤリ千ン
口リコン死ね|口リコン
オ十二ー|
# small kana and half width
バヵめ|バヵ
ｱﾎｶ|ｱﾎ
ァホが|ァホ
ﾀﾋね|ﾀﾋね
# drawls and repetitions
ばーーーか|ばーーーか
バァァァカ|バァァァカ
ばかぁぁぁ|ばか
うざーーーい|うざーーーい
うざああああい|うざああああい
きもぉぉい|きもぉぉい
キモーーイ|キモーーイ
死ーーね|死ーーね
死ねぇぇぇ|死ね
死ねえええええ|死ね
死〜〜ね|死〜〜ね
くそがきぃ|くそがき
死ね死ね死ね|死ね
死死死ね|死死死ね
ブーーース|ブーーース
# signs, blanks and emoji
死🙂ね|死🙂ね
死☆ね|死☆ね
死　ね|死　ね
死…ね|死…ね
死♥️ね|死♥️ね
死。ね。|死。ね
死、ね|死、ね
死wwwね|死wwwね
死\\ね|死\\ね
死/ね/よ|死/ね
し＿ね|し＿ね
馬💢鹿|馬💢鹿
馬・鹿が|馬・鹿
馬*鹿|馬*鹿
バ＊カ|バ＊カ
バ♪カ|バ♪カ
バ カ|バ カ
ば か が|ば か
キ★モ★イ|キ★モ★イ
き・ち・が・い|き・ち・が・い
ガ_イ_ジ|ガ_イ_ジ
ガ イ ジ かよ|ガ イ ジ
ぶっ☆殺す|ぶっ☆殺す
ぶっ殺★すぞ|ぶっ殺★す
消🔥え🔥ろ|消🔥え🔥ろ
f.u.c.k you|f.u.c.k
f u c k|f u c k
# romaji
baka|baka
BAKA|BAKA
ＢＡＫＡ|ＢＡＫＡ
お前はbakaか|baka
bakayarou|bakayarou
baka yarou|
bakaaaa|bakaaaa
kono baka|baka
ahoka|ahoka
kimoi|kimoi
uzai|uzai
kusoyarou|kusoyarou
korosu|korosu
korosuzo|korosuzo
マジでkorosu|korosu
shine|shine
shineyo|shineyo
omae shine|shine
omaeshine|omaeshine
お前shine|shine
shineカス|shine
お前sine|sine
死ne|死ne
しne|しne
バka|
kichigai|kichigai
gaiji|gaiji
manko|manko
busu|busu
debu|debu
kutabare|kutabare
shinde kure|
# numbers
4ね|4ね
４ね|４ね
4ねよ|4ね
4んでくれ|4んで
46ね|46ね
56す|56す
56すぞ|56す
56してやる|56して
お前ら56す|56す
4ne|4ne
# masks
死○|
○ねよ|
馬○|
バ○か|
ぶっ○す|
○すぞ|
ガ○ジ|ガ○ジ
キ○ガイ|キ○ガイ
基○外|基○外
池○かよ|
クソ○郎|クソ○郎
f*ck|f*ck
f**k|f**k
f＊＊k|f＊＊k
# other spellings
氏ね|氏ね
市ね|市ね
死ネ|死ネ
シネよ|シネ
しネ|しネ
タヒね|タヒね
タヒんで|
歹ヒね|歹ヒね
頃すぞ|頃す
コロすぞ|コロす
ころすぞ|ころす
殺スぞ|殺ス
バ鹿|バ鹿
ヴァカ|ヴァカ
かす野郎|かす野郎
"""

HARMLESS = """
日口関係 日ロ首脳会談 夕方に会う 夕飯のおかず 二卜ロ 二トリ 人口が減る 入力する 体力をつける 力を入れる バス停で待つ
工口さんの店 出口はこちら 入口で待つ 大工の八さん 八百屋で買う 八ゲーム連続 第八ゲート 千葉県 口コミを見る 窓口にて
工場でニートが働く 二ュース 卜ーク 夕ーン 電力 カロリー 力士 才能がある 天才 八重歯 一口サイズ 千ガロン
ブース デーブ・スペクター カース・マルツゥ データベース コーヒーカップ ブーーンと飛ぶ ハーゲンダッツ ビーチボーイ
ああ、本当に。 ええ、そうです。 うん、うんうん。 はははは あはははは うーーん おーーい かわいいいい すごーーい
ばかりか、それも しかし、ねこは 楽しいし、ねこもいる いいし、ね 行くし、ね。 そうだし、ね 高いし…ね 安いし　ねえ
犬・馬・鹿の飼育 牛、馬、鹿、羊 馬・鹿の食害 馬と鹿 生・老・病・死、ねはん 氏、ねこを飼う 田中氏ねぇ、来るよ
アメリカ・スペイン フランス・カップ ラ・カスケード バ・カンパニー ア・ホール イ・ジ・ウン 右・左・上・下
sunshine Shine SHINE shiny moonshine Sunshine60通り 星がshineする shoeshine sine basic bakery bakasana kasumi kasugai
Busujima debut debug ahoy Idaho kusamochi kimono kimoto korosuke manhole Mankato sin(x) shining
56円 56すみれ丸 ￥56すら出せない 第56すずらん丸 56する 1956した 2.56す 56番 4ねん生 14ね 4ねずみ 第4ねじ 104ねん
あと4ねん 平成4ねん度 4んち 4んぼ 4.4ねん 2〇2〇年 ○×クイズ ○○さん 第○回 ○か×か ○をつける バ○ード
データ・ベース ナカスポーツ アカスリ 赤カスタード 白バカラ サバ缶 シメサバカレー 今晩ホカホカ 会社し、ね 紙シネマ
タヒチ島 タヒチね 市ねんりん 山口市ねぶた 市ねんきん 頃すでに 頃すこし その頃すぐに 近頃すっかり 見頃すぎ
ころすけ コロスケ コロス（合唱） しねま しねんまつ ガイ・ジョーンズ 基地外周 基地外縁部
"""

_ROWS = [line.split("|") for line in HIDDEN.strip().splitlines() if not line.startswith("#")]


def score(text: str) -> float:
    return noisy_or(by_category(find(text, load())).values())


def shown(text: str) -> list[tuple[str, str]]:
    return [(text[m.start : m.end], m.entry.word) for m in find(text, load())]


@pytest.mark.parametrize(("text", "surface"), _ROWS)
def test_a_disguised_word_is_found(text, surface):
    assert score(text) >= 0.5, shown(text)
    if surface:
        assert any(surface in found for found, _ in shown(text)), shown(text)


@pytest.mark.parametrize("text", HARMLESS.split())
def test_what_resembles_a_word_is_left_alone(text):
    assert score(text) < 0.5, shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "rise and shine",
        "let it shine",
        "shine on you crazy diamond",
        "We shine together",
        "sine and cosine",
        "Homo sapiens",
    ],
)
def test_english_is_not_romaji(text):
    assert score(text) < 0.5, shown(text)


_PIECES = st.sampled_from(
    [*"お前はバカ力二口卜死ね。、ー〜ぁ☆🙂ｗ4 ＢkaｶﾞﾊﾞＡ㌔", "baka", "shine", "ｼﾈ", "\u034f", "ﾊﾞｰｰｶ", "死ね", "\n"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_PIECES, max_size=25).map("".join))
def test_every_view_maps_back_in_order(text):
    for view in views(text):
        last = 0
        for place in range(len(view.text)):
            start, end = view.aligned.span(place, place + 1)
            assert 0 <= start < end <= len(text)
            assert start >= last or (start, end) == view.aligned.span(place - 1, place)
            last = start
    for match in find(text, load()):
        assert 0 <= match.start < match.end <= len(text)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["馬鹿", "死ね", "キモい", "ガイジ", "クソ野郎", "ぶっ殺す", "基地外"]),
    st.sampled_from(["★", "🙂", "・", "*", "♥️", "…", "_", "ー", "〜", "\u200b", "💢💢"]),
    st.booleans(),
)
def test_a_sign_anywhere_inside_hides_no_word(word, sign, everywhere):
    places = range(1, len(word)) if everywhere else [1]
    hidden = "".join(sign * (place in places) + letter for place, letter in enumerate(word))
    text = f"お前、{hidden}！"
    assert score(text) >= 0.5, (text, shown(text))


@pytest.mark.parametrize("text", ["き○い", "う〇い", "お前、マ●ケだな", "ク〇ズ", "レ〇プしてやる"])
def test_a_hidden_letter_hides_no_word(text):
    assert score(text) >= 0.5, (text, shown(text))


@pytest.mark.parametrize(
    "text", ["三〇人が集まった。", "二〇〇三年のことだ。", "百〇八の煩悩", "○か×で答えよ。", "二〇カ国が加わった。"]
)
def test_a_number_or_a_blank_is_no_hidden_letter(text):
    assert score(text) < 0.5, (text, shown(text))


def test_a_clause_that_comes_again_is_cut_into_words_once(monkeypatch):
    cut = []
    tokens = boundaries.tokens
    monkeypatch.setattr(boundaries, "tokens", lambda text, offset=0: cut.append(text) or tokens(text, offset))
    find("ばーーか" * 200, load())
    short = len(cut)
    cut.clear()
    find("ばーーか" * 800, load())
    assert len(cut) < 4 * short + 20
    assert len(cut) < 400


@pytest.mark.parametrize("unit", ["ばーーか", "死●", "馬 鹿 ", "バ力", "ー", "baka", "死🙂", "a"])
def test_time_is_linear_in_the_length(unit):
    def seconds(size):
        text = (unit * size)[:size]
        start = time.process_time()
        find(text, load())
        return time.process_time() - start

    seconds(500)
    short, long = seconds(1_500), seconds(6_000)
    assert long < max(0.5, 12 * short), (short, long)


def test_a_word_with_ten_thousand_signs_in_it_is_no_traceback():
    assert find("死" + "●" * 20_000 + "ね", load()) is not None
    assert find("ば" + "ー" * 5_000 + "か", load())
