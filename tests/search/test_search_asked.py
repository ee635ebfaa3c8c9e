"""Phrases and exclusions, offset and groups, explanations, and what a score means."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jnlp
from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError, UsageError
from jnlp.models.folder import inspect
from jnlp.models.resolve import BUILTIN
from jnlp.testing import make_model
from jnlp.types import Record, SearchScores
from jnlp.types.search import GOOD_SCORE
from jnlp_search import Index
from jnlp_search.analyse import analyser, requirements
from jnlp_search.options import Retriever
from jnlp_search.query.language import Wording, read_query
from jnlp_search.query.scores import (
    FEATURES,
    LEXICAL,
    OTHER,
    WEIGHTS,
    Evidence,
    coverage,
    scores_of,
    share_right,
    word_weights,
)
from jnlp_search.render import explanation

TEXTS = {
    "解約": "契約は三か月前に予告して解約できる。違約金はない。",
    "更新": "契約の更新は一年ごとに行う。三年を超えない。前に述べた。",
    "賃貸": "賃貸の契約を解約するには、家主に知らせる。",
    "猫": "吾輩は猫である。名前はまだ無い。",
    "C++": "C++ の契約プログラミングを説明する。",
}


@pytest.fixture(params=["sudachi", "bigram"])
def index(request, tmp_path, engine):
    with Index.open(tmp_path / "my.idx", engine) as opened:
        opened.add([Record(name, text) for name, text in TEXTS.items()], analyser=request.param)
        yield opened


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("契約 解約", Wording("契約 解約")),
        ('契約 "三か月前に予告"', Wording("契約 三か月前に予告", ("三か月前に予告",))),
        ("“三か月前” 契約", Wording("三か月前 契約", ("三か月前",))),
        ("契約 -賃貸 －猫", Wording("契約", (), ("賃貸", "猫"))),
        ('契約 -"家主に知らせる"', Wording("契約", (), ("家主に知らせる",))),
        ("e-mail の設定", Wording("e-mail の設定")),
        ("5 - 3", Wording("5 - 3")),
        ('6" の画面', Wording('6" の画面')),
        ("猫　-犬", Wording("猫", (), ("犬",))),
    ],
)
def test_a_query_in_its_parts(query, expected):
    assert read_query(query) == expected


@pytest.mark.parametrize("query", ["", " \n", "-猫", '-"猫"', "-猫 -犬"])
def test_a_query_without_anything_to_look_for(query):
    with pytest.raises(UsageError):
        read_query(query)


@given(st.text(alphabet="契約\"“” -－*()ANDOR猫:^\0'", min_size=1, max_size=20))
def test_any_query_is_one_that_the_full_text_can_be_asked(query):
    import sqlite3

    try:
        wording = read_query(query)
    except UsageError:
        return
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE fulltext USING fts5 (words)")
    for expression in requirements(analyser("bigram"), wording.phrases, wording.excluded):
        if expression:
            db.execute("SELECT count(*) FROM fulltext WHERE fulltext MATCH ?", (expression,)).fetchall()
    db.close()


@pytest.mark.parametrize("retriever", list(Retriever))
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('契約 "三か月前に予告"', {"解約"}),
        ('契約 "ｃ＋＋"', {"C++"}),
        ('"契約" -賃貸 -更新', {"解約", "C++"}),
        ('契約 "解約" -"家主に知らせる"', {"解約"}),
        ('"解約" "違約金"', {"解約"}),
        ('契約 "三年前"', set()),
        ('"契約" -更新 -解約', {"C++"}),
    ],
)
def test_phrases_must_occur_and_excluded_words_must_not(index, query, expected, retriever):
    assert {hit.document for hit in index.search(query, retriever=retriever)} == expected


def test_phrases_and_conditions_go_together(tmp_path, engine):
    with Index.open(tmp_path / "my.idx", engine) as index:
        index.add([Record(f"{n}", "契約の解約" if n % 2 else "契約の更新", {"n": n}) for n in range(8)])
        assert {hit.document for hit in index.search('"契約の解約"', where="n > 3", group=False)} == {"5", "7"}
        assert {hit.document for hit in index.search("契約 -解約", where="n > 3", group=False)} == {"4", "6"}


def test_an_offset_goes_on_where_the_top_ended(index):
    whole = index.search("契約の解約", top=5)
    parts = [hit for offset in range(0, 6, 2) for hit in index.search("契約の解約", top=2, offset=offset)]
    assert parts == whole
    assert [hit.rank for hit in parts] == [1, 2, 3, 4, 5]


def test_hits_are_put_together_by_document(tmp_path, engine):
    long = "".join(f"契約の解約の条件その{n}を定める。{'雨が降る。' * 12}\n\n" for n in range(4))
    with Index.open(tmp_path / "my.idx", engine) as index:
        index.add(
            [Record("長い", long), Record("短い", "契約の解約の条件。"), Record("猫", TEXTS["猫"])], chunk_tokens=64
        )
        hits = index.search("契約の解約の条件", group_by="document", top=2, per_document=2)
        assert {(hit.rank, hit.document) for hit in hits} == {(1, hits[0].document), (2, hits[-1].document)}
        assert {hit.document for hit in hits} == {"長い", "短い"}
        assert [hit.document for hit in hits].count("長い") == 2
        assert [hit.rank for hit in hits] == sorted(hit.rank for hit in hits)
        [last] = index.search("契約の解約の条件", group_by="document", top=1, offset=2)
        assert (last.rank, last.document) == (3, "猫")


def test_an_explanation_adds_up(index, embedder):
    hits = index.search("契約の解約", explain=True, dense_weight=0.25, top=5)
    cosines = [hit.explain.cosine for hit in hits]
    best = max(hit.explain.bm25 or 0 for hit in hits)
    for hit in hits:
        how = hit.explain
        dense = (how.cosine - min(cosines)) / (max(cosines) - min(cosines))
        assert how.fused == pytest.approx(0.25 * dense + 0.75 * (how.bm25 or 0) / best)
        assert (how.bm25 is None) == (how.bm25_rank is None)
        passage, asked = unit(embedder.embed([hit.text, "契約の解約"]).vectors)
        kept = passage.astype(np.float16).astype(np.float32)
        assert how.cosine == pytest.approx(float(kept @ asked), abs=1e-6)
    assert [hit.explain.fused for hit in hits] == sorted((hit.explain.fused for hit in hits), reverse=True)
    assert sorted(hit.explain.cosine_rank for hit in hits) == [1, 2, 3, 4, 5]
    assert index.search("契約の解約")[0].explain is None
    alone = index.search("契約の解約", explain=True, retriever="lexical")[0].explain
    assert (alone.cosine, alone.cosine_rank, alone.bm25_rank, alone.fused) == (None, None, 1, 1.0)


def test_an_explanation_says_that_a_score_was_raised(index):
    """As for the nearest passages of a question whose words full text hardly found."""
    hit = index.search("契約の解約", explain=True, dense_weight=0.25, top=2)[1]
    fused = hit.explain.fused
    assert f" = {fused:.3f} fused" in explanation(hit)
    raised = replace(hit, explain=replace(hit.explain, fused=fused + 0.1))
    assert f" = {fused:.3f}, raised to {fused + 0.1:.3f} fused" in explanation(raised)


# --- scores ---


@pytest.mark.parametrize("retriever", list(Retriever))
def test_a_score_is_a_share_that_falls_with_the_rank(index, retriever):
    hits = index.search("契約を解約する", retriever=retriever, top=5)
    scores = [hit.score for hit in hits]
    assert all(0 < score < 1 for score in scores)
    assert scores == sorted(scores, reverse=True)
    again = index.search("契約を解約する", retriever=retriever, top=5, min_score=scores[1])
    assert [hit.document for hit in again] == [hit.document for hit in hits if hit.score >= scores[1]]


def test_what_only_the_vectors_found_has_a_score(index):
    hits = index.search("契約を解約する", explain=True, top=5)
    alone = [hit for hit in hits if hit.explain.bm25 is None]
    assert alone
    assert all(hit.score > 0 for hit in alone)


def test_an_answer_scores_above_none(index):
    [answer, *_] = index.search("三か月前に予告して解約")
    [none, *_] = index.search("量子コンピュータの誤り訂正")
    assert answer.score > 3 * none.score


@pytest.mark.parametrize("retriever", list(Retriever))
@pytest.mark.parametrize("scores", [OTHER, inspect(BUILTIN / "tiny-search").search])
@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(-1, 1),
    st.integers(0, 64),
    st.integers(0, 10_000),
)
def test_a_better_hit_never_scores_less(retriever, scores, one, other, covered, more, cosine, words, passages):
    low, high = sorted((one, other))
    less, most = sorted((covered, more))
    evidence, better = Evidence(less, cosine, words, passages), Evidence(most, cosine, words, passages)
    assert share_right(retriever, scores, low, evidence) <= share_right(retriever, scores, high, evidence)
    assert share_right(retriever, scores, high, evidence) <= share_right(retriever, scores, high, better)
    assert 0 < share_right(retriever, scores, low, evidence) < 1


LEASE = {
    "退去": "賃借人は、本物件を明け渡すときは、鍵を返却し、原状に復した上で賃貸人の立会いを受けなければならない。",
    "賃料": "賃料は毎月末日までに翌月分を賃貸人の指定する口座に振り込むものとする。",
    "禁止": "賃借人は、ペットの飼育、石油ストーブの使用をしてはならない。",
}


@pytest.mark.parametrize("many", [1, 2, 3])
def test_a_right_answer_in_other_words_is_a_good_match_in_a_small_index(tmp_path, many):
    with Index.open(tmp_path / "my.idx", jnlp.load()) as index:
        index.add([Record(name, text) for name, text in list(LEASE.items())[:many]])
        [answer, *_] = index.search("部屋を出るときはどうすればいいか")
        [none, *_] = index.search("量子コンピュータの誤り訂正")
        [word, *_] = index.search("明け渡す")
    assert (answer.document, word.document) == ("退去", "退去")
    assert answer.score >= GOOD_SCORE > none.score
    assert word.score > 0.5


def test_a_score_depends_on_how_many_passages_were_searched(tmp_path, engine, embedder):
    embedder.search = SearchScores(0.5, (2.0, *[0.0] * (len(FEATURES) - 1), -2.0, *[0.0] * (len(FEATURES) - 1)))
    with Index.open(tmp_path / "my.idx", engine) as index:
        index.add([Record(f"{n}", f"契約の解約の条件{n}", {"n": n}) for n in range(10)])
        ten = 2 - 4 * np.log(10) / np.log(1000)
        assert index.search("契約")[0].score == pytest.approx(1 / (1 + np.exp(-ten)))
        assert index.search("契約", where="n = 3")[0].score == pytest.approx(1 / (1 + np.exp(-2)))


def test_words_weigh_by_how_rare_they_are():
    weights = word_weights(100, {"契約": 60, "違約金": 1, "量子": 0})
    assert 0 < weights["契約"] < weights["違約金"] < weights["量子"]
    assert coverage({"a": 3.0, "b": 1.0}, [["b"], ["a", "c"]]) == 0.75
    assert coverage({}, [["a"]]) == coverage({"a": 1.0}, []) == 0.0


def test_the_share_and_the_scores_are_the_models_own(tmp_path, engine, embedder):
    with Index.open(tmp_path / "my.idx", engine) as index:
        index.add([Record(name, text) for name, text in TEXTS.items()])
        found = {}
        for share in (0.0, 1.0):
            embedder.search = SearchScores(share)
            found[share] = [hit.document for hit in index.search("契約を解約する", top=5)]
            assert found[share] == [hit.document for hit in index.search("契約を解約する", top=5, dense_weight=share)]
        assert found[0.0] != found[1.0]
        embedder.search = SearchScores(0.5, (-9.0, *[0.0] * (len(FEATURES) - 1)))
        assert index.search("契約")[0].score == pytest.approx(1 / (1 + np.exp(9)))


def test_a_folder_says_how_its_model_does_in_a_search(tmp_path):
    folder = make_model(tmp_path / "model", head="embedding")
    assert inspect(folder).search is None
    assert scores_of(None) == OTHER
    (folder / "search.json").write_text(json.dumps({"dense_weight": 0.4, "hybrid": [1, 2]}), encoding="utf-8")
    assert inspect(folder).search == SearchScores(0.4, (1.0, 2.0))
    assert scores_of(inspect(folder).search) == SearchScores(0.4, OTHER.hybrid, OTHER.dense)
    once = tuple(range(len(FEATURES)))  # of a version that did not look at the size
    assert scores_of(SearchScores(0.4, once, once)) == SearchScores(0.4, 2 * once, 2 * once)
    for wrong in (
        {"dense_weight": 2},
        {"dense_weight": 0.5, "hybrid": [float("nan")]},
        {"dense_weight": 0.5, "dense": "x"},
    ):
        (folder / "search.json").write_text(json.dumps(wrong), encoding="utf-8")
        with pytest.raises(JnlpError, match=r"search\.json"):
            inspect(folder)
    assert len(LEXICAL) == len(OTHER.hybrid) == len(OTHER.dense) == WEIGHTS


def test_threads_ask_with_conditions_of_their_own(tmp_path, engine):
    with Index.open(tmp_path / "my.idx", engine) as index:
        index.add([Record(f"{n}", f"契約の解約の条件{n}", {"n": n}) for n in range(20)])
        wrong: list[object] = []

        def ask(n: int) -> None:
            for _ in range(10):
                found = {hit.document for hit in index.search("契約の解約", where=f"n = {n}")}
                if found != {str(n)}:
                    wrong.append((n, found))

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_several_queries_are_answered_as_each_alone(index, embedder, monkeypatch):
    queries = ["契約の解約", "猫", "🎉", "猫"]
    alone = [index.search(query, top=3, explain=True) for query in queries]
    calls: list[int] = []
    embed = type(embedder).embed
    monkeypatch.setattr(
        type(embedder), "embed", lambda self, texts, **how: calls.append(len(texts)) or embed(self, texts, **how)
    )
    assert index.search_many(queries, top=3, explain=True) == alone
    assert calls == [4]  # embedded together
    assert index.search_many([]) == []
    with pytest.raises(UsageError, match="empty"):
        index.search_many(["猫", " "])
    assert [len(hits) for hits in index.search_many(["猫", "契約"], retriever="lexical", top=1)] == [1, 1]


def test_threads_search_while_documents_come(tmp_path, engine):
    """Each answer is that of one commit: all documents up to a number, and none beyond."""
    with Index.open(tmp_path / "my.idx", engine) as index:
        index.add([Record("0", "契約の解約の条件0", {"n": 0})])
        wrong: list[object] = []
        ended = threading.Event()

        def ask() -> None:
            before = 0
            while not ended.is_set():
                found = sorted(
                    hit.metadata["n"] for hit in index.search("契約の解約", top=50, per_document=0, group=False)
                )
                if found != list(range(len(found))) or len(found) < before:
                    wrong.append(found)
                before = len(found)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for n in range(1, 12):
            index.add([Record(f"{n}", f"契約の解約の条件{n}", {"n": n})])
        ended.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(index.search("契約の解約", top=50, per_document=0)) == 12


def test_a_query_in_other_words_is_left_to_the_vectors(index):
    """One word of four is found by chance; a share that is asked for stays."""
    query = "解約 xyzzy plugh frotz"
    assert {hit.explain.dense_weight for hit in index.search(query, explain=True)} == {1.0}
    assert {hit.explain.dense_weight for hit in index.search(query, explain=True, dense_weight=0.25)} == {0.25}
    assert max(hit.explain.dense_weight for hit in index.search("契約の解約", explain=True)) < 1
