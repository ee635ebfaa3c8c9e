"""`Index` as the library gives it: made, filled, changed, searched and checked without a command."""

from __future__ import annotations

import dataclasses
import json

import pytest

from jnlp.engine import Engine
from jnlp.errors import JnlpError, UsageError
from jnlp.plugins import import_candidate, load_plugins
from jnlp.testing import make_model
from jnlp.types import AddReport, Chunk, Failed, Record, SearchIndex, Source
from jnlp_search import Index
from jnlp_search.chunk import paragraph_chunker


@pytest.fixture
def index(tmp_path, engine) -> Index:
    return Index.open(tmp_path / "my.idx", engine)


def counts(report: AddReport) -> tuple[int, ...]:
    return report.added, report.updated, report.unchanged, report.removed, report.failed


def test_records_go_in_and_hits_come_out(index):
    records = [Record("契約", "契約は三か月前に解約できる。"), Record("猫", "吾輩は猫である。", {"作者": "夏目漱石"})]
    with index:
        assert counts(index.add(records)) == (2, 0, 0, 0, 0)
        [hit] = index.search("猫", retriever="lexical")
        assert (hit.document, hit.text, hit.path, hit.line, hit.count) == ("猫", "吾輩は猫である。", None, None, 1)
        assert hit.metadata == {"作者": "夏目漱石"}
        assert counts(index.add(iter(records[:1]))) == (0, 0, 1, 0, 0)
        assert [place.document for place in index.documents()] == ["契約", "猫"]
        assert index.remove("猫") == 1
        assert index.search("猫", retriever="lexical") == []
        assert index.info().documents == 1
        assert index.verify().problems == ()
    assert index.search("契約", retriever="lexical")[0].document == "契約"  # a closed index opens again
    index.close()


def test_files_go_in(tmp_path, index):
    docs = tmp_path / "文書"
    docs.mkdir()
    (docs / "猫.txt").write_text("吾輩は猫である。", encoding="utf-8")
    (docs / "表.csv").write_text(
        "id,本文,備考\n7,休みは日曜です。,a\n8,\udcff".replace("\udcff", "送料は五百円です。,b"), encoding="utf-8"
    )
    assert counts(index.add([docs], read={"text": "本文"})) == (3, 0, 0, 0, 0)
    assert counts(index.add(str(docs), read={"text": "本文"}, chunk_tokens=256)) == (0, 0, 3, 0, 0)
    hit = index.search("日曜", retriever="lexical")[0]
    assert (hit.document, hit.path, hit.line) == ("7", f"{docs}/表.csv", 2)
    assert hit.metadata["path"] == hit.path
    assert index.info().roots == (str(docs),)
    index.close()


def test_what_cannot_be_added_is_an_error(tmp_path, index):
    with pytest.raises(UsageError, match="there is no index at"):
        index.remove("猫")
    with pytest.raises(UsageError, match="there is no index at"):
        Index.open(tmp_path / "無い.idx", index._engine, create=False)
    for failing in (index.verify, index.repair, index.info):
        with pytest.raises(UsageError, match="there is no index at"):
            failing()
    (tmp_path / "a.txt").write_text("猫", encoding="utf-8")
    for documents, message in [
        ([3], "document 1 is not a Record but int"),
        ([tmp_path / "a.txt", Record("猫", "猫")], "records and paths are mixed"),
        ("無い.txt", "does not exist"),
    ]:
        with pytest.raises(UsageError, match=message):
            index.add(documents)
    with pytest.raises(UsageError, match="no option is called 'chunk'"):
        index.add([], chunk=3)


@pytest.mark.parametrize("query", ["", " 　\n", "契約\udcff"])
def test_a_query_without_text_is_an_error(index, query):
    index.add([Record("猫", "吾輩は猫である。")])
    with index, pytest.raises(JnlpError, match="the query"):
        index.search(query)


def test_the_engine_gives_the_index(tmp_path, models, monkeypatch):
    monkeypatch.setattr(Engine, "models", lambda *_: models)
    nlp = Engine(load_plugins([import_candidate("search", "jnlp_search")]))
    with nlp.index(tmp_path / "my.idx") as index:
        index.add([Record("猫", "吾輩は猫である。")])
    with nlp.open_index(tmp_path / "my.idx") as index:
        assert index.search("猫", top=1)[0].document == "猫"
    with pytest.raises(UsageError, match="there is no index at"):
        nlp.open_index(tmp_path / "other.idx")
    for options, names in [({}, ["猫"]), ({"top": 3, "retriever": "lexical"}, ["猫"])]:
        [found] = nlp.run("search", ["猫"], index=str(tmp_path / "my.idx"), **options)
        assert [hit.document for hit in found.hits] == names
    with pytest.raises(UsageError, match="needs an index"):
        nlp.run("search", ["猫"])
    with pytest.raises(JnlpError, match="not a pair"):
        nlp.run("search", [("猫", "犬")], index=str(tmp_path / "my.idx"))


def test_pairs_are_scored_by_a_cross_encoder(tmp_path):
    model = make_model(tmp_path / "reranker", head="classifier", labels=("relevant",))
    nlp = Engine(load_plugins([import_candidate("search", "jnlp_search")]))
    pairs = [("解約の条件", "契約は三か月前に解約できる。"), ("解約の条件", "吾輩は猫である。" * 300)]
    scores = [result.score for result in nlp.run("rerank", pairs, model=str(model))]
    assert len(scores) == 2
    assert all(0 <= score <= 1 for score in scores)
    assert [nlp.run("rerank", [pair], model=str(model))[0].score for pair in pairs] == pytest.approx(scores, abs=1e-4)
    with pytest.raises(JnlpError, match="reads pairs"):
        nlp.run("rerank", ["解約の条件"], model=str(model))
    other = make_model(tmp_path / "other", head="classifier", labels=("a", "b", "c"))
    with pytest.raises(JnlpError, match="has one label, and this model has 3"):
        nlp.run("rerank", pairs, model=str(other))


# --- the hooks: each registers one and sees it used -------------------------------------------------------------------


def characters(text, tokenizer, budget, overlap, outline):
    """Cut a text into passages of three characters."""
    for start in range(0, len(text), 3):
        yield Chunk(start, min(start + 3, len(text)), 3)


def outside(text, tokenizer, budget, overlap, outline):
    yield Chunk(0, len(text) + 1, 1)


def plugged(monkeypatch, **hooks):
    """Return an engine with jnlp_search and a plugin that has these hooks."""
    import sys
    import types

    from jnlp import hookimpl

    module = types.ModuleType("search_plugin")
    module.jnlp_api = 1
    for name, (registered, target) in hooks.items():

        def hook(register, registered=registered, target=target):
            register(registered, target)

        hook.__name__ = name
        source = f"def {name}(register):\n    add(register)\n"
        space = {"add": hook}
        exec(source, space)
        setattr(module, name, hookimpl(space[name]))
    monkeypatch.setitem(sys.modules, "search_plugin", module)
    plugins = [import_candidate("search", "jnlp_search"), import_candidate("plugged", "search_plugin")]
    return Engine(load_plugins(plugins))


def test_register_chunkers_is_used(tmp_path, models, monkeypatch):
    monkeypatch.setattr(Engine, "models", lambda *_: models)
    nlp = plugged(monkeypatch, register_chunkers=("threes", lambda: characters))
    with nlp.index(tmp_path / "i") as index:
        index.add([Record("猫", "吾輩は猫である。")], chunker="threes")
        assert [hit.text for hit in index.search("猫で", retriever="lexical")] == ["猫であ"]
        assert index.info().made_with["chunker"] == "threes"
        index.add([Record("犬", "犬も歩けば棒に当たる。")])  # goes on with the chunker it was made with
        assert max(len(hit.text) for hit in index.search("犬", per_document=0)) == 3
        with pytest.raises(JnlpError, match="made with --chunker threes, not sentences"):
            index.add([], chunker="sentences")
        with pytest.raises(UsageError, match="no chunker is called 'none'"):
            index.add([], chunker="none", rebuild=True)


def test_a_chunker_that_leaves_the_text_fails_its_document(tmp_path, models, monkeypatch):
    monkeypatch.setattr(Engine, "models", lambda *_: models)
    nlp = plugged(monkeypatch, register_chunkers=("outside", lambda: outside))
    failed: list[Failed] = []
    with nlp.index(tmp_path / "i") as index:
        report = index.add([Record("猫", "吾輩は猫である。")], chunker="outside", on_failed=failed.append)
    assert counts(report) == (0, 0, 0, 0, 1)
    assert "chunker 'outside' gave the passage 0–9 of a text of 8 characters" in str(failed[0].error)


def test_register_stores_is_used(tmp_path, monkeypatch):
    @dataclasses.dataclass
    class Memory:
        path: object
        created: bool = False

        def open(self, path, engine, /, *, create=False):
            return Memory(path, create)

    nlp = plugged(monkeypatch, register_stores=("memory", lambda: Memory(None)))
    assert nlp.index(tmp_path, store="memory") == Memory(tmp_path, True)
    assert nlp.open_index(tmp_path, store="memory") == Memory(tmp_path, False)


def test_register_normalizers_is_used(tmp_path, monkeypatch):
    from jnlp.text import identity

    def modern(text):
        return dataclasses.replace(identity(text), text=text.replace("舊", "旧"))

    model = str(make_model(tmp_path / "model", head="embedding"))
    plain = plugged(monkeypatch)
    nlp = plugged(monkeypatch, register_normalizers=("modern", lambda: modern)).with_settings({"normalize": "modern"})
    old, new = nlp.run("embed", ["舊字", "旧字"], model=model)
    assert old.vector.tolist() == new.vector.tolist()
    before, after = plain.run("embed", ["舊字", "旧字"], model=model)
    assert before.vector.tolist() != after.vector.tolist()
    index = Index.open(tmp_path / "i", nlp, model=model)
    index.add([Record("字", "舊字で書く。")])
    index.close()
    with pytest.raises(JnlpError, match="another --normalize"):
        Index.open(tmp_path / "i", plain).search("旧字")


def test_paragraphs_are_passages(tokenizer):
    text = "第1条は目的です。\n\n第2条は定義です。第2項もあります。\n\n" + "長い文が続きます。" * 5
    made = [text[c.start : c.end] for c in paragraph_chunker(text, tokenizer, 24, 0, ())]
    assert made[:2] == ["第1条は目的です。", "第2条は定義です。第2項もあります。"]
    assert "".join(made[2:]) == "長い文が続きます。" * 5
    assert max(map(len, made[2:])) <= 24


def test_metadata_is_strict_json(index):
    index.add([Record("猫", "猫", {"重さ": float("nan"), "表": [float("inf"), {"a": 1.5}]}, Source("arg", 1))])
    with index:
        hit = index.search("猫", retriever="lexical")[0]
    assert json.loads(json.dumps(dict(hit.metadata), allow_nan=False)) == {"重さ": None, "表": [None, {"a": 1.5}]}


def test_the_protocol_of_an_index_is_whole():
    """What `Index` offers, the Protocol that `open_index` is typed with has too."""
    own = {name for name, value in vars(Index).items() if callable(value) and not name.startswith("_")}
    assert own <= set(vars(SearchIndex))
