"""Rerankers whose folder says how much of a passage they read, and how what they say is mixed."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from jnlp.encoder.tokenizer import load_tokenizer
from jnlp.errors import JnlpError
from jnlp.models.resolve import BUILTIN
from jnlp.types import Logits, ProblemType, Record
from jnlp_search import Index
from jnlp_search.options import Retriever
from jnlp_search.query.excerpt import cut, piece_weights
from jnlp_search.query.relevance import RERANK, Reranker
from jnlp_search.render import explanation

if TYPE_CHECKING:
    from pathlib import Path

LIKE = BUILTIN / "tiny-search"
TEXTS = {
    "解約": "契約は三か月前に予告して解約できる。違約金はない。",
    "更新": "契約の更新は一年ごとに行う。三年を超えない。",
    "猫": "吾輩は猫である。名前はまだ無い。",
}
PLAIN = "この町には古い寺と広い公園があり、春になると多くの人が桜を見に来る。" * 8
FACT = "町の名物は唐辛子を練り込んだ羊羹である。"


class Judge:
    """A reranker that likes cats; `pairs` are those it was asked."""

    labels = ("relevant",)

    def __init__(self, folder: Path) -> None:
        self.folder, self.tokenizer = folder, load_tokenizer(LIKE)
        self.pairs: list[tuple[str, str]] = []

    def logits(self, pairs, /, *, overflow=None):
        self.pairs += pairs
        values = np.array([[1.0 if "猫" in passage else -1.0] for _, passage in pairs], np.float32)
        size = len(pairs)
        none = np.zeros(size, np.int64)
        spans = np.zeros((size, 2), np.int64)
        return Logits(values, np.arange(size), spans, none, none, self.labels, ProblemType.MULTI_LABEL)


def describe(folder: Path, **content: object) -> None:
    (folder / RERANK).write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "reranker"
    made.mkdir()
    shutil.copyfile(LIKE / "tokenizer.json", made / "tokenizer.json")
    describe(made, hybrid=[1, 6, 3, -5], lexical=[1, 6, 0, -4], dense=[1, 0, 3, -2])
    return made


@pytest.fixture
def judge(models, folder):
    made = Judge(folder)
    models.classifier = lambda name=None, /: made
    return made


@pytest.fixture
def index(tmp_path, engine, judge):
    with Index.open(tmp_path / "my.idx", engine) as opened:
        opened.add([Record(name, text) for name, text in TEXTS.items()])
        yield opened


def chance(logit: float) -> float:
    return 1 / (1 + np.exp(-logit))


def test_the_score_is_a_mixture_of_the_logit_and_both_shares(index):
    hits = index.search("契約の解約", rerank="judge", explain=True)
    assert hits[0].document == "解約", "the retrievers outweigh the reranker, which likes cats"
    for hit in hits:
        how = hit.explain
        logit = 1.0 if hit.document == "猫" else -1.0
        assert how.reranked == pytest.approx(chance(logit), abs=1e-6)
        assert hit.score == pytest.approx(chance(logit + 6 * how.bm25_share + 3 * how.cosine_share - 5), abs=1e-6)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert [hit.rank for hit in hits] == [1, 2, 3]
    limit = hits[0].score - 1e-6
    assert [hit.document for hit in index.search("契約の解約", rerank="judge", min_score=limit)] == ["解約"]
    told = explanation(hits[0])
    assert "the reranker's score 0.27, mixed with both shares → score 0.68" in told


@pytest.mark.parametrize(("retriever", "weights"), [("lexical", (6, 0, -4)), ("dense", (0, 3, -2))])
def test_a_single_retriever_has_weights_of_its_own(index, retriever, weights):
    for hit in index.search("契約の解約", retriever=retriever, rerank="judge", explain=True):
        logit = 1.0 if hit.document == "猫" else -1.0
        shares = weights[0] * hit.explain.bm25_share + weights[1] * hit.explain.cosine_share
        assert hit.score == pytest.approx(chance(logit + shares + weights[2]), abs=1e-6)


def test_a_folder_without_weights_lets_the_reranker_decide(index, folder):
    describe(folder, tokens=128)
    hits = index.search("契約の解約", rerank="judge", explain=True)
    assert hits[0].document == "猫"
    assert hits[0].score == hits[0].explain.reranked
    assert explanation(hits[0]).endswith("the reranker's score 0.73")
    (folder / RERANK).unlink()
    assert index.search("契約の解約", rerank="judge", explain=True) == hits


def test_certain_rerankers_keep_the_mixture_finite():
    mixtures = dict.fromkeys(Retriever, (1.0, 1.0, 1.0, 0.0))
    low, high = Reranker(None, 0, mixtures).mixed([0.0, 1.0], [(0.5, 0.5), (0.5, 0.5)], Retriever.HYBRID)
    assert 0 < low < 1e-6
    assert 1 - 1e-6 < high < 1


def test_a_passage_is_cut_to_the_window_that_answers(judge, folder):
    describe(folder, tokens=24)
    passage = PLAIN + FACT + PLAIN
    [(query, read)] = cut([("町の名物の羊羹には何が入っているか", passage)], judge.tokenizer, piece_weights(folder), 24)
    assert query == "町の名物の羊羹には何が入っているか"
    assert "羊羹" in read
    assert read in passage
    assert len(judge.tokenizer.pieces(read)) <= 26
    assert cut([("羊羹", FACT)], judge.tokenizer, piece_weights(folder), 24) == [("羊羹", FACT)]


def test_a_search_asks_for_windows_where_the_folder_says_so(tmp_path, engine, judge, folder):
    passage = PLAIN[:100] + FACT + PLAIN[:100]
    with Index.open(tmp_path / "long.idx", engine) as opened:
        opened.add([Record("町", passage)])
        [whole] = opened.search("羊羹に入っているもの", rerank="judge")
        assert judge.pairs[-1][1] == whole.text == passage
        describe(folder, tokens=24)
        [hit] = opened.search("羊羹に入っているもの", rerank="judge")
    assert hit.text == passage
    assert "羊羹" in judge.pairs[-1][1]
    assert len(judge.pairs[-1][1]) < len(passage) / 2


def test_a_tokenizer_without_frequencies_weighs_all_pieces_alike(judge, tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "WordLevel", "vocab": {}}}', encoding="utf-8")
    weights = piece_weights(tmp_path)
    assert weights is None
    [(_, read)] = cut([("唐辛子を練り込んだ羊羹", PLAIN + FACT)], judge.tokenizer, weights, 24)
    assert "唐辛子を練り込んだ羊羹" in read


@pytest.mark.parametrize("content", ["[]", '{"tokens": "many"}', '{"hybrid": [1, 2]}', '{"hybrid": [1, 2, 3, 4]}'])
def test_a_damaged_file_is_named(index, folder, content):
    (folder / RERANK).write_text(content, encoding="utf-8")
    with pytest.raises(JnlpError, match=r"rerank\.json"):
        index.search("契約", rerank="judge")
