"""Candidates against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from jnlp.errors import RecordError, UsageError
from jnlp_fill_mask import CandidateFill, FillMaskOptions
from jnlp_fill_mask.logic import make

WORDS = ("晴れ", "曇り", "雨", "大雪", "🌧", "ＡＢＣ", "おはようございます")


def plain_loop(tiny, before, word, after):
    """Mask each piece of the word in turn, in the ids of the three parts, and sum the log-probabilities."""
    import torch

    model, tokenizer = tiny.pipeline.model, tiny.tokenizer
    left, pieces, right = (tokenizer.encode(part, add_special_tokens=False).ids for part in (before, word, after))
    total = 0.0
    for number, piece in enumerate(pieces):
        masked = [*pieces[:number], 5, *pieces[number + 1 :]]
        ids = torch.tensor([[1, *left, *masked, *right, 2]])
        with torch.inference_mode():
            logits = model(ids).logits[0, 1 + len(left) + number]
        total += float(logits.log_softmax(-1)[piece])
    return total, len(pieces)


@pytest.mark.parametrize(("before", "after"), [("今日の天気は", "です。"), ("", ""), ("㍻の", "")])
def test_against_a_plain_loop(tiny, before, after):
    (result,) = make(tiny.models(), FillMaskOptions(candidates=WORDS))([f"{before}<mask>{after}"])
    found = {fill.sequence[len(before) : len(fill.sequence) - len(after)]: fill for fill in result.fills}
    assert set(found) == set(WORDS)
    means = {}
    for word in WORDS:
        fill = found[word]
        assert isinstance(fill, CandidateFill)
        total, count = plain_loop(tiny, before, word, after)
        means[word] = total / count
        assert len(fill.ids) == len(fill.tokens) == count
        assert fill.sum_log_probability == pytest.approx(total, abs=1e-3)
        assert fill.mean_log_probability == pytest.approx(total / count, abs=1e-3)
    softmax = {word: np.exp(mean) / sum(np.exp(list(means.values()))) for word, mean in means.items()}
    assert {word: fill.score for word, fill in found.items()} == pytest.approx(softmax, abs=1e-4)
    assert [fill.score for fill in result.fills] == sorted((fill.score for fill in result.fills), reverse=True)


def test_some_candidates_are_of_several_pieces_and_all_are_shown(tiny):
    (result,) = make(tiny.models(), FillMaskOptions(candidates=WORDS, top=1))(["今日は<mask>"])
    assert {len(fill.ids) for fill in result.fills} >= {1, 3, 4}
    assert len(result.fills) == len(WORDS)


def test_one_candidate_of_one_piece_is_the_pipelines_score(tiny):
    text = "今日の天気は<mask>です。"
    (result,) = make(tiny.models(), FillMaskOptions(candidates=("雨", "雨")))([text])
    (expected,) = tiny.pipeline(text, targets=["雨"])
    (fill,) = result.fills
    assert np.exp(fill.sum_log_probability) == pytest.approx(expected["score"], rel=1e-3)
    assert fill.score == 1


def test_a_batch_gives_what_each_text_gives(tiny):
    texts = ["今日は<mask>です。", "<mask>", "明日の天気は[MASK]でした。"]
    apply = make(tiny.models(), FillMaskOptions(candidates=WORDS))
    for text, result in zip(texts, apply(texts), strict=True):
        assert result == apply([text])[0]


def test_several_masks(tiny):
    apply = make(tiny.models(), FillMaskOptions(candidates=WORDS))
    with pytest.raises(RecordError, match="this one has 2"):
        apply(["<mask>と<mask>"])


def test_a_candidate_without_text(tiny):
    with pytest.raises(UsageError, match="has no text"):
        make(tiny.models(), FillMaskOptions(candidates=("雨", "")))
