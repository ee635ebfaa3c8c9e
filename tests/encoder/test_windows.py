"""Long texts as windows: laws for any length, and the joins in numbers."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.encoder.tokenizer import load_tokenizer
from jnlp.encoder.windows import (
    centred,
    cuts,
    frame,
    max_positive,
    mean_by_tokens,
    mean_logits,
    probabilities,
)
from jnlp.errors import JnlpError, RecordError
from jnlp.testing import make_tokenizer
from jnlp.types import Logits, Overflow, ProblemType


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(make_tokenizer(tmp_path_factory.mktemp("tokenizer")))


japanese = st.text(st.sampled_from("今日は良い天気です。東京ｶﾞ㍻鬱 \n　ab"), max_size=80)


@given(st.integers(0, 500), st.integers(1, 60))
def test_cuts_cover_and_overlap(tokens, room):
    ranges = cuts(tokens, room)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == tokens
    for start, end in ranges:
        assert end - start == min(room, tokens)
    for (_, before), (after, _) in pairwise(ranges):
        assert before - after >= room // 8
    assert len(ranges) <= 1 + max(0, -(-(tokens - room) // (room - room // 8)))


@settings(max_examples=60, deadline=None)
@given(st.lists(japanese, min_size=1, max_size=4), st.integers(30, 50), st.sampled_from(["", "検索文書: "]))
def test_windows_lose_nothing(tokenizer, texts, max_length, prefix):
    for text, framed in zip(texts, frame(texts, tokenizer, max_length, Overflow.WINDOW, prefix=prefix), strict=True):
        windows = list(framed)
        assert framed.cut == 0
        assert all(len(w.ids) <= max_length for w in windows)
        # every character is in a window, and windows ascend
        assert windows[0].span[0] == 0
        assert windows[-1].span[1] == len(text)
        for left, right in pairwise(windows):
            assert left.span[0] <= right.span[0] <= left.span[1] <= right.span[1]
        # the cores put together are the text's tokens, once each
        cores = np.concatenate([w.ids[slice(*w.core)] for w in windows])
        whole = np.concatenate([[1], tokenizer.bodies([text], prefix=prefix)[0].ids, [2]])
        assert cores.tolist() == whole.tolist()


def test_prefix_stands_in_every_window_and_has_no_span(tokenizer):
    (framed,) = frame(["今日は良い天気です。" * 9], tokenizer, 40, Overflow.WINDOW, prefix="検索文書: ")
    prefix = tokenizer.bodies([""], prefix="検索文書: ")[0].ids.tolist()
    assert len(framed) > 1
    for window in framed:
        assert window.ids[: 1 + len(prefix)].tolist() == [1, *prefix]
        assert not window.offsets[: 1 + len(prefix)].any()
        assert window.tokens == len(window.ids) - len(prefix) - 2


def test_truncation_is_counted(tokenizer):
    text = "今日は良い天気です。" * 9
    (framed,) = frame([text], tokenizer, 20, Overflow.TRUNCATE)
    (window,) = framed
    assert len(window.ids) == 20
    assert framed.cut == len(text) - window.span[1] > 0


def test_error_states_the_lengths(tokenizer):
    with pytest.raises(RecordError, match=r"the text is \d+ tokens long, and the model reads 18 of it at once"):
        frame(["短い", "今日は良い天気です。" * 9], tokenizer, 20, Overflow.ERROR)


def test_no_room_for_the_text(tokenizer):
    with pytest.raises(JnlpError, match="no room"):
        frame(["今日"], tokenizer, 4, Overflow.WINDOW, prefix="とても長い前置き: ")


def test_pair_repeats_the_first_and_windows_the_second(tokenizer):
    first, second = "良い天気", "東京都と大阪府。" * 12
    (framed,) = frame([(first, second)], tokenizer, 40, Overflow.WINDOW)
    lead = [1, *tokenizer.pieces(first), 2]
    assert len(framed) > 1
    for window in framed:
        assert window.ids[: len(lead)].tolist() == lead
        assert window.ids[-1] == 2
        assert len(window.ids) <= 40
    assert (framed.cut, framed.window(0).span[0], framed.window(len(framed) - 1).span[1]) == (0, 0, len(second))


def test_pair_that_fits_is_the_models_own_template(tokenizer):
    (framed,) = frame([("今日", "東京")], tokenizer, 40, Overflow.ERROR)
    (window,) = framed
    assert window.ids.tolist() == tokenizer.backend.encode("今日", "東京").ids


def test_long_first_of_a_pair_is_cut_to_half_and_counted(tokenizer):
    first = "今日は良い天気です。" * 9
    (framed,) = frame([(first, "東京都。" * 30)], tokenizer, 43, Overflow.WINDOW)
    room = 43 - 3
    kept = framed.window(0).ids[1 : 1 + room // 2].tolist()
    assert kept == tokenizer.pieces(first)[: room // 2]
    assert framed.cut == len(first) - int(tokenizer.bodies([first])[0].offsets[room // 2, 0])
    (short,) = frame([(first, "東京")], tokenizer, 43, Overflow.WINDOW)
    assert len(short) == 1
    assert len(short.window(0).ids) == 43, "a short second leaves more to the first"


def test_centred():
    assert centred(10, [3], 20) == (0, 10)
    assert centred(100, [50], 11) == (45, 56)
    assert centred(100, [2], 11) == (0, 11)
    assert centred(100, [99], 11) == (89, 100)
    assert centred(100, [40, 49], 20) == (35, 55)
    with pytest.raises(RecordError, match="masks are 21 tokens apart"):
        centred(100, [40, 60], 20)


def _logits(values, owner, problem_type=ProblemType.MULTI_LABEL, texts=2):
    n = len(values)
    return Logits(
        np.asarray(values, dtype=np.float32),
        np.asarray(owner),
        np.zeros((n, 2), dtype=np.int64),
        np.asarray([3, 1, 5][:n]),
        np.zeros(texts, dtype=np.int64),
        ("a", "b"),
        problem_type,
    )


def test_mean_by_tokens():
    rows = np.asarray([[1.0, 0.0], [5.0, 4.0], [2.0, 2.0]], dtype=np.float32)
    joined = mean_by_tokens(rows, np.asarray([0, 0, 1]), np.asarray([3, 1, 0]), 2)
    np.testing.assert_allclose(joined, [[2.0, 1.0], [2.0, 2.0]])
    np.testing.assert_allclose(mean_logits(_logits([[1, 0], [5, 4], [2, 2]], [0, 0, 1])), [[2, 1], [2, 2]])


def test_max_positive():
    scores, rows = max_positive(_logits([[0.0, 9.0], [2.0, -1.0], [1.0, 1.0]], [0, 0, 1]))
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-np.asarray([[2.0, 9.0], [1.0, 1.0]]))), rtol=1e-6)
    assert rows.tolist() == [[1, 0], [2, 2]]


def test_max_positive_of_one_label_is_over_probabilities():
    # the higher logit of b is in the window where a's is higher still
    scores, rows = max_positive(_logits([[9.0, 5.0], [0.0, 1.0]], [0, 0], ProblemType.SINGLE_LABEL, texts=1))
    assert rows.tolist() == [[0, 1]]
    assert scores[0, 1] == pytest.approx(1 / (1 + np.exp(-1)))


def test_probabilities():
    values = np.asarray([[1000.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(probabilities(values, ProblemType.SINGLE_LABEL), [[1, 0], [0.5, 0.5]])
    np.testing.assert_allclose(probabilities(values[1:], ProblemType.MULTI_LABEL), [[0.5, 0.5]])
    np.testing.assert_allclose(probabilities(values[:, :1], ProblemType.SINGLE_LABEL), [[1.0], [0.5]])
    assert probabilities(values, ProblemType.REGRESSION) is values
