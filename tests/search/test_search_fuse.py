"""Fusion in numbers."""

from __future__ import annotations

import numpy as np
import pytest

from jnlp_search.fuse import PHRASE_WEIGHT, best_sentence, convex, sort_by_score, with_phrases
from jnlp_search.query.mixing import mixed_share, signals
from jnlp_search.query.scores import dense_share


def test_the_two_legs_are_scaled_and_weighed() -> None:
    fused = convex({1: 8.0, 2: 4.0}, {1: 0.5, 2: 0.9, 3: 0.7}, 0.25)
    assert fused == pytest.approx({1: 0.75, 2: 0.25 + 0.375, 3: 0.125})
    assert [chunk for chunk, _ in sort_by_score(fused)] == [1, 2, 3]


def test_one_leg_alone() -> None:
    assert convex({}, {1: 0.2, 2: 0.4}, 0.5) == {1: 0.0, 2: 0.5}
    assert convex({1: 2.0}, {}, 0.5) == {1: 0.5}
    assert convex({}, {1: 0.2, 2: 0.2}, 1.0) == {1: 1.0, 2: 1.0}
    assert convex({}, {}, 0.5) == {}


def test_equal_scores_keep_the_order_of_the_index() -> None:
    assert sort_by_score({9: 1.0, 2: 1.0, 5: 2.0}) == [(5, 2.0), (2, 1.0), (9, 1.0)]


def test_phrases_add_to_words() -> None:
    assert with_phrases({1: 2.0}, {1: 1.0, 3: 1.0}) == {1: 2.0 + PHRASE_WEIGHT, 3: PHRASE_WEIGHT}


def test_the_best_sentence_holds_most_highlights() -> None:
    passage = "契約の話です。解約の条件を定める。雨が降る。"
    start, end = best_sentence(passage, ((0, 2), (7, 9), (10, 12)))
    assert passage[start:end] == "解約の条件を定める。"
    assert best_sentence("一文だけ", ()) == (0, 4)


def test_signals_of_what_both_retrievers_found() -> None:
    found = signals(0.7, {1: 8.0, 2: 4.0}, {1: 0.5, 2: 0.9, 3: 0.7})
    height = 0.2 / np.std([0.5, 0.9, 0.7])
    assert found == pytest.approx((1.0, 0.7, 0.9, height, 0.5, 0.5, 0.0))
    assert signals(1.0, {1: 2.0}, {1: 0.5}) == (1.0, 1.0, 0.5, 0.0, 1.0, 1.0, 1.0)


def test_a_model_says_when_vectors_count_more() -> None:
    found = {1: 8.0, 2: 4.0}, {1: 0.5, 2: 0.9, 3: 0.7}
    usual, half, alone = ((logit, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0) for logit in (-1.0, 0.0, 1.0))
    assert mixed_share(0.2, usual, 0.1, *found) == 0.2
    assert mixed_share(0.2, half, 0.1, *found) == pytest.approx(0.6)
    assert mixed_share(0.2, alone, 0.9, *found) == 1.0
    assert mixed_share(0.2, (), 0.1, *found) == dense_share(0.2, 0.1) == 1.0  # not measured
    assert mixed_share(0.2, (1.0, 2.0), 0.9, *found) == 0.2


@pytest.mark.parametrize(
    ("covered", "weight"), [(1.0, 0.25), (0.5, 0.25), (0.4, 0.625), (0.3, 1.0), (0.1, 1.0), (0.0, 1.0)]
)
def test_vectors_count_more_where_words_are_lacking(covered: float, weight: float) -> None:
    assert dense_share(0.25, covered) == pytest.approx(weight)
    assert dense_share(1.0, covered) == 1.0
