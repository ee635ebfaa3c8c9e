"""The same numbers as transformers' pipeline on the same weights."""

from __future__ import annotations

import numpy as np
import pytest

from jnlp_fill_mask import FillMaskOptions, MaskFill
from jnlp_fill_mask.logic import make

ONE_MASK = [
    "おはようございます、今日の天気は<mask>です。",
    "<mask>",
    "<mask>の首都は東京です。",
    "日本の首都は<mask>",
    "今日 の 天気は <mask> です 。",
    "ＡＢＣ１２３と㈱<mask>㍻のｶﾞは℃",
    "𠮷野家で<mask>を食べる👨‍👩‍👧。",
    "か\u3099は「<mask>」！？\n\t改行の後。",
    "</s><mask><s>と<cls>という文字",
    "雨" * 200 + "<mask>" + "晴れ" * 100,
]
SEVERAL = ["今日は<mask>、明日は<mask>です。", "<mask><mask><mask>", "[MASK]の首都は<mask>"]


def run(tiny, texts, **options):
    return make(tiny.models(), FillMaskOptions(**options))(texts)


@pytest.mark.parametrize("text", ONE_MASK)
def test_one_mask(tiny, text):
    (result,) = run(tiny, [text], top=20)
    expected = tiny.pipeline(text, top_k=20)
    np.testing.assert_allclose([f.score for f in result.fills], [e["score"] for e in expected], atol=1e-4, rtol=1e-3)
    assert [f.ids for f in result.fills] == [(e["token"],) for e in expected]
    assert all(type(f).__name__ == "Fill" for f in result.fills)


def test_a_sequence_is_the_text_with_the_mask_filled(tiny):
    (result,) = run(tiny, ["ＡＢＣの<mask>は℃"], top=300)
    for fill in result.fills:
        piece = tiny.tokenizer.decode(list(fill.ids))
        assert fill.sequence == f"ＡＢＣの{piece}は℃"
    assert sum(fill.score for fill in result.fills) <= 1 + 1e-5


@pytest.mark.parametrize("text", ["今日の天気は[MASK]です。", "今日の天気は＿＿＿です。", "今日の天気は○○です。"])
def test_other_spellings_are_the_same_question(tiny, text):
    (asked,) = run(tiny, ["今日の天気は<mask>です。"])
    (result,) = run(tiny, [text], mask_token="○○")
    assert result == asked


@pytest.mark.parametrize("text", SEVERAL)
def test_each_mask_by_itself(tiny, text):
    (result,) = run(tiny, [text], top=7, independent=True)
    expected = [
        (mask, e) for mask, each in enumerate(tiny.pipeline(text.replace("[MASK]", "<mask>"), top_k=7)) for e in each
    ]
    assert [(f.mask, *f.ids) for f in result.fills if isinstance(f, MaskFill)] == [(m, e["token"]) for m, e in expected]
    np.testing.assert_allclose([f.score for f in result.fills], [e["score"] for _, e in expected], atol=1e-4, rtol=1e-3)


def test_each_mask_by_itself_leaves_the_others_as_they_were_written(tiny):
    (result,) = run(tiny, ["[MASK]の首都は<mask>"], top=2, independent=True)
    first, second = result.fills[0], result.fills[2]
    assert first.sequence == tiny.tokenizer.decode(list(first.ids)) + "の首都は<mask>"
    assert second.sequence == "[MASK]の首都は" + tiny.tokenizer.decode(list(second.ids))


def test_a_batch_gives_what_each_text_gives(tiny):
    texts = [*ONE_MASK, *SEVERAL]
    together = run(tiny, texts, top=3, beam=4)
    for text, result in zip(texts, together, strict=True):
        (alone,) = run(tiny, [text], top=3, beam=4)
        assert [f.ids for f in result.fills] == [f.ids for f in alone.fills]
        assert [f.sequence for f in result.fills] == [f.sequence for f in alone.fills]
        np.testing.assert_allclose([f.score for f in result.fills], [f.score for f in alone.fills], rtol=1e-4)


def test_prompts_are_tokenised_as_one_string(tiny):
    from jnlp_fill_mask.prompt import read_prompts

    for prompt in read_prompts([*ONE_MASK, *SEVERAL], tiny.lm().tokenizer, None):
        expected = tiny.pipeline.tokenizer(prompt.text.replace("[MASK]", "<mask>"))["input_ids"]
        assert prompt.ids.tolist() == expected
