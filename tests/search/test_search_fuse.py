"""Fusion in numbers."""

from __future__ import annotations

import pytest

from jnlp_search.fuse import PHRASE_WEIGHT, best_sentence, convex, sort_by_score, with_phrases
from jnlp_search.query.mixing import ENOUGH, FEW, MOST, dense_share, mix, raise_nearest


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


@pytest.mark.parametrize(
    ("covered", "weight"),
    [(1.0, 0.25), (ENOUGH, 0.25), ((FEW + ENOUGH) / 2, 0.625), (FEW, 1.0), (FEW / 2, 1.0), (0.0, 1.0)],
)
def test_vectors_count_more_where_words_are_lacking(covered: float, weight: float) -> None:
    assert dense_share(0.25, covered) == pytest.approx(weight)
    assert dense_share(1.0, covered) == 1.0


def test_the_nearest_passages_have_every_second_place() -> None:
    fused = {chunk: 1 - chunk / 10 for chunk in range(1, 8)}
    near = {7: 0.9, 6: 0.8, 5: 0.7, 1: 0.3, 2: 0.2, 3: 0.1, 4: 0.0}
    raised = raise_nearest(fused, near)
    assert [chunk for chunk, _ in sort_by_score(raised)] == [1, 2, 7, 3, 6, 4, 5]
    assert list(raised.values()) == sorted(raised.values(), reverse=True)
    assert {chunk: raised[chunk] for chunk in (1, 2, 3, 4)} == {chunk: fused[chunk] for chunk in (1, 2, 3, 4)}
    assert raised[7] == pytest.approx((fused[2] + fused[3]) / 2)


def test_a_passage_that_stands_higher_is_not_moved() -> None:
    fused = {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.6, 5: 0.5, 6: 0.1}
    assert raise_nearest(fused, {2: 0.9, 1: 0.8, 3: 0.7, 4: 0.6, 5: 0.5, 6: 0.4}) == fused
    second = raise_nearest(fused, {1: 0.9, 6: 0.8, 2: 0.7, 3: 0.6, 4: 0.5, 5: 0.4})
    assert [chunk for chunk, _ in sort_by_score(second)] == [1, 2, 3, 4, 6, 5]
    assert raise_nearest({}, {}) == {}


def test_the_nearest_are_raised_only_where_words_are_lacking() -> None:
    """By chance, three passages contain a word of the question, and the one that answers none."""
    lexical, dense = {1: 3.0, 2: 2.9, 3: 2.8}, {1: 0.3, 2: 0.3, 3: 0.3, 9: 0.5}
    fused, weight = mix(lexical, dense, 0.25, MOST)
    assert weight == 0.25
    assert fused == convex(lexical, dense, 0.25)
    assert sort_by_score(fused)[-1][0] == 9
    raised, weight = mix(lexical, dense, 0.25, ENOUGH)
    assert weight == 0.25
    assert [chunk for chunk, _ in sort_by_score(raised)] == [1, 2, 9, 3]
    alone, weight = mix(lexical, dense, 0.25, FEW)
    assert weight == 1.0
    assert sort_by_score(alone)[0][0] == 9
