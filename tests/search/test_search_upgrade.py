"""An index of the format before is rewritten with nothing lost; an update without paths reads what was given before."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from jnlp.cli import build_cli
from jnlp.errors import JnlpError, UsageError
from jnlp.plugins import import_candidate, load_plugins
from jnlp.strict_json import dumps
from jnlp.types import Record, Source
from jnlp_search import Index
from jnlp_search.build import build, delete, repair_index
from jnlp_search.options import IndexOptions
from jnlp_search.search import open_index
from jnlp_search.store.catalog import NAME, SEGMENTS, Catalog
from jnlp_search.store.checks import row_crc, vector_crc
from jnlp_search.store.schema import FORMAT, UPGRADED
from jnlp_search.store.vectors import open_all
from jnlp_search.store.verify import verify


def documents() -> list[Record]:
    return [
        Record(
            f"{n:02}",
            f"第{n}話　{'山川海空花鳥風月'[n % 8]}の話をする。\n\n終わりに雨が降る。",
            {"title": f"第{n}話"},
            Source(f"/文書/{n:02}.txt"),
        )
        for n in range(30)
    ]


OLD_TABLES = """
ALTER TABLE chunks DROP COLUMN offsets;
DROP TABLE sources; DROP TABLE fulltext; DROP TABLE state; DROP TABLE segments; DROP TABLE tombstones;
CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), commits INTEGER NOT NULL, seal INTEGER);
INSERT INTO state VALUES (1, 7, NULL);
CREATE TABLE segments (id INTEGER PRIMARY KEY AUTOINCREMENT, file TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    sha256 TEXT NOT NULL, count INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL);
INSERT INTO segments VALUES (3, '000003.faiss', 'flat', '', 1, 1, 1);
CREATE TABLE vectors (chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
    segment INTEGER NOT NULL REFERENCES segments, vector BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE tombstones (chunk INTEGER PRIMARY KEY, segment INTEGER NOT NULL REFERENCES segments ON DELETE CASCADE);
INSERT INTO tombstones VALUES (999, 3);
CREATE VIRTUAL TABLE fulltext USING fts5 (words);
PRAGMA user_version = 4;
"""


def make_old(folder: Path) -> None:
    """Turn an index into one of format 4, as jnlp wrote it: float32 vectors in the catalogue."""
    with Catalog.reading(folder) as catalog:
        manifest = catalog.manifest()
        chunks = catalog.chunk_numbers()
        rows = open_all(catalog, manifest.dimension).rows(chunks)
        texts = dict(catalog.texts())
    db = sqlite3.connect(folder / NAME, isolation_level=None)
    db.executescript(OLD_TABLES)
    fields = [field.name for field in dataclasses.fields(manifest)][:10]
    values = {name: getattr(manifest, name) for name in fields}
    db.execute("DELETE FROM manifest")
    kept = [*values.items(), ("crc", row_crc(*values.values()))]
    db.executemany("INSERT INTO manifest VALUES (?, ?)", [(key, dumps(value, ascii=True)) for key, value in kept])
    for chunk, row in zip(chunks.tolist(), rows, strict=True):
        blob = row.astype("<f4").tobytes()
        db.execute("INSERT INTO vectors VALUES (?, 3, ?, ?)", (chunk, blob, vector_crc(chunk, blob)))
        db.execute("INSERT INTO fulltext (rowid, words) VALUES (?, ?)", (chunk, texts[chunk]))
    db.close()
    shutil.rmtree(folder / SEGMENTS)
    (folder / SEGMENTS).mkdir()
    (folder / SEGMENTS / "000003.faiss").write_bytes(b"x")
    (folder / "catalog.sum").unlink(missing_ok=True)


@pytest.fixture
def old(tmp_path, embedder) -> Path:
    folder = tmp_path / "i"
    build(folder, documents(), embedder, model="pairs")
    delete(folder, ["03", "04"])
    make_old(folder)
    embedder.embedded.clear()
    return folder


def answers(folder: Path, models) -> list[object]:
    with open_index(folder, models) as index:
        return [index.search("花の話と雨", retriever=how, top=50) for how in ("lexical", "dense", "hybrid")]


def test_an_index_of_the_format_before_is_upgraded(tmp_path, old, embedder, models, engine):
    build(tmp_path / "new", [one for one in documents() if one.id not in ("03", "04")], embedder, model="pairs")
    embedder.embedded.clear()
    assert (UPGRADED, FORMAT) == (4, 6)
    with pytest.raises(JnlpError, match="index format 4, this jnlp reads 6") as raised:
        verify(old)
    assert raised.value.hint == f"jnlp index upgrade {old} rewrites it; nothing is embedded again"
    with Index.open(old, engine) as index:
        report = index.upgrade()
        assert (report.documents, report.dropped) == (28, ())
        assert (verify(old).problems, verify(old).leftovers) == ((), ())
        assert index.upgrade().documents == 28  # nothing is left to do
        assert index.info().made_with["factory"] == "auto"
        assert embedder.embedded == []
    assert answers(old, models) == answers(tmp_path / "new", models)
    embedder.embedded.clear()
    build(old, documents(), embedder, model="pairs", sources=["/文書"])
    assert len(embedder.embedded) == 2
    with Catalog.reading(old) as catalog:
        assert catalog.db.execute("SELECT path, read FROM sources").fetchall() == [("", "{}")]


def test_a_damaged_document_is_not_lost_by_an_upgrade(old, models):
    db = sqlite3.connect(old / NAME)
    with db:
        db.execute("UPDATE vectors SET vector = zeroblob(length(vector)) WHERE chunk = 9")
    db.close()
    before = (old / NAME).read_bytes()
    with pytest.raises(JnlpError, match=r"08\.txt#08 was changed") as raised:
        repair_index(old, upgrade=True)
    assert "jnlp index repair" in raised.value.hint
    assert (old / NAME).read_bytes() == before
    report = repair_index(old)
    assert (report.documents, report.dropped) == (27, ("08.txt#08",))
    assert verify(old).problems == ()


def test_an_older_format_is_made_again(old):
    db = sqlite3.connect(old / NAME)
    db.execute("PRAGMA user_version = 3")
    db.close()
    with pytest.raises(JnlpError, match="index format 3") as raised:
        repair_index(old, upgrade=True)
    assert "--rebuild" in raised.value.hint


# --- without paths ---


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("文書/猫.txt", "文書/犬.txt", "他/表.csv", "他/別.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(f"本文,番号\n{name}に猫がいる。,1\n", encoding="utf-8")
    return tmp_path


def names(index: Index) -> list[str]:
    return sorted(place.document for place in index.documents())


def test_an_update_without_paths_reads_what_was_given(folder, engine):
    with Index.open("my.idx", engine) as index:
        index.add("文書", read={"exclude": ["犬*"]})
        index.add(["他/表.csv"], read={"text": "本文"})
        assert names(index) == ["他/表.csv:2", "文書/猫.txt"]
        Path("文書/鳥.txt").write_text("鳥がいる。", encoding="utf-8")
        Path("他/新.txt").write_text("新しい。", encoding="utf-8")
        assert index.update().added == 1
        assert names(index) == ["他/表.csv:2", "文書/猫.txt", "文書/鳥.txt"]  # neither 犬 nor 新
        report = index.update(rebuild=True)
        assert (report.added, report.failed) == (3, 0)
        assert index.search("猫がいる", top=1)[0].text in (
            "他/表.csvに猫がいる。",
            "本文,番号\n文書/猫.txtに猫がいる。,1",
        )
        Path("文書/猫.txt").unlink()
        assert index.update().removed == 1
        index.add("文書")  # now with all files
        assert index.update().unchanged == 3
        assert names(index) == ["他/表.csv:2", "文書/犬.txt", "文書/鳥.txt"]
        Path("文書").rename("新しい場所")
        with pytest.raises(UsageError, match="文書"):
            index.update()


def test_the_sources_move_with_the_folders(folder, engine):
    with Index.open("my.idx", engine) as index:
        index.add("文書")
        Path("place").mkdir()
        Path("文書").rename("place/文書")
        index.add([], base="place")
        assert index.update().unchanged == 2
        index.add(["place/文書/猫.txt"])  # a part of what is there
        with Catalog.reading(Path("my.idx")) as catalog:
            assert catalog.db.execute("SELECT path FROM sources").fetchall() == [("",)]


def test_records_alone_have_no_source(tmp_path, engine):
    with Index.open(tmp_path / "my.idx", engine) as index:
        with pytest.raises(UsageError, match="there is no index"):
            index.update()
        index.add([Record("一", "猫")])
        with pytest.raises(UsageError, match="no file or folder was indexed"):
            index.update()


def test_the_commands(folder, embedder, capsys):
    build(Path("my.idx"), documents(), embedder, model="pairs")
    make_old(Path("my.idx"))
    cli = build_cli(load_plugins([import_candidate("search", "jnlp_search")]))
    cli.main(["index", "upgrade", "my.idx"], standalone_mode=False)
    assert capsys.readouterr().out == "my.idx: 30 documents, of this format\n"
    small = ["--index", "cli.idx", "--model", "tiny-search", "--quiet"]
    cli.main(["index", "文書", *small, "--factory", "flat", "--memory-share", "0.5"], standalone_mode=False)
    capsys.readouterr()
    more = ["--factory", "auto", "--flat-below", "0", "--hnsw-below", "5"]
    cli.main(["index", "--index", "cli.idx", "--quiet", *more], standalone_mode=False)
    assert "0 documents added, 0 updated, 2 unchanged" in capsys.readouterr().out
    cli.main(["index", "--index", "cli.idx", "--rebuild", "--quiet"], standalone_mode=False)
    assert "2 documents added" in capsys.readouterr().out
    with Catalog.reading(Path("cli.idx")) as catalog:
        assert [segment.kind for segment in catalog.segments()] == ["HNSW16,SQ8"]
        assert catalog.manifest().memory_share == 0.5


def test_rebuild_keeps_the_settings_of_the_vectors(tmp_path, embedder):
    build(tmp_path / "i", documents(), embedder, IndexOptions(flat_below=0), model="pairs")
    build(tmp_path / "i", documents(), embedder, IndexOptions(rebuild=True), model="pairs")
    with Catalog.reading(tmp_path / "i") as catalog:
        assert np.isclose(catalog.manifest().flat_below, 0)
