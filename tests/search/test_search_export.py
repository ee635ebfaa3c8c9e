"""`jnlp index export`: every passage of an index in a file, as a search shows it."""

from __future__ import annotations

import csv
import json
import sqlite3

import numpy as np
import pytest

from jnlp.cli import build_cli
from jnlp.encoder.vectors import unit
from jnlp.engine import Engine
from jnlp.errors import JnlpError, UsageError
from jnlp.plugins import import_candidate, load_plugins
from jnlp.types import Record
from jnlp_search import Index, export
from jnlp_search.store.catalog import Catalog
from jnlp_search.store.vectors import open_all

pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "文書"
    folder.mkdir()
    text = "# 規程\n\n## 休暇\n\n" + "休暇は年に二十日とする。" * 4 + "\n\n## 給与\n\n" + "給与は月末に払う。" * 4
    (folder / "規程.md").write_text(text, encoding="utf-8")
    (folder / "問答.csv").write_text('id,本文,分類,数\n7,"休みは日曜。",a,1\n8,送料は五百円。,b,x\n', encoding="utf-8")
    (folder / "猫.txt").write_bytes("吾輩は猫である。".encode("cp932"))
    return folder


@pytest.fixture
def index(tmp_path, engine, docs):
    with Index.open(tmp_path / "my.idx", engine) as index:
        index.add([docs], read={"text": "本文"}, chunk_tokens=32, overlap=8, chunker="headings")
        index.add([Record("手で", "どの文書でもない。", {"入れ子": {"a": [1, None]}})])
        yield index


def found(index: Index) -> dict[tuple[str, int], dict[str, object]]:
    how = {"top": 100, "per_document": 0, "merge": False, "group": False}
    hits = index.search("休暇 給与 日曜 送料 猫 文書", retriever="dense", **how)
    stored = [passage for place in index.documents() for passage in index.document(place.name).passages]
    lines = {(passage.document, passage.chunk): passage.line for passage in stored}  # where it begins
    rows = {(hit.document, hit.chunk): {name: getattr(hit, name) for name in export.COLUMNS} for hit in hits}
    return {key: {**row, "line": lines[key]} for key, row in rows.items()}


def plain(rows: dict[tuple[str, int], dict[str, object]]) -> dict[tuple[str, int], object]:
    return json.loads(json.dumps([[list(key), row] for key, row in sorted(rows.items())], default=list))


def test_a_row_says_what_a_hit_says(tmp_path, index, monkeypatch):
    monkeypatch.setattr(export, "_SLICE", 3)
    out = tmp_path / "out.jsonl"
    count = index.export(out)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert count == len(rows) == index.info().chunks
    assert [list(row) for row in rows] == [list(export.COLUMNS)] * count
    assert plain({(row["document"], row["chunk"]): row for row in rows}) == plain(found(index))
    assert any(row["headings"] == ["規程", "給与"] for row in rows)
    assert rows[-1]["metadata"] == {"入れ子": {"a": [1, None]}}
    documents = [place.document for place in index.documents()]
    assert list(dict.fromkeys(row["document"] for row in rows)) == documents
    again = Index.open(tmp_path / "again.idx", index._engine)
    assert again.add([out], read={"text": "text"}).added == count


def test_parquet_has_vectors_as_float32(tmp_path, index, monkeypatch):
    monkeypatch.setattr(export, "_SLICE", 3)
    out = tmp_path / "out.parquet"
    count = index.export(out, vectors=True)
    table = pq.read_table(out)
    types = {field.name: str(field.type) for field in table.schema}
    assert types["vector"].startswith("list<")
    assert types["vector"].endswith(": float>")
    assert types["headings"].endswith(": string>")
    assert (types["start"], types["line"], types["metadata"], types["page"]) == ("int64", "int64", "string", "string")
    rows = table.to_pylist()
    vectors = [row.pop("vector") for row in rows]
    for row in rows:
        row["metadata"] = json.loads(row["metadata"])
    assert plain({(row["document"], row["chunk"]): row for row in rows}) == plain(found(index))
    with Catalog.reading(index.path) as catalog:
        ids = [row[0] for row in catalog.db.execute("SELECT id FROM chunks ORDER BY document, ordinal")]
        expected = unit(open_all(catalog, catalog.manifest().dimension).rows(np.array(ids)))
    assert len(vectors) == count
    assert np.array_equal(np.array(vectors, np.float32), expected)


def test_csv_and_the_vectors_in_jsonl(tmp_path, index):
    index.export(tmp_path / "out.csv", encoding="utf-8-sig")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    hits = found(index)
    for row in rows:
        hit = hits[row["document"], int(row["chunk"])]
        assert (row["text"], int(row["start"])) == (hit["text"], hit["start"])
        assert (json.loads(row["metadata"]), json.loads(row["headings"])) == (hit["metadata"], list(hit["headings"]))
    index.export(tmp_path / "out.jsonl", vectors=True)
    for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines():
        assert np.linalg.norm(json.loads(line)["vector"]) == pytest.approx(1, abs=1e-5)


def test_an_index_without_headings_or_documents(tmp_path, engine):
    with Index.open(tmp_path / "my.idx", engine) as index:
        index.add([Record("1", "猫。")])
        assert index.export(tmp_path / "one.parquet") == 1
        assert pq.read_table(tmp_path / "one.parquet").to_pylist()[0]["headings"] == []
        index.remove("1")
        for name in ("none.parquet", "none.csv", "none.jsonl"):
            assert index.export(tmp_path / name) == 0
        assert (tmp_path / "none.csv").read_text(encoding="utf-8").strip() == ",".join(export.COLUMNS)
        assert pq.read_table(tmp_path / "none.parquet").column_names == list(export.COLUMNS)


def test_what_cannot_be_exported_is_refused(tmp_path, index, engine):
    with pytest.raises(UsageError):
        index.export(tmp_path / "out.npy")
    with pytest.raises(UsageError):
        index.export(tmp_path / "out.doc")
    with pytest.raises(UsageError):
        index.export(index.path / "catalog.sqlite", format="jsonl")
    with pytest.raises(UsageError):
        index.export(tmp_path / "out.csv", encoding="latin-1")
    with pytest.raises(UsageError):
        Index.open(tmp_path / "無", engine).export(tmp_path / "out.jsonl")
    assert index.verify().problems == ()
    index.close()
    with sqlite3.connect(index.path / "catalog.sqlite") as db:
        db.execute("UPDATE chunks SET text = 'x' WHERE id = 4")
    db.close()
    with pytest.raises(JnlpError, match="is damaged: passage 4 was changed"):
        index.export(tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_the_command(runner, models, monkeypatch, tmp_path, index):
    monkeypatch.setattr(Engine, "models", lambda *_: models)
    monkeypatch.chdir(tmp_path)
    cli = build_cli(load_plugins([import_candidate("search", "jnlp_search")]))
    done = runner.invoke(cli, ["index", "export", "my.idx"], catch_exceptions=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.exit_code, len(rows)) == (0, index.info().chunks)
    words = ["index", "export", "my.idx", "-o", "out.parquet", "--vectors"]
    done = runner.invoke(cli, words, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, "")
    assert pq.read_table("out.parquet").num_rows == len(rows)
    assert runner.invoke(cli, ["index", "export", "my.idx", "-o", "out.doc"]).exit_code == 2
