"""What a search's scores are fitted from, and that a fit gives back what made its data."""

from __future__ import annotations

import json
import lzma

import numpy as np
import pytest

from jnlp.types import Embeddings, SearchScores
from jnlp_family.search.calibrate import Hits, calibrate, features, fit, hits, judge, keyword_queries, with_int8
from jnlp_family.search.jaquad import Retrieval
from jnlp_family.search.samples import SIZES, Prepared, collections, samples
from jnlp_search.analyse import analyser
from jnlp_search.options import Retriever
from jnlp_search.query.scores import FEATURES, WEIGHTS, Evidence, share_right

TASK = Retrieval(
    ("契約は三か月前に解約できる。", "吾輩は猫である。名前はまだ無い。", "雨が降る。傘を持つ。"),
    ("契約はいつ解約できるか", "猫の名前は何か", "雨の日に持つものは何か"),
    (0, 1, 2),
)


def drawn(size: int, weights: np.ndarray) -> Hits:
    chance = np.random.default_rng(0)
    sizes = chance.choice(SIZES, size)
    rows = np.array(
        [
            features(relative, Evidence(covered, cosine, words, passages))
            for relative, covered, cosine, words, passages in zip(
                chance.random(size),
                chance.random(size),
                chance.random(size),
                chance.integers(1, 9, size),
                sizes.tolist(),
                strict=True,
            )
        ]
    )
    right = (chance.random(size) < 1 / (1 + np.exp(-rows @ weights))).astype(np.float64)
    return Hits(rows, right, chance.integers(0, 200, size), np.zeros(size, np.int64), sizes)


def prepared(cosines: np.ndarray) -> Prepared:
    words = analyser("sudachi")
    forms = tuple(tuple(words.forms(text)) for text in TASK.passages)
    return Prepared(TASK, forms, tuple(map(words.query, TASK.queries)), cosines)


def test_a_fit_finds_the_shares_that_made_the_data():
    weights = np.array([-3.0, 2.0, 2.0, 3.0, 2.5, 0.2, 1.0, -6.0, 2.0, 2.0, 3.0, 0.5, 0.2, 1.0])
    found = drawn(20_000, weights)
    fitted = fit(found)
    expected, given = (1 / (1 + np.exp(-found.features @ own)) for own in (weights, fitted))
    assert np.abs(expected - given).mean() < 0.02
    measured = judge(found)
    assert measured["expected_calibration_error"] < 0.02
    assert measured["sizes"].keys() == {str(size) for size in SIZES}
    assert all(row["expected_calibration_error"] < 0.06 for row in measured["sizes"].values())


def test_weights_for_many_passages_do_not_hold_for_one():
    weights = np.array([1.0, 2.0, 2.0, 3.0, 2.5, 0.2, 1.0, -6.0, 2.0, 2.0, 3.0, 0.5, 0.2, 1.0])
    found = drawn(20_000, weights)
    alike = judge(found, [*weights[len(FEATURES) :]] * 2)["sizes"]
    assert alike["1"]["expected_calibration_error"] > 0.1 > alike["1000"]["expected_calibration_error"]


def test_a_better_hit_never_looks_worse():
    against = np.array([1.0, -3.0, -1.0, -2.0, -1.0, 0.3, -1.0] * 2)  # data in which it does
    fitted = fit(drawn(4_000, against))
    assert all(weight >= 0 for name, weight in zip(2 * FEATURES, fitted, strict=True) if name not in ("one", "words"))


def test_keywords_are_words_of_the_question():
    keywords = keyword_queries(TASK, 3)
    assert len(keywords.queries) == 3
    for query, relevant in zip(keywords.queries, keywords.relevant, strict=True):
        assert 1 <= len(query.split()) <= 3
        assert all(word in TASK.queries[relevant] for word in query.split())


@pytest.mark.parametrize("retriever", list(Retriever))
def test_hits_are_those_of_a_search(retriever, monkeypatch):
    made = prepared(np.array([[0.9, 0.1, 0.2], [0.1, 0.8, 0.2], [0.3, 0.2, 0.7]], np.float32))
    monkeypatch.setattr("jnlp_family.search.samples.TAKEN_OUT", 0.0)
    found = hits(samples(made, 3, 9), retriever, 0.25)
    first = found.rank == 0
    assert found.right[first].tolist() == [1, 1, 1]
    large = np.log(3) / np.log(1000)
    relative = found.features[first][:, [FEATURES.index("relative"), len(FEATURES) + FEATURES.index("relative")]]
    assert relative == pytest.approx(np.array([[1 - large, large]] * 3))
    monkeypatch.setattr("jnlp_family.search.samples.TAKEN_OUT", 1.1)
    found = hits(samples(made, 3, 9), retriever, 0.25)
    assert len(found.right) or retriever is Retriever.LEXICAL
    assert not found.right.any()


def test_questions_without_an_answer_are_asked_of_other_passages(monkeypatch):
    made = prepared(np.eye(3, dtype=np.float32))
    monkeypatch.setattr("jnlp_family.search.samples.TAKEN_OUT", 0.0)
    asked = list(samples(made, 1, 9))
    assert [(one.right, one.passages, one.cosines.tolist()) for one in asked] == [(0, 1, [1.0])] * 3
    monkeypatch.setattr("jnlp_family.search.samples.TAKEN_OUT", 1.1)
    assert [(one.right, one.passages, one.cosines.tolist()) for one in samples(made, 1, 9)] == [(None, 1, [0.0])] * 3


def test_a_search_scores_as_the_fit_does():
    weights = tuple(np.random.default_rng(3).normal(size=WEIGHTS).tolist())
    for passages in (1, 7, 1_000, 50_000):
        evidence = Evidence(0.4, 0.6, 5, passages)
        logit = float(np.dot(weights, features(0.8, evidence)))
        score = share_right(Retriever.HYBRID, SearchScores(0.5, weights), 0.8, evidence)
        assert score == pytest.approx(1 / (1 + np.exp(-logit)))


def test_collections_are_of_neighbours_or_of_any():
    texts = [f"{number}" for number in range(10)]
    assert collections(texts, 3, shuffled=False) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    mixed = collections(texts, 3, shuffled=True)
    assert mixed != [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert len({number for group in mixed for number in group}) == 9
    assert collections(texts, 6, shuffled=False) == [list(range(10))]


class ByLetters:
    """An embedder whose vectors count some letters."""

    def embed(self, texts, **_):
        rows = np.array([[1.0, *(text.count(letter) for letter in "契約猫名雨日")] for text in texts], np.float32)
        return Embeddings(rows, np.ones(len(rows), np.int64), np.zeros(len(rows), np.int64))


def test_a_model_is_calibrated_by_one_call(tmp_path):
    """The whole command on a few questions: every file of `search.json` in the form that a folder is read by."""
    for name, rows in {
        "jaquad": [
            {"question": query, "context": TASK.passages[own], "title": f"題{own}"}
            for query, own in zip(TASK.queries * 8, TASK.relevant * 8, strict=True)
        ],
        "faq": [{"query": query, "positive": text} for query, text in zip(TASK.queries, TASK.passages, strict=True)],
    }.items():
        folder = tmp_path / "tasks" / name
        folder.mkdir(parents=True)
        path = folder / "train.jsonl.xz"
        with lzma.open(path, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    made = calibrate(tmp_path, ByLetters(), ByLetters(), 0.25)
    assert len(made["hybrid"]) == len(made["dense"]) == len(made["lexical"]) == WEIGHTS
    assert made["dense_weight"] == 0.25
    other = made["without_cosine"]["hybrid"]
    assert other[FEATURES.index("cosine")] == other[len(FEATURES) + FEATURES.index("cosine")] == 0
    assert made["int8"]
    assert made["measured"]["int8"]["ndcg@10"] == made["measured"]["int8"]["ndcg@10_of_int8_passages"]


class Blurred(ByLetters):
    """The same, with passages that all look alike."""

    def embed(self, texts, **_):
        rows = np.ones((len(texts), 7), np.float32)
        return Embeddings(rows, np.ones(len(rows), np.int64), np.zeros(len(rows), np.int64))


def test_int8_is_not_taken_where_it_ranks_worse():
    full = prepared(np.eye(3, dtype=np.float32))
    made = with_int8({"dense_weight": 0.25, "measured": {}}, full, ByLetters(), Blurred())
    assert not made["int8"]
    assert made["measured"]["int8"]["ndcg@10"] == 1
    assert made["measured"]["int8"]["ndcg@10_of_int8_passages"] == 0.5  # of three equal passages, ties count against
