"""What a search's scores are fitted from, and that a fit gives back what made its data."""

from __future__ import annotations

import numpy as np
import pytest

from jnlp_family.search.calibrate import Hits, fit, hits, judge, keyword_queries
from jnlp_family.search.jaquad import Retrieval
from jnlp_family.search.measure import full_text
from jnlp_search.options import Retriever
from jnlp_search.query.scores import FEATURES, Evidence, features

TASK = Retrieval(
    ("契約は三か月前に解約できる。", "吾輩は猫である。名前はまだ無い。", "雨が降る。傘を持つ。"),
    ("契約はいつ解約できるか", "猫の名前は何か", "雨の日に持つものは何か"),
    (0, 1, 2),
)


def drawn(size: int, weights: np.ndarray) -> Hits:
    chance = np.random.default_rng(0)
    rows = np.array(
        [
            features(relative, Evidence(covered, cosine, words))
            for relative, covered, cosine, words in zip(
                chance.random(size), chance.random(size), chance.random(size), chance.integers(1, 9, size), strict=True
            )
        ]
    )
    right = (chance.random(size) < 1 / (1 + np.exp(-rows @ weights))).astype(np.float64)
    return Hits(rows, right, chance.integers(0, 200, size), np.zeros(size, np.int64))


def test_a_fit_finds_the_shares_that_made_the_data():
    weights = np.array([-6.0, 2.0, 2.0, 3.0, 0.5, 0.2, 1.0])
    found = drawn(20_000, weights)
    fitted = fit(found)
    expected, given = (1 / (1 + np.exp(-found.features @ own)) for own in (weights, fitted))
    assert np.abs(expected - given).mean() < 0.02
    assert judge(found)["expected_calibration_error"] < 0.02


def test_a_better_hit_never_looks_worse():
    against = np.array([1.0, -3.0, -1.0, -2.0, -1.0, 0.3, -1.0])  # data in which it does
    fitted = fit(drawn(4_000, against))
    assert all(weight >= 0 for name, weight in zip(FEATURES, fitted, strict=True) if name not in ("one", "words"))


def test_keywords_are_words_of_the_question():
    keywords = keyword_queries(TASK, 3)
    assert len(keywords.queries) == 3
    for query, relevant in zip(keywords.queries, keywords.relevant, strict=True):
        assert 1 <= len(query.split()) <= 3
        assert all(word in TASK.queries[relevant] for word in query.split())


@pytest.mark.parametrize("retriever", list(Retriever))
def test_hits_are_those_of_a_search(retriever, monkeypatch):
    cosines = np.array([[0.9, 0.1, 0.2], [0.1, 0.8, 0.2], [0.3, 0.2, 0.7]], np.float32)
    lexical = full_text(TASK)[1]
    monkeypatch.setattr("jnlp_family.search.calibrate.TAKEN_OUT", 0.0)
    found = hits(TASK, lexical, cosines, retriever, 0.25)
    first = found.rank == 0
    assert found.right[first].tolist() == [1, 1, 1]
    assert found.features[first, FEATURES.index("relative")].tolist() == [1, 1, 1]
    monkeypatch.setattr("jnlp_family.search.calibrate.TAKEN_OUT", 1.1)
    assert not hits(TASK, lexical, cosines, retriever, 0.25).right.any()
