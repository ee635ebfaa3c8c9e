"""Rerankers, several indexes, files without an index, evidence, and hits written to files."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from jnlp.cli import build_cli
from jnlp.engine import Engine
from jnlp.errors import JnlpError, UsageError
from jnlp.plugins import import_candidate, load_plugins
from jnlp.testing import make_model
from jnlp.types import Record
from jnlp_search import Index, search_all
from jnlp_search.cli import unindexed

TEXTS = {
    "解約": "契約は三か月前に予告して解約できる。違約金はない。",
    "更新": "契約の更新は一年ごとに行う。三年を超えない。",
    "猫": "吾輩は猫である。名前はまだ無い。",
}


class Judge:
    """A reranker that likes cats; `pairs` are those it was asked."""

    labels = ("relevant",)

    def __init__(self):
        self.pairs: list[tuple[str, str]] = []

    def logits(self, pairs, /, *, overflow=None):
        import numpy as np

        from jnlp.types import Logits, ProblemType

        self.pairs += pairs
        size = len(pairs)
        values = np.array([[3.0 if "猫" in passage else -len(passage) / 100] for _, passage in pairs], np.float32)
        none = np.zeros(size, np.int64)
        return Logits(
            values, np.arange(size), np.zeros((size, 2), np.int64), none, none, self.labels, ProblemType.MULTI_LABEL
        )


@pytest.fixture
def judge(models):
    models.classifier = lambda name=None, /: made
    made = Judge()
    return made


@pytest.fixture
def index(tmp_path, engine):
    with Index.open(tmp_path / "my.idx", engine) as opened:
        opened.add([Record(name, text) for name, text in TEXTS.items()])
        yield opened


@pytest.fixture
def jnlp(runner, models, monkeypatch, tmp_path):
    monkeypatch.setattr(Engine, "models", lambda *_: models)
    monkeypatch.chdir(tmp_path)
    cli = build_cli(load_plugins([import_candidate("search", "jnlp_search")]))

    def run(*words, status=0, stdin=None):
        done = runner.invoke(cli, words, prog_name="jnlp", catch_exceptions=False, input=stdin)
        assert done.exit_code == status, done.output
        return done.stdout, done.stderr

    return run


def lines(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


# --- rerankers ---


def test_a_reranker_decides_the_order_and_the_score(index, judge):
    plain = [hit.document for hit in index.search("契約の解約 -違反")]
    hits = index.search("契約の解約 -違反", rerank="judge", explain=True)
    assert hits[0].document == "猫" != plain[0]
    assert hits[0].score == hits[0].explain.reranked == pytest.approx(0.9526, abs=1e-4)
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert {query for query, _ in judge.pairs} == {"契約の解約"}
    assert {passage for _, passage in judge.pairs} == set(TEXTS.values())
    assert [hit.document for hit in index.search("契約の解約", rerank="judge", min_score=0.9)] == ["猫"]


def test_a_reranker_judges_the_first_alone(index, judge):
    hits = index.search("契約の解約", rerank="judge", rerank_top=2, top=1)
    assert len(judge.pairs) == 2
    assert "猫" not in [hit.document for hit in hits]
    judge.pairs.clear()
    assert len(index.search("契約の解約", rerank="judge", rerank_top=1, top=3)) == len(judge.pairs) == 3


def test_a_classifier_of_several_labels_is_no_reranker(index, judge):
    judge.labels = ("a", "b")
    with pytest.raises(JnlpError, match="a reranker has one label"):
        index.search("契約", rerank="judge")


def test_a_real_cross_encoder_reranks(tmp_path):
    model = make_model(tmp_path / "reranker", head="classifier", labels=("relevant",))
    embedder = make_model(tmp_path / "embedder", head="embedding")
    engine = Engine(load_plugins([import_candidate("search", "jnlp_search")]))
    with Index.open(tmp_path / "my.idx", engine, model=str(embedder)) as index:
        index.add([Record(name, text) for name, text in TEXTS.items()])
        hits = index.search("契約の解約", rerank=str(model), top=3)
        pairs = [("契約の解約", hit.text) for hit in hits]
        scores = [result.score for result in engine.run("rerank", pairs, model=str(model))]
    assert [hit.score for hit in hits] == pytest.approx(scores, abs=1e-3)
    assert scores == sorted(scores, reverse=True)


# --- several indexes ---


def test_two_indexes_answer_one_query(tmp_path, engine):
    with Index.open(tmp_path / "a.idx", engine) as a, Index.open(tmp_path / "b.idx", engine) as b:
        a.add([Record("解約", TEXTS["解約"]), Record("猫", TEXTS["猫"])])
        b.add([Record("更新", TEXTS["更新"]), Record("猫", TEXTS["猫"])])
        hits = search_all([a, b], "契約の解約", top=4, group=False)
        assert [hit.rank for hit in hits] == [1, 2, 3, 4]
        assert [(hit.document, Path(hit.index).name) for hit in hits[:2]] == [("解約", "a.idx"), ("更新", "b.idx")]
        assert {(hit.document, Path(hit.index).name) for hit in hits[2:]} == {("猫", "a.idx"), ("猫", "b.idx")}
        # equal passages are grouped within an index: a hit names the index it is in
        assert len(search_all([a, b], "猫", group=True, retriever="lexical")) == 2
        assert [hit.document for hit in search_all([a, b], '"一年ごと"')] == ["更新"]
        assert search_all([a], "契約の解約") == search_all([a, a], "契約の解約") == a.search("契約の解約")
        with Index.open(tmp_path / "." / "a.idx", engine) as again:
            assert search_all([a, again], "契約の解約") == a.search("契約の解約")
    with pytest.raises(UsageError):
        search_all([], "契約")


def test_indexes_of_two_models_are_not_mixed(tmp_path, models, other_models):
    from .conftest import FakeEngine

    with (
        Index.open(tmp_path / "a.idx", FakeEngine(models)) as a,
        Index.open(tmp_path / "b.idx", FakeEngine(other_models)) as b,
    ):
        for index in (a, b):
            index.add([Record("解約", TEXTS["解約"])])
        with pytest.raises(JnlpError, match="was made with model"):
            search_all([a, b], "契約")
        assert len(search_all([a, b], "契約", retriever="lexical", group=False)) == 2


def test_several_indexes_by_the_command(jnlp):
    for name in ("解約", "猫"):
        Path(f"{name}.txt").write_text(TEXTS[name], encoding="utf-8")
        jnlp("index", f"{name}.txt", "--index", f"{name}.idx")
    hits = lines(jnlp("search", "--index", "解約.idx", "--index", "猫.idx", "契約の解約")[0])
    assert [(hit["document"], hit["index"]) for hit in hits] == [("解約.txt", "解約.idx"), ("猫.txt", "猫.idx")]
    table = jnlp("search", "--index", "解約.idx", "--index", "猫.idx", "契約", "--format", "table")[0]
    assert "解約.txt:1 in 解約.idx" in table
    for words in (["契約"], ["解約.idx", "契約", "解約"], ["--index", "解約.idx", "猫.idx", "契約"]):
        assert re.search("search takes|no index, folder or file is named", jnlp("search", *words, status=2)[1])


# --- a file without an index ---


def test_a_file_is_searched_without_an_index(jnlp, tmp_path):
    Path("規程.md").write_text(
        "# 規程\n\n" + "\n\n".join([*TEXTS.values(), *(f"{n}日目に雨が降る。" * 30 for n in range(9))]),
        encoding="utf-8",
    )
    hits = lines(jnlp("search", "規程.md", "契約の解約", "--top", "5")[0])
    assert len(hits) > 3
    text = Path("規程.md").read_text(encoding="utf-8")
    assert all(hit["text"] == text[hit["start"] : hit["end"]] for hit in hits)
    assert "三か月前" in hits[0]["text"]
    Path("問答.csv").write_text("番号,問,答\n1,休みは?,日曜です。\n2,送料は?,五百円です。\n", encoding="cp932")
    [hit] = lines(jnlp("search", "問答.csv", "送料", "--text", "問", "--retriever", "lexical")[0])
    assert (hit["document"], hit["metadata"]["答"]) == ("問答.csv:3", "五百円です。")
    assert [
        hit["line"] for hit in lines(jnlp("search", "問答.csv", "休み", "--text", "問", "--where", "番号 = 1")[0])
    ] == [2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["問答.csv", "規程.md"]


def test_a_file_that_cannot_be_searched(jnlp):
    Path("壊.txt").write_bytes(b"\x81\x00\xff\xfe\xfd\x80")
    _, err = jnlp("search", "壊.txt", "契約", status=1)
    assert "has no text to search" in err
    assert "there is no index at" in jnlp("search", "無い.txt", "契約", status=2)[1]


def test_a_folder_is_searched_without_an_index(jnlp, tmp_path):
    folder = Path("文書")
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    (folder / "写真.png").write_bytes(b"\x89PNG")
    jnlp("index", "文書", "--index", "文書/my.idx")  # it is no document
    out, err = jnlp("search", "文書", "契約の解約")
    assert lines(out)[0]["document"] == "文書/解約.txt"
    kept = lines(jnlp("search", "文書/my.idx", "契約の解約")[0])
    assert [(hit["document"], hit["score"]) for hit in lines(out)] == [(hit["document"], hit["score"]) for hit in kept]
    count = len(TEXTS)
    told = rf"jnlp: searched {count} documents and {count} passages of 文書, read in \S+ s\n"
    assert re.fullmatch(rf"jnlp: 1 file passed over: 1 png\n{told}", err)
    out, err = jnlp("search", "文書", "契約の解約", "--include", "猫.txt", "-q")
    assert ([hit["document"] for hit in lines(out)], err) == (["文書/猫.txt"], "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["文書"]


def test_a_large_folder_is_worth_an_index(jnlp, monkeypatch):
    monkeypatch.setattr(unindexed, "MANY", 2)
    Path("文書").mkdir()
    for number in range(3):
        Path(f"文書/{number}.txt").write_text(f"{number}番の契約。", encoding="utf-8")
    keep = "jnlp index 文書 --index my.idx reads once for all searches"
    first, second = jnlp("search", "文書", "契約")[1].splitlines()
    assert first == f"jnlp: reading about 3 documents of 文書 for this search; {keep}"
    assert second.startswith("jnlp: searched 3 documents and 3 passages of 文書, read in ")
    assert keep not in second
    Path("長い.txt").write_text("\n\n".join(f"{n}日目に雨が降る。" * 30 for n in range(9)), encoding="utf-8")
    assert jnlp("search", "長い.txt", "雨")[1].endswith(
        "; jnlp index 長い.txt --index my.idx reads once for all searches\n"
    )


def test_a_folder_without_documents(jnlp):
    Path("空").mkdir()
    assert jnlp("search", "空", "契約", status=1)[1].splitlines() == [
        "jnlp: error: 空 has no text to search",
        "      hint: it is a folder without an index, and without documents",
    ]
    Path("空/写真.png").write_bytes(b"\x89PNG")
    assert jnlp("search", "空", "契約", status=1)[1].splitlines() == [
        "jnlp: 1 file passed over: 1 png",
        "jnlp: error: 空 has no text to search",
        "      hint: see above",
    ]
    assert "there is no index at 空" in jnlp("search", "--index", "空", "契約", status=2)[1]


# --- evidence ---


def test_the_sentence_that_answers_is_found_by_words_and_by_meaning(index, embedder):
    [hit, *_] = index.search("三か月前の予告", evidence=True)
    assert hit.text[slice(*hit.evidence)] == "契約は三か月前に予告して解約できる。"
    near = next(hit for hit in index.search("名前はまだ", evidence=True, retriever="dense") if hit.document == "猫")
    assert near.text[slice(*near.evidence)] == "名前はまだ無い。"
    embedder.embedded.clear()
    index.search("契約", evidence=True)
    assert embedder.embedded.count("吾輩は猫である。") == 1
    embedder.embedded.clear()
    words = index.search("違約金", evidence=True, retriever="lexical")[0]
    assert words.text[slice(*words.evidence)] == "違約金はない。"
    assert embedder.embedded == []
    assert index.search("契約")[0].evidence is None


# --- output ---


@pytest.mark.parametrize("name", ["hits.csv", "hits.tsv", "hits.jsonl", "hits.parquet"])
def test_hits_are_written_to_a_file(jnlp, name):
    Path("a.csv").write_text("id,text,年度\n1,契約の解約。,2020\n2,契約の更新。,2021\n", encoding="utf-8")
    Path("猫.txt").write_text(TEXTS["猫"], encoding="utf-8")
    jnlp("index", "a.csv", "猫.txt", "--index", "my.idx")
    shown = lines(jnlp("search", "my.idx", "契約の解約")[0])
    out, err = jnlp("search", "my.idx", "契約の解約", "-o", name)
    assert out == ""
    assert f"jnlp: {name}: 3 hits written" in err.splitlines()
    if name.endswith("parquet"):
        import pyarrow.parquet

        rows = pyarrow.parquet.read_table(name).to_pylist()
        assert [json.loads(row["metadata"]) for row in rows] == [hit["metadata"] for hit in shown]
    elif name.endswith("jsonl"):
        rows = lines(Path(name).read_text(encoding="utf-8"))
        assert rows == shown
    else:
        with Path(name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="," if name.endswith("csv") else "\t"))
        assert [row["metadata.年度"] for row in rows] == [str(hit["metadata"].get("年度", "")) for hit in shown]
        assert rows[0]["highlights"] == "0 2 | 3 5"
    assert [row["text"] for row in rows] == [hit["text"] for hit in shown]
    assert [float(row["score"]) for row in rows] == pytest.approx([hit["score"] for hit in shown])


def test_many_queries_make_one_table(jnlp):
    Path("猫.txt").write_text(TEXTS["猫"], encoding="utf-8")
    jnlp("index", "猫.txt", "--index", "my.idx")
    out, _ = jnlp("search", "my.idx", "-", "--format", "csv", "--output-encoding", "utf-8-sig", stdin="猫\n名前\n")
    rows = list(csv.DictReader(out.removeprefix("\ufeff").splitlines()))
    assert [(row["query"], row["document"]) for row in rows] == [("猫", "猫.txt"), ("名前", "猫.txt")]
    jnlp("search", "猫.txt", "猫", "-o", "猫.txt", status=2)
    jnlp("search", "my.idx", "猫", "-o", "猫.doc", status=2)
