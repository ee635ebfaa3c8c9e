"""Offsets: the laws of Aligned, and NFKC and folding held against them and against unicodedata."""

from __future__ import annotations

import sys
from unicodedata import decomposition, normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.text import (
    MARKUPS,
    NORMALIZERS,
    Aligned,
    Builder,
    compose,
    fold,
    fold_kana,
    identity,
    nfkc,
    readable,
    retext,
    search_fold,
)

ALPHABET = (
    "あがかﾞ゙ﾊﾊﾟ゚ヿ㍻㈱℃ＡＢ①ｶーｰ－‐〜～ 　\n\u200b漢字々ßİ한\u1100\u1161\u11a8é\u0301🎌👨\u200d\ufb01…Ⅳabc.<b>*《》&amp;"
)
TEXT = st.text(st.sampled_from(ALPHABET) | st.characters(codec="utf-8"), max_size=24)


def check_laws(source: str, aligned: Aligned) -> None:
    """Every sub-range maps within bounds, monotonely, and a partition's spans make up the whole's."""
    length = len(aligned.text)
    assert aligned.source_length == len(source)
    singles = [aligned.span(i, i + 1) for i in range(length)]
    assert singles == sorted(singles)
    assert [end for _, end in singles] == sorted(end for _, end in singles)
    for i in range(length + 1):
        at = aligned.span(i, i)
        assert at[0] == at[1]
        assert 0 <= at[0] <= len(source)
        for j in range(i + 1, length + 1):
            start, end = aligned.span(i, j)
            assert 0 <= start <= end <= len(source)
            assert (start, end) == (min(s for s, _ in singles[i:j]), max(e for _, e in singles[i:j]))
    for i in range(len(source) + 1):
        empty = aligned.locate(i, i)
        assert empty[0] == empty[1]
        for j in range(i + 1, len(source) + 1):
            start, end = aligned.locate(i, j)
            touched = [k for k, (s, e) in enumerate(singles) if s < j and e > i]
            if touched:
                assert start <= touched[0]
                assert end >= touched[-1] + 1
            assert 0 <= start <= end <= length


@pytest.mark.parametrize("name", sorted(NORMALIZERS) + sorted(MARKUPS))
@given(text=TEXT)
@settings(max_examples=60, deadline=None)
def test_every_function_keeps_the_offset_laws(name: str, text: str) -> None:
    function = NORMALIZERS.get(name) or MARKUPS[name]
    check_laws(text, function(text))


@given(TEXT)
@settings(max_examples=300, deadline=None)
def test_nfkc_is_that_of_unicode(text: str) -> None:
    assert nfkc(text).text == normalize("NFKC", text)


@given(TEXT)
@settings(max_examples=100, deadline=None)
def test_composition_is_one_map_after_the_other(text: str) -> None:
    inner = MARKUPS["html"](text)
    outer = nfkc(inner.text)
    both = compose(inner, outer)
    assert both.text == outer.text
    for i in range(len(both.text)):
        assert both.span(i, i + 1) == inner.span(*outer.span(i, i + 1))
    check_laws(text, both)


def test_nothing_that_composes_backwards_begins_a_cluster() -> None:
    """All canonical pairs of Unicode, after a letter and after what they compose with."""
    for code in range(sys.maxunicode + 1):
        parts = decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            text = "か" + "".join(chr(int(part, 16)) for part in parts) + "Ａ"
            assert nfkc(text).text == normalize("NFKC", text)


@pytest.mark.parametrize(
    ("source", "text", "part", "origin"),
    [
        ("気温は25℃だ", "気温は25°Cだ", "C", "℃"),
        ("気温は25℃だ", "気温は25°Cだ", "°C", "℃"),
        ("㍻12年", "平成12年", "成", "㍻"),
        ("㍻12年", "平成12年", "平成", "㍻"),
        ("㍻12年", "平成12年", "成1", "㍻1"),
        ("㈱日本", "(株)日本", "株", "㈱"),
        ("㈱日本", "(株)日本", "日本", "日本"),
        ("ｶﾞｽ", "ガス", "ガ", "ｶﾞ"),
        ("ｶﾞｽ", "ガス", "ス", "ｽ"),
        ("かくカ\u3099く", "かくガく", "ガ", "カ\u3099"),
        ("は\u309aん", "ぱん", "ぱ", "は\u309a"),
        ("それヿ也", "それコト也", "ト", "ヿ"),
        ("全角ＡＢＣとABC", "全角ABCとABC", "BCと", "ＢＣと"),
        ("１２３㌔①", "123キロ1", "キロ", "㌔"),
        ("あ…い", "あ...い", ".", "…"),
        ("ﬁn", "fin", "i", "ﬁ"),
        ("ﾊﾟﾋﾟﾌﾟ", "パピプ", "ピ", "ﾋﾟ"),
        ("한국", "한국", "국", "국"),
    ],
)
def test_nfkc_maps_parts_to_whole_characters(source: str, text: str, part: str, origin: str) -> None:
    aligned = nfkc(source)
    assert aligned.text == text
    start = aligned.text.rindex(part)
    assert source[slice(*aligned.span(start, start + len(part)))] == origin


@pytest.mark.parametrize(
    ("source", "folded", "kana"),
    [
        ("ＡＢＣ", "abc", "abc"),
        ("サーバー", "サーバー", "さーばー"),
        ("サ－バ－", "サーバー", "さーばー"),
        ("ｻｰﾊﾞｰ", "サーバー", "さーばー"),
        ("ｻ‐ﾊﾞ‐", "サーバー", "さーばー"),
        ("コ―ヒ—", "コーヒー", "こーひー"),
        ("1－2", "1-2", "1-2"),
        ("電話−番号", "電話-番号", "電話-番号"),
        ("タイプ−1", "タイプ-1", "たいぷ-1"),
        ("十〜二十～", "十~二十~", "十~二十~"),
        ("東京　都\t内", "東京 都 内", "東京 都 内"),
        ("バ\u200bカ", "バカ", "ばか"),
        ("Straße", "strasse", "strasse"),
        ("ヴァイオリンヽ", "ヴァイオリンヽ", "ゔぁいおりんゝ"),
        ("か\u3099ｷﾞガ", "がギガ", "がぎが"),
        ("か゛は゜", "がぱ", "がぱ"),
        ("ｶ\u3099ﾊ\u309a", "ガパ", "がぱ"),
        ("葛\U000e0100城", "葛城", "葛城"),
        ("❤\ufe0f", "❤", "❤"),
        ("葛\ufe00城\ufe0f", "葛城", "葛城"),
        ("死\u034fね", "死ね", "死ね"),
        ("\u3164死\u3164ね\uffa0", "死ね", "死ね"),
        ("死\u2800ね", "死ね", "死ね"),
        ("死\u180bね\u180e", "死ね", "死ね"),
        ("死\U000e0061ね\U000e007f", "死ね", "死ね"),
        ("死\u2060\u200d\u00adね", "死ね", "死ね"),
        ("か\u200b\u3099", "が", "が"),
        ("ハ\u0336゜カ\u20dd", "パカ", "ぱか"),
        ("死\u0334ね\u0337", "死ね", "死ね"),
        ("cafe\u0301", "café", "café"),
        ("Ｃ＋＋と㈱", "c++と(株)", "c++と(株)"),
    ],
)
def test_folding(source: str, folded: str, kana: str) -> None:
    assert search_fold(source).text == folded
    assert fold_kana(source).text == kana


@pytest.mark.parametrize(
    "hidden",
    [
        "\u00ad",
        "\u034f",
        "\u061c",
        "\u1160",
        "\u17b4",
        "\u180c",
        "\u200b",
        "\u202e",
        "\u2065",
        "\u2800",
        "\u3164",
        "\ufe0f",
        "\ufeff",
        "\uffa0",
        "\ufff3",
        "\U0001d173",
        "\U000e0100",
        "\U000e0fff",
    ],
)
def test_an_invisible_character_changes_nothing_wherever_it_is(hidden: str) -> None:
    for place in range(5):
        source = "東京ガス"[:place] + hidden * 3 + "東京ガス"[place:]
        aligned = search_fold(source)
        assert aligned.text == "東京ガス"
        start, end = aligned.span(0, 4)
        assert source[start:end].replace(hidden, "") == "東京ガス"
        assert readable(source).text == "東京ガス"


def test_text_without_anything_hidden_is_readable_as_it_is() -> None:
    assert readable("ｶﾞｽと１２３、葛城").is_identity


def test_the_parts_of_folding_are_separate() -> None:
    assert fold("ＡbカKA", width=False, case=False, kana=True).text == "ＡbかKA"
    assert fold("Ａbカ", width=False).text == "ａbカ"
    assert fold("Ａbカ", case=False).text == "Abカ"


@given(TEXT)
@settings(max_examples=100, deadline=None)
def test_identity_maps_every_range_to_itself(text: str) -> None:
    aligned = identity(text)
    assert aligned.is_identity
    assert all(aligned.span(i, j) == aligned.locate(i, j) == (i, j) for j in range(len(text) + 1) for i in range(j + 1))


def test_locate_finds_the_new_place_of_an_original_range() -> None:
    aligned = nfkc("25℃は㍻")
    assert aligned.text == "25°Cは平成"
    assert [aligned.locate(i, i + 1) for i in range(5)] == [(0, 1), (1, 2), (2, 4), (4, 5), (5, 7)]


def test_what_was_removed_maps_to_an_empty_range() -> None:
    builder = Builder("a<b>c")
    builder.copy(0, 1)
    builder.copy(4, 5)
    aligned = builder.build()
    assert aligned.text == "ac"
    assert aligned.locate(1, 4) == (1, 1)
    assert aligned.span(0, 2) == (0, 5)
    assert (aligned.span(0, 1), aligned.span(1, 2)) == ((0, 1), (4, 5))


def test_wrong_ranges_and_lengths_are_errors() -> None:
    for start, end in ((-1, 0), (2, 1), (0, 4)):
        with pytest.raises(ValueError, match="not within"):
            identity("あいう").span(start, end)
        with pytest.raises(ValueError, match="not within"):
            identity("あいう").locate(start, end)
    with pytest.raises(ValueError, match="lengths differ"):
        retext("あ", "ab")
    with pytest.raises(ValueError, match="not 1"):
        compose(identity("あ"), identity("ab"))


def test_a_copy_costs_one_piece_however_long() -> None:
    assert sum(1 for _ in nfkc("ＡＢＣ漢字、。！？" * 1000).pieces()) == 1
