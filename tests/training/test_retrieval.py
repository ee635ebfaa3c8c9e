"""Ranks, recall, nDCG and the paired bootstrap, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jnlp.training.retrieval import (
    NOT_FOUND,
    ndcg_at,
    paired_bootstrap,
    rank_in,
    ranks,
    recall_at,
    reciprocal_at,
    summary,
)


def test_ranks_by_inner_product() -> None:
    documents = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    queries = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert ranks(queries, documents, np.array([0, 2, 0])).tolist() == [1, 2, 3]


def test_a_tie_counts_against_the_relevant_document() -> None:
    documents = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert ranks(np.array([[1, 0]], np.float32), documents, np.array([0])).tolist() == [2]


@pytest.mark.parametrize(
    ("ranking", "rank"),
    [
        ([7, 3, 5], 2),
        ([7, 5], NOT_FOUND),
        ({7: 0.9, 3: 0.5, 5: 0.1}, 2),
        ({7: 0.5, 3: 0.5}, 2),
        ({}, NOT_FOUND),
    ],
)
def test_rank_in_a_list_or_a_map(ranking: list[int] | dict[int, float], rank: int) -> None:
    assert rank_in(ranking, 3) == rank


def test_scores_by_hand() -> None:
    found = np.array([1, 3, 10, 11, NOT_FOUND])
    assert recall_at(found, 10).tolist() == [1, 1, 1, 0, 0]
    assert ndcg_at(found, 10).tolist() == pytest.approx([1, 0.5, 1 / np.log2(11), 0, 0])
    assert reciprocal_at(found, 10).tolist() == pytest.approx([1, 1 / 3, 1 / 10, 0, 0])
    assert summary(found) == pytest.approx(
        {
            "recall@1": 0.2,
            "recall@10": 0.6,
            "ndcg@10": (1.5 + 1 / np.log2(11)) / 5,
            "mrr@10": (1 + 1 / 3 + 1 / 10) / 5,
        }
    )


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_a_better_rank_never_scores_less(found: list[int]) -> None:
    worse = np.array(sorted(found))
    for score in (recall_at, ndcg_at, reciprocal_at):
        values = score(worse, 10)
        assert (np.diff(values) <= 0).all()
        assert ((values >= 0) & (values <= 1)).all()


def test_bootstrap_tells_a_steady_gain_from_noise() -> None:
    rng = np.random.default_rng(1)
    base = rng.random(300)
    steady = paired_bootstrap(base + 0.05 + 0.05 * rng.standard_normal(300), base, draws=2000)
    assert steady.difference == pytest.approx(0.05, abs=0.01)
    assert steady.low > 0
    assert steady.p < 0.001
    noise = rng.standard_normal(300)
    none = paired_bootstrap(base + noise - noise.mean(), base, draws=2000)
    assert none.low < 0 < none.high
    assert none.p > 0.9


def test_bootstrap_is_like_the_normal_approximation() -> None:
    rng = np.random.default_rng(2)
    gains = rng.standard_normal(400) + 0.1
    found = paired_bootstrap(gains, np.zeros(400), draws=20_000)
    error = gains.std() / np.sqrt(400)
    assert (found.low, found.high) == pytest.approx(
        (gains.mean() - 1.96 * error, gains.mean() + 1.96 * error), abs=0.01
    )


def test_bootstrap_of_equals_is_no_difference() -> None:
    same = paired_bootstrap(np.ones(20), np.ones(20), draws=100)
    assert (same.difference, same.p) == (0.0, 1.0)


def test_swapping_the_systems_turns_the_sign() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random(50), rng.random(50)
    one, other = paired_bootstrap(a, b, draws=500), paired_bootstrap(b, a, draws=500)
    assert one.difference == -other.difference
    assert one.p == other.p
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
