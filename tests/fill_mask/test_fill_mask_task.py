"""The task at its edges: long texts, wrong texts, threads, the table."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jnlp_fill_mask.scores
from jnlp.errors import JnlpError, RecordError, UsageError
from jnlp.types import Overflow
from jnlp_fill_mask import FILL_MASK, FillMaskOptions, WindowedFilled
from jnlp_fill_mask.logic import make, rows
from jnlp_fill_mask.long import around, window
from jnlp_fill_mask.prompt import read_prompts


@pytest.mark.parametrize("text", ["今日は晴れです。", "", "_", "[mask]", "<mask", ("前提", "<mask>")])
def test_a_text_without_a_mask_is_that_records_error(tiny, text):
    apply = make(tiny.models(), FillMaskOptions())
    with pytest.raises(RecordError) as caught:
        apply(["今日は<mask>です。", text])
    assert "\n" not in str(caught.value)


def test_nothing_is_computed_before_every_text_was_read(tiny):
    models = tiny.models()
    with pytest.raises(RecordError):
        make(models, FillMaskOptions())(["<mask>", "仮面なし"])
    assert models.model.calls == 0


def test_a_model_without_a_mask_token(tiny):
    models = tiny.models()
    models.model.tokenizer.mask_token, models.model.tokenizer.mask_id = "", -1
    with pytest.raises(JnlpError, match="no mask token"):
        make(models, FillMaskOptions())


def test_an_empty_mask_token(tiny):
    with pytest.raises(UsageError, match="--mask-token"):
        make(tiny.models(), FillMaskOptions(mask_token=" "))


@pytest.mark.parametrize("spelling", ["<mask>", "[MASK]", "＿＿＿＿"])
@pytest.mark.parametrize(("before", "after"), [(0, 40), (40, 0), (40, 40), (3, 40), (40, 3)])
def test_a_long_text_is_read_in_the_window_around_the_mask(tiny, spelling, before, after):
    text = "雨が" * before + spelling + "晴れ、" * after
    (result,) = make(tiny.models(max_length=24), FillMaskOptions(top=5))([text])
    assert isinstance(result, WindowedFilled)
    ((start, end),) = result.windows
    at = 2 * before
    assert start <= at < at + len(spelling) <= end
    # The window read by itself, special tokens around it, gives the same scores.
    inner = text[start:at] + "<mask>" + text[at + len(spelling) : end]
    expected = tiny.pipeline(inner, top_k=5)
    assert [fill.ids for fill in result.fills] == [(e["token"],) for e in expected]
    np.testing.assert_allclose([f.score for f in result.fills], [e["score"] for e in expected], rtol=1e-3, atol=1e-4)
    ids = tiny.tokenizer.encode(inner).ids
    assert len(ids) == 24
    if min(before, after) == 40:
        assert abs(ids.index(5) - 12) <= 1
    for fill in result.fills:
        assert fill.sequence == text[:at] + tiny.tokenizer.decode(list(fill.ids)) + text[at + len(spelling) :]


@pytest.mark.parametrize("independent", [False, True])
def test_masks_far_apart_have_a_window_each(tiny, independent):
    text = "<mask>" + "雨が" * 100 + "[MASK]" + "。" * 100
    (result,) = make(tiny.models(max_length=24), FillMaskOptions(top=2, independent=independent))([text])
    assert isinstance(result, WindowedFilled)
    (first, second) = result.windows
    assert first[0] == 0
    assert second[0] < 206 < 212 < second[1]
    assert text[slice(*second)].count("[MASK]") == 1
    assert len(result.fills) == (4 if independent else 2)


LONG = "雨が" * 5 + "<mask>" + "晴れ、" * 40


def counted(tiny, overflow):
    """Return models whose head says what to do with long texts, and what it has counted."""
    models, counts = tiny.models(max_length=24), []
    models.model.overflow = overflow
    models.model.count = lambda windows, cut: counts.append((windows, cut))
    return models, counts


def test_a_long_text_is_counted(tiny):
    models, counts = counted(tiny, Overflow.WINDOW)
    make(models, FillMaskOptions())(["<mask>", LONG])
    assert counts == [(1, 0)]


def test_a_long_text_is_cut_where_that_is_asked_for(tiny):
    models, counts = counted(tiny, Overflow.TRUNCATE)
    short, cut = make(models, FillMaskOptions(top=3))(["<mask>", LONG])
    assert len(short.fills) == 3
    ((windows, lost),) = counts
    assert windows == 0
    assert len(tiny.tokenizer.encode(LONG[: len(LONG) - lost]).ids) == 24
    expected = tiny.pipeline(LONG[: len(LONG) - lost], top_k=3)
    assert [fill.ids for fill in cut.fills] == [(e["token"],) for e in expected]
    assert all(fill.sequence.endswith("晴れ、" * 40) for fill in cut.fills)
    with pytest.raises(RecordError, match="after the first 24 tokens"):
        make(models, FillMaskOptions())(["晴れ、" * 40 + "<mask>"])


def test_a_long_text_is_refused_where_that_is_asked_for(tiny):
    models, counts = counted(tiny, Overflow.ERROR)
    with pytest.raises(RecordError, match="reads 24 at once"):
        make(models, FillMaskOptions())([LONG])
    assert counts == []
    assert models.model.calls == 0


@given(st.integers(1, 60), st.integers(3, 64), st.data())
def test_the_window_keeps_its_length_and_its_centre(length, max_length, data):
    prompts = read_prompts(["_" * length], MICRO, None)
    ids = prompts[0].ids
    at = data.draw(st.integers(1, length))
    marked = ids.copy()
    marked[at] = 3
    cut, where = around(marked, at, prompts[0], max_length)
    assert len(cut) == min(length + 2, max_length)
    assert cut[where] == 3
    assert (cut[0], cut[-1]) == (0, 1)
    first, stop = window(prompts[0], len(ids), at, max_length)
    assert stop - first == len(cut) - 2
    if first > 1 and stop < length + 1:
        assert abs((at - first) - (stop - 1 - at)) <= 1


class _Micro:
    """A tokenizer of three pieces."""

    mask_token, mask_id, vocabulary = "_", 2, 4

    def encode(self, texts):
        from jnlp.types import Encoded

        return [
            Encoded(np.array([0, *[2] * len(t), 1]), np.array([(0, 0), *((i, i + 1) for i in range(len(t))), (0, 0)]))
            for t in texts
        ]


MICRO = _Micro()


def test_logits_held_at_once_are_bounded(tiny, monkeypatch):
    texts = ["今日は<mask>、明日は<mask>です。", "<mask>" * 30, "雨<mask>"]
    models = tiny.models()
    expected = make(models, FillMaskOptions(top=3, independent=True))(texts)
    assert models.model.calls == 1
    monkeypatch.setattr(jnlp_fill_mask.scores, "_FLOATS", 4 * models.model.tokenizer.vocabulary)
    monkeypatch.setattr(jnlp_fill_mask.scores, "_ROWS", 3)
    result = make(models, FillMaskOptions(top=3, independent=True))(texts)
    assert models.model.calls > 9
    assert [[f.ids for f in r.fills] for r in result] == [[f.ids for f in r.fills] for r in expected]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (FillMaskOptions(top=2, beam=2), "今日は<mask>、<mask>です。"),
        (FillMaskOptions(top=2, independent=True), "今日は<mask>、<mask>です。"),
        (FillMaskOptions(candidates=("晴れ", "大雨注意報")), "今日は<mask>です。"),
    ],
)
def test_questions_are_made_as_they_are_asked(tiny, monkeypatch, options, text):
    models = tiny.models()
    monkeypatch.setattr(jnlp_fill_mask.scores, "_FLOATS", 4 * models.model.tokenizer.vocabulary)
    asked, ahead = 0, []
    at_masks, one = type(models.model).at_masks, jnlp_fill_mask.scores.Ask

    class Counted(one):
        def __init__(self, ids, positions):
            nonlocal asked
            asked += 1
            super().__init__(ids, positions)

    def answered(self, ids, positions, /):
        nonlocal asked
        ahead.append(asked)
        asked = 0
        return at_masks(self, ids, positions)

    monkeypatch.setattr(jnlp_fill_mask.logic, "Ask", Counted)
    monkeypatch.setattr(type(models.model), "at_masks", answered)
    make(models, options)([text] * 40)
    assert len(ahead) > 10
    assert max(ahead) <= 5


def test_two_threads_at_once(tiny):
    apply = make(tiny.models(), FillMaskOptions(top=2, beam=3))
    batches = [[f"{word}は<mask>と<mask>です。"] * 3 for word in ("今日", "明日", "東京", "雨")]
    expected = [apply(batch) for batch in batches]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(apply, batches))
    fills = [[fill for result in batch for fill in result.fills] for batch in (*found, *expected)]
    for ours, alone in zip(fills[: len(found)], fills[len(found) :], strict=True):
        assert [fill.tokens for fill in ours] == [fill.tokens for fill in alone]
        # A library of products may split them otherwise where two threads ask at once: the last digit differs.
        assert [fill.score for fill in ours] == pytest.approx([fill.score for fill in alone], rel=1e-5)


def test_the_record_is_as_promised(tiny):
    (result,) = make(tiny.models(), FillMaskOptions(top=1))(["今日は<mask>です。"])
    record = json.loads(json.dumps(dataclasses.asdict(result), ensure_ascii=False))
    assert list(record) == ["fills"]
    assert list(record["fills"][0]) == ["tokens", "ids", "score", "sequence"]


def test_rows(tiny):
    text = "今日は<mask>です。"
    (result,) = make(tiny.models(), FillMaskOptions(top=2))([text])
    table = rows(text, result)
    assert [list(row) for row in table] == [["fill", "score", "sequence"]] * 2
    assert table[0]["score"] == f"{result.fills[0].score:.4f}"
    assert [row["sequence"] for row in table] == [fill.sequence for fill in result.fills]
    (each,) = make(tiny.models(), FillMaskOptions(top=1, independent=True))(["<mask>と<mask>"])
    assert [row["mask"] for row in rows("", each)] == [1, 2]
    (ranked,) = make(tiny.models(), FillMaskOptions(candidates=("雨", "大雪")))(["<mask>"])
    assert all({"log p / piece", "log p"} < set(row) for row in rows("", ranked))


def test_the_spec_is_a_light_value():
    assert pickle.loads(pickle.dumps(FILL_MASK)) == FILL_MASK
    code = "import sys, jnlp_fill_mask.spec; print([m for m in ('torch', 'numpy', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
