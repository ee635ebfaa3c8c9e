"""Several masks together: the beam against exhaustive search."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from jnlp_fill_mask.logic import fill_jointly
from jnlp_fill_mask.prompt import read_prompts
from jnlp_fill_mask.scores import log_sum_exp


def exhaustive(model, text, masks):
    """Return the probability of every filling, by the chain rule from left to right."""
    (encoded,) = model.tokenizer.encode([text])
    at = np.flatnonzero(encoded.ids == model.tokenizer.mask_id)
    scores = {}
    for pieces in product(range(model.tokenizer.vocabulary), repeat=masks):
        ids, score = encoded.ids.copy(), 0.0
        for position, piece in zip(at, pieces, strict=True):
            logits = model.logits(tuple(ids.tolist()), int(position)).astype(np.float64)
            score += logits[piece] - np.log(np.exp(logits).sum())
            ids[position] = piece
        scores[pieces] = np.exp(score)
    return scores


@pytest.mark.parametrize(
    ("text", "masks"), [("あ_い", 1), ("_い_", 2), ("__", 2), ("う_え_あ_", 3), ("___", 3), ("あ_あ_い", 2)]
)
def test_a_wide_beam_is_exhaustive_search(micro, text, masks):
    expected = sorted(exhaustive(micro, text, masks).items(), key=lambda item: -item[1])
    prompts = read_prompts([text], micro.tokenizer, None)
    (result,) = fill_jointly(micro, prompts, top=10, beam=7**masks)
    count = min(10, 7**masks)
    assert [fill.ids for fill in result.fills] == [pieces for pieces, _ in expected[:count]]
    np.testing.assert_allclose(
        [fill.score for fill in result.fills], [score for _, score in expected[:count]], rtol=1e-5
    )


@pytest.mark.parametrize("text", ["_い_", "__", "う_え_あ_"])
def test_scores_are_a_distribution_over_fillings(micro, text):
    masks = text.count("_")
    (result,) = fill_jointly(micro, read_prompts([text], micro.tokenizer, None), top=7**masks, beam=1)
    assert len(result.fills) == 7**masks
    assert sum(fill.score for fill in result.fills) == pytest.approx(1, abs=1e-5)


def test_a_narrow_beam_finds_true_scores_but_perhaps_not_the_best(micro):
    texts = [f"{a}_{b}_{c}" for a, b, c in product("あいうえ", repeat=3)]
    prompts = read_prompts(texts, micro.tokenizer, None)
    greedy = [result.fills[0] for result in fill_jointly(micro, prompts, top=1, beam=1)]
    wide = [result.fills[0] for result in fill_jointly(micro, prompts, top=1, beam=7)]
    for text, narrow in zip(texts, greedy, strict=True):
        assert narrow.score == pytest.approx(exhaustive(micro, text, 2)[narrow.ids], rel=1e-5)
    assert all(w.score >= g.score - 1e-9 for w, g in zip(wide, greedy, strict=True))
    assert any(w.score > g.score + 1e-3 for w, g in zip(wide, greedy, strict=True))  # the greedy way does go wrong


def test_texts_with_different_numbers_of_masks_in_one_batch(micro):
    texts = ["_", "あ_い_", "___", "いい_"]
    together = fill_jointly(micro, read_prompts(texts, micro.tokenizer, None), top=4, beam=9)
    for text, result in zip(texts, together, strict=True):
        (alone,) = fill_jointly(micro, read_prompts([text], micro.tokenizer, None), top=4, beam=9)
        assert result == alone
        assert all(len(fill.ids) == text.count("_") for fill in result.fills)
        assert [fill.score for fill in result.fills] == sorted((fill.score for fill in result.fills), reverse=True)


def test_touching_pieces_are_decoded_together(tiny):
    """The bytes of one character, each in its mask, make that character."""
    prompts = read_prompts(["A<mask><mask><mask>B<mask>"], tiny.lm().tokenizer, None)
    tokenizer = tiny.lm().tokenizer
    ids = [tokenizer.inner.token_to_id(f"<0x{byte:02X}>") for byte in "猫".encode()]
    rain = tokenizer.inner.token_to_id("雨")
    assert prompts[0].sequence(dict(enumerate([*ids, rain])), tokenizer) == "A猫B雨"
    assert prompts[0].sequence({3: rain}, tokenizer) == "A<mask><mask><mask>B雨"


def test_log_sum_exp_of_large_logits():
    logits = np.array([[1000.0, 1000.0], [-1000.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(log_sum_exp(logits), [1000 + np.log(2), 0], rtol=1e-6)
