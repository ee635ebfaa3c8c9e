"""A damaged index answers rightly or with one clear error, a check finds the damage, a repair keeps what is whole."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jnlp.errors import JnlpError
from jnlp.types import Record, Source
from jnlp_search.build import build, delete, repair_index
from jnlp_search.options import IndexOptions
from jnlp_search.search import open_index
from jnlp_search.store import kinds
from jnlp_search.store.catalog import NAME, SEGMENTS, Catalog
from jnlp_search.store.checks import DamagedIndexError
from jnlp_search.store.raw import HEADER
from jnlp_search.store.verify import verify

QUERIES = [("雨が降る", "lexical"), ("雨が降る", "dense"), ("山の話", "hybrid"), ("改訂", "lexical")]


def documents() -> list[Record]:
    return [
        Record(
            f"{n:02}",
            f"第{n}話　{'山川海空花鳥風月'[n % 8]}の話をする。\n\n"
            f"{'改訂した。' if n % 3 else '初めの版。'}終わりに雨が降る。",
            {"title": f"第{n}話"},
            Source(f"/文書/{n:02}.txt"),
        )
        for n in range(30)
    ]


@pytest.fixture(scope="module")
def template(tmp_path_factory, embedders) -> Path:
    """An index with two segments and tombstones, closed cleanly."""
    folder = tmp_path_factory.mktemp("template") / "i"
    build(folder, documents(), embedders(), model="pairs")
    changed = [*documents()[3:], Record("新", "新しい雨。")]
    build(folder, changed, embedders(), model="pairs", sources=["/文書"])
    return folder


@pytest.fixture(scope="module")
def right(template, embedders) -> list[list[tuple[str, str, float]]]:
    """What the whole index answers."""

    class Models:
        def embedder(self, model=None, /, **_):
            return embedders()

    return answers(template, Models())


@pytest.fixture
def whole(tmp_path, template, right) -> Path:
    """A copy of the whole index."""
    files = shutil.ignore_patterns(f"{NAME}-*")  # the empty log of a reader
    return Path(shutil.copytree(template, tmp_path / "i", ignore=files))


def answers(folder: Path, models) -> list[list[tuple[str, str, float]]]:
    with open_index(folder, models) as index:
        return [
            [(hit.document, hit.text, hit.score) for hit in index.search(query, retriever=how, top=50)]
            for query, how in QUERIES
        ]


def damage(folder: Path, seed: int) -> bool:
    """Change bytes of a file of the index, or cut it; return whether anything changed."""
    chance = random.Random(seed)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "writer.lock")
    path = chance.choice([*files, *[folder / NAME] * 6])
    before = path.read_bytes()
    data, at = bytearray(before), chance.randrange(len(before))
    match chance.choice(["bit", "bit", "byte", "run", "zeros", "cut"]):
        case "bit":
            data[at] ^= 1 << chance.randrange(8)
        case "byte":
            data[at] = chance.randrange(256)
        case "run":
            data[at : at + 64] = chance.randbytes(len(data[at : at + 64]))
        case "zeros":
            data[at : at + 512] = bytes(len(data[at : at + 512]))
        case "cut":
            del data[at:]
    path.write_bytes(data)
    return bytes(data) != before


def try_damage(copy: Path, right, seed: int, models, embedder) -> None:
    if not damage(copy, seed):
        return
    with contextlib.suppress(JnlpError):
        assert answers(copy, models) == right
    with contextlib.suppress(JnlpError):
        assert verify(copy).problems != ()
    worked_on = copy.with_name("worked-on")
    shutil.copytree(copy, worked_on)
    with contextlib.suppress(JnlpError):  # an update never covers damage with a new seal
        build(worked_on, [Record("他", "関係ない。")], embedder, model="pairs")
        delete(worked_on, ["他"])
        assert [sorted(hits) for hits in answers(worked_on, models)] == [sorted(hits) for hits in right]
    try:
        report = repair_index(copy)
    except JnlpError:
        build(copy, documents(), embedder, IndexOptions(rebuild=True), model="pairs")
        assert verify(copy).problems == ()
        return
    assert verify(copy).problems == verify(copy).leftovers == ()
    assert report.documents + len(report.dropped) >= 28
    if not report.dropped:
        assert answers(copy, models) == right


@pytest.mark.parametrize("seed", range(16))
def test_damage_is_an_error_or_changes_nothing(whole, right, seed, models, embedder):
    try_damage(whole, right, seed, models, embedder)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(16, 80))
def test_any_damage_is_an_error_or_changes_nothing(whole, right, seed, models, embedder):
    try_damage(whole, right, seed, models, embedder)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DELETE FROM manifest WHERE key = 'model'", "model"),
        ("DELETE FROM manifest", "the manifest is empty"),
        ("UPDATE manifest SET value = '\"many\"' WHERE key = 'dimension'", "dimension: 'many' is no whole number"),
        ("UPDATE manifest SET value = 'true' WHERE key = 'overlap'", "overlap: True is no whole number"),
        ("UPDATE manifest SET value = '3' WHERE key = 'model'", "model: 3 is no text"),
        ("UPDATE manifest SET value = '{' WHERE key = 'overlap'", "manifest cannot be read"),
        ("UPDATE manifest SET value = '65' WHERE key = 'dimension'", "the manifest was changed"),
        ("INSERT INTO manifest VALUES ('other', '1')", "other"),
        ("DELETE FROM state", "state"),
        ("DROP TABLE manifest", "no such table"),
        ("DROP TABLE documents", "no such table"),
        ("DROP TABLE fulltext", "no such table"),
        ("DELETE FROM segments WHERE id = 1", "segments"),
        ("UPDATE segments SET digest = 7", "segments"),
        ("UPDATE fulltext_data SET block = zeroblob(length(block)) WHERE id > 10", "full text"),
        ("DELETE FROM fulltext_docsize WHERE id = 7", "full text"),
        ("UPDATE documents SET metadata = '{}'", "document"),
        ("UPDATE documents SET key = '無'", "document"),
        ("DELETE FROM documents WHERE id > 5", "full text"),
        ("UPDATE chunks SET text = '嘘。'", "passage"),
        ("UPDATE chunks SET start = start + 1", "passage"),
        ("UPDATE chunks SET document = 9", "passage"),
        ("UPDATE roots SET label = '嘘'", "segments"),
    ],
)
def test_a_changed_catalogue_is_one_error(whole, models, embedder, sql, message):
    db = sqlite3.connect(whole / NAME)
    with db:
        db.execute(sql.replace("SET document = 9", "SET document = 9, ordinal = id"))
    db.close()
    with pytest.raises(JnlpError, match=message):
        answers(whole, models)
    with contextlib.suppress(JnlpError):
        build(whole, documents()[1:2], embedder, model="pairs")
    with contextlib.suppress(JnlpError):
        assert verify(whole).problems != ()
    build(whole, documents(), embedder, IndexOptions(rebuild=True), model="pairs")
    assert verify(whole).problems == ()
    assert answers(whole, models)


def test_changed_vectors_are_found_where_they_are_read(whole, models, embedder):
    for file in (whole / SEGMENTS).iterdir():
        data = bytearray(file.read_bytes())
        data[HEADER + 10] ^= 1
        file.write_bytes(data)
    with pytest.raises(DamagedIndexError, match="vector of passage"):
        answers(whole, models)
    assert "the vector of passage" in verify(whole).problems[0]


@pytest.mark.parametrize(("hnsw_below", "kind"), [(1_000, "HNSW"), (0, "IVF")])
def test_a_flipped_bit_in_a_file_of_codes_or_vectors_is_found_and_mended(
    whole, right, models, embedder, monkeypatch, hnsw_below, kind
):
    monkeypatch.setattr(kinds, "LEAST", 10)
    monkeypatch.setattr(kinds, "_lists", lambda count: 2)
    build(whole, [], embedder, IndexOptions(flat_below=0, hnsw_below=hnsw_below), model="pairs")
    with Catalog.reading(whole) as catalog:
        assert [segment.kind[: len(kind)] for segment in catalog.segments()] == [kind]
    files = sorted((whole / SEGMENTS).iterdir())
    assert [file.suffix for file in files] == [".faiss", ".vectors"]
    chance = random.Random(kind)
    for number, suffix in enumerate([".faiss"] * 6 + [".vectors"] * 3):
        (file,) = (whole / SEGMENTS).glob(f"*{suffix}")
        data = bytearray(file.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        assert verify(whole).problems != (), number
        report = repair_index(whole)
        assert (verify(whole).problems, verify(whole).leftovers) == ((), ())
        if suffix == ".vectors":  # its vector is nowhere else: indexing again makes it
            assert len(report.dropped) <= 1
            build(whole, documents()[3:], embedder, model="pairs")
            build(whole, [Record("新", "新しい雨。")], embedder, model="pairs")
        else:
            assert report.dropped == ()
        assert [sorted(hits) for hits in answers(whole, models)] == [sorted(hits) for hits in right]


@pytest.mark.parametrize("place", ["segment", "segments", "file for segments", NAME, "catalog.sum", "rebuild"])
def test_a_folder_in_place_of_a_file(whole, right, models, embedder, place):
    path = {"segment": min((whole / SEGMENTS).iterdir()), "segments": whole / SEGMENTS}.get(place, whole / place)
    if place == "file for segments":
        shutil.rmtree(whole / SEGMENTS)
        (whole / SEGMENTS).write_bytes(b"")
    elif place == "segments":
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
        path.mkdir()
        (path / "x").touch()
    if place == NAME:
        for ending in ("-wal", "-shm"):
            (whole / f"{NAME}{ending}").unlink(missing_ok=True)
        for work in (lambda: answers(whole, models), lambda: verify(whole), lambda: repair_index(whole)):
            with pytest.raises(DamagedIndexError, match="is a folder"):
                work()
        build(whole, documents(), embedder, IndexOptions(rebuild=True), model="pairs")
    else:
        if "segment" in place:
            with pytest.raises(DamagedIndexError, match=r"is missing|is a folder"):
                answers(whole, models)
        else:
            assert answers(whole, models) == right
        assert verify(whole).problems or verify(whole).leftovers
        build(whole, documents()[3:], embedder, model="pairs")
        build(whole, [Record("新", "新しい雨。")], embedder, model="pairs")
        assert [sorted(hits) for hits in answers(whole, models)] == [sorted(hits) for hits in right]
    assert verify(whole).problems == verify(whole).leftovers == ()


def test_a_repair_names_what_it_drops_and_indexing_again_brings_it_back(whole, right, models, embedder):
    db = sqlite3.connect(whole / NAME)
    with db:
        db.execute("UPDATE chunks SET text = '嘘。' WHERE document = (SELECT id FROM documents WHERE key = '07')")
        db.execute("DELETE FROM fulltext_docsize WHERE id IN (20, 21)")
    db.close()
    embedder.embedded.clear()
    report = repair_index(whole)
    assert (report.documents, report.dropped) == (27, ("07.txt#07",))
    assert embedder.embedded == []
    assert verify(whole).problems == ()
    with open_index(whole, models) as index:
        assert index.search("第7話", retriever="lexical", per_document=0) == [
            hit for hit in index.search("第7話", retriever="lexical", per_document=0) if hit.document != "07"
        ]
    assert build(whole, documents()[3:], embedder, model="pairs").added == 1
    assert [sorted(hits) for hits in answers(whole, models)] == [sorted(hits) for hits in right]


def test_an_emptied_catalogue_is_not_a_new_index(whole, models, embedder):
    (whole / NAME).write_bytes(b"")
    for work in (lambda: answers(whole, models), lambda: build(whole, documents(), embedder, model="pairs")):
        with pytest.raises(DamagedIndexError, match="is empty"):
            work()


def test_an_index_of_before_is_made_again_by_one_command(whole, models, embedder):
    db = sqlite3.connect(whole / NAME)
    db.executescript("PRAGMA user_version = 1; DROP TABLE state; ALTER TABLE documents RENAME TO old;")
    db.close()
    for work in (lambda: answers(whole, models), lambda: verify(whole)):
        with pytest.raises(JnlpError, match="index format 1") as raised:
            work()
        assert "--rebuild" in str(raised.value.hint)
    build(whole, documents(), embedder, IndexOptions(rebuild=True), model="pairs")
    assert verify(whole).problems == ()


def test_what_is_no_index_is_not_rebuilt(tmp_path, embedder):
    (tmp_path / NAME).write_text("これは索引ではありません。" * 100, encoding="utf-8")
    other = tmp_path / "other"
    other.mkdir()
    with sqlite3.connect(other / NAME) as db:
        db.execute("CREATE TABLE customers (name TEXT)")
    db.close()
    for folder in (tmp_path, other):
        before = (folder / NAME).read_bytes()
        with pytest.raises(JnlpError):
            build(folder, documents(), embedder, IndexOptions(rebuild=True), model="pairs")
        assert (folder / NAME).read_bytes() == before


def test_commits_that_only_the_log_holds_are_read_or_refused(embedder, models):
    """On read-only media a log without its shared memory cannot be read: the rest must not answer for it."""
    with tempfile.TemporaryDirectory() as place:
        folder, copy = Path(place) / "i", Path(place) / "copy"
        build(folder, documents()[:6], embedder, model="pairs")
        with Catalog.writing(folder) as held, held.transaction():
            pass
        held = Catalog.writing(folder)
        with held.transaction():
            held.db.execute("UPDATE documents SET title = 'x'")
        copy.mkdir()
        for path in (NAME, f"{NAME}-wal"):  # as a copy of a killed writer's folder: no -shm
            shutil.copyfile(folder / path, copy / path)
        shutil.copytree(folder / SEGMENTS, copy / SEGMENTS)
        held.close()
        assert (copy / f"{NAME}-wal").stat().st_size > 0
        Path(place).chmod(0o755)
        for path in (*copy.rglob("*"), copy):
            path.chmod(0o555 if path.is_dir() else 0o444)
        code = (
            "import os, sys; from pathlib import Path; from jnlp_search.search import open_index\n"
            "from jnlp.errors import JnlpError\n"
            "import jnlp_search.analyse\n"
            "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try:\n"
            "    open_index(Path(sys.argv[1]), None)\n"
            "except JnlpError as error: print(error.message)\n"
        )
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code, str(copy)], capture_output=True, text=True, env=env, check=False
        )
        copy.chmod(0o755)
    assert "its last commits are in catalog.sqlite-wal" in done.stdout
    assert done.stderr == ""


def test_the_commands_check_and_repair(runner, whole, models, monkeypatch):
    from jnlp.cli import build_cli
    from jnlp.engine import Engine
    from jnlp.plugins import import_candidate, load_plugins

    monkeypatch.setattr(Engine, "models", lambda *_: models)
    monkeypatch.chdir(whole.parent)
    cli = build_cli(load_plugins([import_candidate("search", "jnlp_search")]))

    def run(*words: str) -> tuple[int, str, str]:
        done = runner.invoke(cli, words, prog_name="jnlp", catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    assert run("index", "verify", "i") == (0, "i: 28 documents and 28 passages, all whole\n", "")
    db = sqlite3.connect(whole / NAME)
    with db:
        db.execute("UPDATE documents SET title = '嘘' WHERE key = '07'")
    db.close()
    status, out, err = run("index", "verify", "i")
    assert (status, "document 8 was changed (07.txt07)" in out, "repair i" in err) == (1, True, True)
    status, out, err = run("search", "i", "第7話", "--retriever", "lexical")
    assert (status, out) == (1, "")
    assert err.startswith("jnlp: error: i is damaged: document 8 was changed")
    status, out, err = run("index", "repair", "i")
    assert (status, out) == (0, "i: dropped 07.txt#07\ni: 27 documents kept, 1 dropped\n")
    assert run("index", "verify", "i")[0] == 0
    assert json.loads(run("index", "info", "i")[1])["documents"] == 27
