"""Passages tile the document: whole sentences, within the budget, nothing lost, offsets exact."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jnlp_search.chunk import LONGEST, sentence_chunker

PARTS = st.sampled_from(
    [
        "雨が降る。",
        "契約を解約する、",
        "「はい！」と言った。",
        "\n",
        "\n\n",
        "　",
        "第1条",
        "か\u3099",
        "😀",
        "Yahoo!",
        "。",
        " ",
        "国" * 40,
    ]
)


def chunks(tokenizer, text: str, budget: int, overlap: int) -> list[str]:
    return [text[c.start : c.end] for c in sentence_chunker(text, tokenizer, budget, overlap, ())]


@example(parts=["😀", "\n", "契約を解約する、", "契約を解約する、", "雨が降る。"], budget=17, overlap=0)
@settings(max_examples=300, deadline=None)
@given(parts=st.lists(PARTS, max_size=60), budget=st.integers(8, 60), overlap=st.integers(0, 30))
def test_chunks_keep_the_budget_and_lose_nothing(tokenizer, parts: list[str], budget: int, overlap: int) -> None:
    text = "".join(parts)
    made = list(sentence_chunker(text, tokenizer, budget, overlap, ()))
    covered = set(itertools.chain.from_iterable(range(c.start, c.end) for c in made))
    assert all(text[i].isspace() for i in range(len(text)) if i not in covered)
    for chunk in made:
        passage = text[chunk.start : chunk.end]
        assert passage == passage.strip() != ""
        assert chunk.tokens <= budget
        assert len(passage) <= budget + passage.count("\u3099")  # one token a character; no mark is cut off
        assert passage[0] != "\u3099" or text[: chunk.start].rstrip() != text[: chunk.start] or not chunk.start
    for before, after in itertools.pairwise(made):
        assert before.start < after.start
        assert before.end < after.end


def test_sentences_stay_whole(tokenizer) -> None:
    text = "一つ目の文です。二つ目の文です。三つ目の文です。"
    assert chunks(tokenizer, text, 16, 0) == ["一つ目の文です。二つ目の文です。", "三つ目の文です。"]


def test_neighbours_share_their_last_sentences(tokenizer) -> None:
    text = "一つ目の文です。二つ目の文です。三つ目の文です。四つ目の文です。"
    assert chunks(tokenizer, text, 24, 8) == [
        "一つ目の文です。二つ目の文です。三つ目の文です。",
        "三つ目の文です。四つ目の文です。",
    ]
    assert chunks(tokenizer, text, 24, 7) == ["一つ目の文です。二つ目の文です。三つ目の文です。", "四つ目の文です。"]


def test_a_passage_half_full_ends_with_its_paragraph(tokenizer) -> None:
    text = "第1条は目的です。\n\n第2条は定義です。\n\n第3条は期間です。"
    assert chunks(tokenizer, text, 18, 9) == ["第1条は目的です。", "第2条は定義です。", "第3条は期間です。"]


def test_a_sentence_over_the_budget_is_cut_after_a_pause(tokenizer) -> None:
    text = "甲は乙に対して委託料を支払い、乙は甲に対して成果物を納入する"
    assert chunks(tokenizer, text, 16, 0) == ["甲は乙に対して委託料を支払い、", "乙は甲に対して成果物を納入する"]


@pytest.mark.parametrize("text", ["国" * (3 * LONGEST + 5), "か\u3099" * LONGEST])
def test_a_text_without_a_sentence_end_is_cut(tokenizer, text: str) -> None:
    made = chunks(tokenizer, text, 100, 0)
    assert "".join(made) == text
    assert max(map(len, made)) <= 101


def test_an_empty_text_has_no_chunk(tokenizer) -> None:
    assert chunks(tokenizer, "", 16, 0) == []
    assert chunks(tokenizer, " \n　\n", 16, 0) == []
