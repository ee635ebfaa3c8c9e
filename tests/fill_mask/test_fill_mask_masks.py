"""The spellings of a mask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jnlp_fill_mask.masks import SPELLINGS, find_masks, respell

CASES = [
    ("おはようございます、今日の天気は<mask>です。", ["<mask>"]),
    ("日本の首都は[MASK]です。", ["[MASK]"]),
    ("<mask><mask>", ["<mask>", "<mask>"]),
    ("[MASK]と<mask>。", ["[MASK]", "<mask>"]),
    ("日本の首都は＿＿＿です。", ["＿＿＿"]),
    ("＿の＿＿は、", ["＿", "＿＿"]),
    ("記入欄＿＿＿に<mask>と書く。", ["<mask>"]),
    ("snake_case と __init__ は仮面ではない", []),
    ("[mask] <MASK> ＜mask＞ 〈mask〉", []),
    ("<mask", []),
    ("", []),
    ("𠮷野家で<mask>を食べる👨‍👩‍👧", ["<mask>"]),
    ("か\u3099<mask>", ["<mask>"]),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_spellings(text, expected):
    spans = find_masks(text)
    assert [text[start:end] for start, end in spans] == expected


@pytest.mark.parametrize(
    ("text", "token", "expected"),
    [
        ("今日は○○です", "○○", ["○○"]),
        ("今日は○○です。明日は<mask>です", "○○", ["○○", "<mask>"]),
        ("今日は(.*)です", "(.*)", ["(.*)"]),
        ("XXXX", "XX", ["XX", "XX"]),
        ("<mask>>", "<mask>>", ["<mask>>"]),
        ("＿＿ XX", "XX", ["XX"]),
        ("＿＿", "XX", ["＿＿"]),
    ],
)
def test_a_spelling_of_ones_own(text, token, expected):
    assert [text[start:end] for start, end in find_masks(text, (*SPELLINGS, token))] == expected


PLAIN = st.text(st.characters(exclude_characters="<>[]＿", exclude_categories=("Cs",)), max_size=8)


@given(st.lists(PLAIN, min_size=1, max_size=6), st.data())
def test_every_mask_is_found_and_nothing_else(parts, data):
    masks = [data.draw(st.sampled_from(SPELLINGS)) for _ in parts[1:]]
    text = parts[0] + "".join(mask + part for mask, part in zip(masks, parts[1:], strict=True))
    spans = find_masks(text)
    assert [text[start:end] for start, end in spans] == masks
    assert respell(text, spans, "【仮面】") == "【仮面】".join(parts)


@given(st.lists(PLAIN.filter(bool), min_size=2, max_size=6), st.integers(1, 5))
def test_each_run_of_low_lines_is_one_mask(parts, length):
    text = ("＿" * length).join(parts)
    assert respell(text, find_masks(text), "<mask>") == "<mask>".join(parts)
