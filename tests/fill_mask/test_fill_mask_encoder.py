"""The task on jnlp's own encoder, from a folder as transformers saves it."""

from __future__ import annotations

import numpy as np
import pytest

from jnlp.encoder.load import Runtime, load_masked_lm
from jnlp.models.folder import inspect
from jnlp.types import Head
from jnlp_fill_mask import FillMaskOptions
from jnlp_fill_mask.logic import fill_each, fill_jointly, make, rank
from jnlp_fill_mask.prompt import read_prompts

TEXTS = [
    "おはようございます、今日の天気は<mask>です。",
    "<mask>",
    "今日 の [MASK] は 。",
    "ＡＢＣ１２３と㈱<mask>㍻のｶﾞは℃",
    "𠮷野家で＿＿を食べる👨‍👩‍👧。",
    "雨" * 150 + "<mask>" + "晴れ" * 100,
]


@pytest.fixture(scope="module")
def head(tiny):
    return load_masked_lm(tiny.folder, runtime=Runtime(device="cpu", dtype="fp32"))


def test_the_folder_is_understood(tiny):
    spec = inspect(tiny.folder)
    assert spec.heads == (Head.EMBEDDING, Head.MASKED_LM)
    assert spec.parameters == sum(p.numel() for p in tiny.pipeline.model.parameters())


def test_one_mask_equals_the_pipeline(tiny, head):
    apply = make(OneModel(head), FillMaskOptions(top=20))
    for text, result in zip(TEXTS, apply(TEXTS), strict=True):
        expected = tiny.pipeline(text.replace("[MASK]", "<mask>").replace("＿＿", "<mask>"), top_k=20)
        scores = [fill.score for fill in result.fills]
        np.testing.assert_allclose(scores, [e["score"] for e in expected], atol=1e-4, rtol=1e-3)
        assert [fill.ids for fill in result.fills] == [(e["token"],) for e in expected]
        np.testing.assert_array_equal(
            [fill.tokens[0] for fill in result.fills if "<0x" not in fill.tokens[0]],
            [e["token_str"] for e in expected if "\ufffd" not in e["token_str"] and e["token_str"]],
        )


def test_everything_else_equals_the_reference(tiny, head):
    several = ["今日は<mask>、明日は<mask>です。", "<mask><mask>の首都", "雨が" * 40 + "<mask>と<mask>"]
    reference = tiny.lm()
    for run, texts in (
        (lambda model, prompts: fill_jointly(model, prompts, top=3, beam=4), several),
        (lambda model, prompts: fill_each(model, prompts, top=3), several),
        (lambda model, prompts: rank(model, prompts, {"大雪": [40, 50], "雨": [267]}), TEXTS),
    ):
        ours = run(head, read_prompts(texts, head.tokenizer, None))
        theirs = run(reference, read_prompts(texts, reference.tokenizer, None))
        for one, other in zip(ours, theirs, strict=True):
            assert [f.ids for f in one.fills] == [f.ids for f in other.fills]
            np.testing.assert_allclose([f.score for f in one.fills], [f.score for f in other.fills], rtol=1e-3)


class OneModel:
    """The `Models` of a single masked LM."""

    def __init__(self, model):
        self.model = model

    def masked_lm(self, model=None, /):
        return self.model
