"""Whatever is killed wherever, an index opens at its last commit, and building again ends where a clean build does."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from crasher import Changer
from generations import content, documents

from jnlp.errors import JnlpError
from jnlp.io import OutputEncoding, durable
from jnlp.io import documents as read_documents
from jnlp.types import Record
from jnlp_search import builder, settings
from jnlp_search.build import build, delete, repair_index
from jnlp_search.compact import compact
from jnlp_search.export import export
from jnlp_search.offsets import IndexWords
from jnlp_search.options import IndexOptions
from jnlp_search.search import open_index
from jnlp_search.store.catalog import SEGMENTS, Catalog
from jnlp_search.store.checks import DamagedIndexError
from jnlp_search.store.schema import FORMAT, UPGRADED
from jnlp_search.store.verify import verify


@pytest.fixture(scope="module")
def change():
    """The process that changes indexes, each in a fork."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    made = Changer()
    yield made
    made.close()


def steps_of(change: Changer, how: str, folder: Path, start: Path) -> int:
    """Return the number of places to die in a change of a copy of an index: SQL statements, writes, syncs, renames."""
    shutil.copytree(start, folder)
    done = change(how, folder)
    assert (done["code"], done["error"]) == (0, None)
    assert verify(folder).problems == verify(folder).leftovers == ()
    return int(done["steps"])


def kill(change: Changer, how: str, folder: Path, stop: int) -> None:
    assert change(how, folder, stop)["code"] == -signal.SIGKILL


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    """An index of the first generation."""
    folder = tmp_path_factory.mktemp("first") / "i"
    build(folder, documents(1), _embedder(), model="pairs")
    return folder


def _embedder():
    file = Path(__file__).parent / "conftest.py"
    namespace: dict[str, object] = {"__name__": "child", "__file__": str(file)}
    source = file.read_text(encoding="utf-8")
    exec(compile(source, "conftest.py", "exec"), namespace)
    return namespace["PairEmbedder"]()


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> dict[str, list[tuple[object, ...]]]:
    """What a clean build of the second generation holds."""
    folder = tmp_path_factory.mktemp("clean") / "i"
    build(folder, documents(2), _embedder(), model="pairs")
    return content(folder)


@pytest.fixture(scope="module")
def steps(change, tmp_path_factory, first) -> int:
    """The number of places to die in an update from the first generation to the second."""
    return steps_of(change, "update", tmp_path_factory.mktemp("update") / "i", first)


def killed(change: Changer, folder: Path, first: Path, stop: int, clean, embedder, models) -> None:
    shutil.copytree(first, folder)
    kill(change, "update", folder, stop)
    assert verify(folder).problems == ()
    with open_index(folder, models) as index:
        assert len(index.search("雨", retriever="lexical", top=100)) == len(
            {t[4] for rows in content(folder).values() for t in rows if "雨" in str(t[4])}
        )
        assert len(index.search("雨が降る", retriever="dense", top=100)) > 0
    build(folder, documents(2), embedder, model="pairs", sources=["/文書"])
    assert content(folder) == clean
    after = verify(folder)
    assert (after.problems, after.leftovers) == ((), ())


@pytest.mark.parametrize("share", [0.15, 0.4, 0.65, 0.97])
def test_kill_during_an_update(change, tmp_path, first, steps, share, clean, embedder, models):
    killed(change, tmp_path / "i", first, int(steps * share), clean, embedder, models)


@pytest.fixture(scope="module")
def rebuild_steps(change, tmp_path_factory, first) -> int:
    """The number of places to die in a rebuild."""
    return steps_of(change, "rebuild", tmp_path_factory.mktemp("rebuild") / "i", first)


def killed_rebuild(change: Changer, folder: Path, first: Path, stop: int, clean, embedder) -> None:
    shutil.copytree(first, folder)
    before = content(folder)
    kill(change, "rebuild", folder, stop)
    assert content(folder) in (before, clean)
    assert verify(folder).problems == ()
    build(folder, documents(2), embedder, IndexOptions(rebuild=True), model="pairs")
    assert content(folder) == clean
    after = verify(folder)
    assert (after.problems, after.leftovers) == ((), ())


@pytest.mark.parametrize("back", [0.6, 0.2, 20, 4])
def test_kill_during_a_rebuild(change, tmp_path, first, rebuild_steps, back, clean, embedder):
    """Early, late, and in the last steps, where the new index takes the old one's place."""
    stop = int(rebuild_steps * (1 - back)) if back < 1 else rebuild_steps - back
    killed_rebuild(change, tmp_path / "i", first, stop, clean, embedder)


@pytest.fixture(scope="module")
def worn(tmp_path_factory) -> Path:
    """An index of several segments with tombstones in each, not enough for an update to rewrite them."""
    folder = tmp_path_factory.mktemp("worn") / "i"
    for part in (documents(1)[:10], documents(1)[10:]):
        build(folder, part, _embedder(), model="pairs")
    delete(folder, ["03.txt", "05.txt", "14.txt"])
    return folder


@pytest.fixture(scope="module")
def compact_steps(change, tmp_path_factory, worn) -> int:
    """The number of places to die in a compaction."""
    return steps_of(change, "compact", tmp_path_factory.mktemp("compact") / "i", worn)


def answers(folder: Path, models) -> list[object]:
    with open_index(folder, models) as index:
        return [index.search("花の話と雨", retriever=how, top=50) for how in ("lexical", "dense", "hybrid")]


def killed_compaction(change: Changer, folder: Path, worn: Path, stop: int, models) -> None:
    shutil.copytree(worn, folder)
    before, found = content(folder), answers(folder, models)
    kill(change, "compact", folder, stop)
    assert verify(folder).problems == ()
    assert (content(folder), answers(folder, models)) == (before, found)
    compact(folder)
    after = verify(folder)
    assert (after.problems, after.leftovers) == ((), ())
    assert (after.counts["segments"], after.counts["tombstones"]) == (1, 0)
    assert (content(folder), answers(folder, models)) == (before, found)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.8, 0.99])
def test_kill_during_a_compaction(change, tmp_path, worn, compact_steps, share, models):
    killed_compaction(change, tmp_path / "i", worn, int(compact_steps * share), models)


@pytest.fixture(scope="module")
def kind_steps(change, tmp_path_factory, worn) -> int:
    """The number of places to die in a change of the kind of the vector index."""
    folder = tmp_path_factory.mktemp("kind") / "i"
    steps = steps_of(change, "kind", folder, worn)
    assert _kinds(folder) == ["HNSW16,SQ8"]
    return steps


def _kinds(folder: Path) -> list[str]:
    with Catalog.reading(folder) as catalog:
        return [segment.kind for segment in catalog.segments()]


def killed_kind_change(change: Changer, folder: Path, worn: Path, stop: int, models, embedder) -> None:
    shutil.copytree(worn, folder)
    before, found = content(folder), answers(folder, models)
    kill(change, "kind", folder, stop)
    assert verify(folder).problems == ()
    assert (content(folder), answers(folder, models)) == (before, found)
    build(folder, [], embedder, IndexOptions(flat_below=0, hnsw_below=20), model="pairs")
    after = verify(folder)
    assert (after.problems, after.leftovers) == ((), ())
    assert _kinds(folder) == ["HNSW16,SQ8"]
    assert (content(folder), answers(folder, models)) == (before, found)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.85, 0.99])
def test_kill_during_a_change_of_the_kind(change, tmp_path, worn, kind_steps, share, models, embedder):
    killed_kind_change(change, tmp_path / "i", worn, int(kind_steps * share), models, embedder)


def test_compacting_leaves_answers_as_they_are_for_open_readers_too(tmp_path, worn, models):
    folder = tmp_path / "i"
    shutil.copytree(worn, folder)
    before, found = content(folder), answers(folder, models)
    assert verify(folder).counts["tombstones"] == 3
    assert verify(folder).counts["segments"] == 2
    with open_index(folder, models) as index:
        hits = index.search("花の話と雨", retriever="dense", top=50)
        report = compact(folder)
        assert index.search("花の話と雨", retriever="dense", top=50) == hits
    assert report.tombstones == 3
    assert report.after <= report.before
    assert (content(folder), answers(folder, models)) == (before, found)
    again = compact(folder)
    assert (again.tombstones, again.after <= report.after) == (0, True)
    build(folder, documents(1), _embedder(), model="pairs")
    assert len(content(folder)) == 20


def test_compacting_gives_the_space_of_deleted_documents_back(tmp_path):
    folder = tmp_path / "i"
    texts = [Record(str(n), f"第{n}話　" + "山川海空花鳥風月" * 200) for n in range(30)]
    build(folder, texts, _embedder(), model="pairs")
    whole = compact(folder).after
    delete(folder, [str(n) for n in range(3, 30)])
    report = compact(folder)
    assert report.after < whole / 2
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.endswith("-shm")]
    assert report.after == sum(file.stat().st_size for file in files)


def test_the_old_index_answers_until_the_new_one_is_whole(tmp_path, first, embedder, models):
    folder = tmp_path / "i"
    shutil.copytree(first, folder)
    before = content(folder)
    with open_index(folder, models) as index:

        def stream():
            yield from documents(2)[:10]
            assert len(index.search("雨", retriever="lexical", top=50)) == 20
            yield from documents(2)[10:]

        build(folder, stream(), embedder, IndexOptions(rebuild=True), model="pairs")
        assert len(index.search("雨", retriever="lexical", top=50)) == 22
        assert len(index.search("雨が降る", retriever="dense", top=50)) == 22

    def interrupted():
        yield from documents(1)[:3]
        raise KeyboardInterrupt

    shutil.rmtree(folder)
    shutil.copytree(first, folder)
    with pytest.raises(KeyboardInterrupt):
        build(folder, interrupted(), embedder, IndexOptions(rebuild=True), model="pairs")
    assert content(folder) == before
    assert verify(folder).leftovers == ("rebuild",)
    build(folder, documents(1), embedder, model="pairs")
    assert (content(folder), verify(folder).leftovers) == (before, ())


@pytest.mark.parametrize("stop", [1, 3, 12])
def test_kill_during_the_first_build(change, tmp_path, stop, clean, embedder):
    kill(change, "update", tmp_path / "i", stop)
    build(tmp_path / "i", documents(2), embedder, model="pairs")
    assert content(tmp_path / "i") == clean


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_a_segment_file_is_made_again(tmp_path, first, damage, embedder, models):
    folder = tmp_path / "i"
    shutil.copytree(first, folder)
    before = content(folder)
    with open_index(folder, models) as index:
        whole = index.search("山の話", retriever="dense")
    (file,) = (folder / SEGMENTS).iterdir()
    data = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    else:
        data[len(data) // 2] ^= 1
        file.write_bytes(data if damage == "changed" else data[:-9])
    told = {"missing": "is missing", "cut": "wrong size", "changed": "was changed"}[damage]
    assert told in verify(folder).problems[0]
    with open_index(folder, models) as index, pytest.raises(DamagedIndexError, match=told):
        index.search("山の話", retriever="dense")
    embedder.embedded.clear()
    with pytest.raises(DamagedIndexError, match=told):
        compact(folder)  # has no model
    build(folder, [], embedder, model="pairs")
    texts = {row[4] for rows in before.values() for row in rows}
    assert set(embedder.embedded) <= texts  # from the catalogue: no file is read
    assert len(embedder.embedded) == (1 if damage == "changed" else len(texts))
    assert content(folder) == before
    assert verify(folder).problems == ()
    with open_index(folder, models) as index:
        assert index.search("山の話", retriever="dense") == whole


def test_verify_sees_what_is_missing(tmp_path, first):
    folder = tmp_path / "i"
    shutil.copytree(first, folder)
    (folder / SEGMENTS / "000099.faiss").write_bytes(b"")
    assert verify(folder).leftovers == ("000099.faiss",)
    with Catalog.writing(folder) as catalog:
        catalog.db.execute("PRAGMA foreign_keys = OFF")
        catalog.db.execute("DELETE FROM fulltext_docsize WHERE id IN (4, 5)")
        catalog.db.execute("INSERT INTO tombstones VALUES (999)")
        catalog.db.execute("DELETE FROM documents WHERE id = 1")
    problems = verify(folder).problems
    for expected in (
        "catalogue: a row of chunks refers to a missing row",
        "chunks without full text: 2",
        "deleted chunks that are in no segment: 1",
    ):
        assert expected in problems


def test_words_that_are_found_in_another_way_do_not_damage_the_full_text(tmp_path, worn, models, monkeypatch):
    """The full text keeps no words: what is deleted must be what was inserted, or SQLite's index would be malformed."""
    folder = tmp_path / "i"
    shutil.copytree(worn, folder)
    monkeypatch.setattr(
        settings, "index_words", lambda _, text, *__: IndexWords(" ".join(text))
    )  # a rule that nobody numbered
    delete(folder, ["07.txt"])
    assert verify(folder).problems == ()
    assert {word for rows in content(folder).values() for row in rows for _, word in row[-1]} >= {"話", "雨", "。"}
    monkeypatch.undo()
    delete(folder, ["08.txt"])
    assert verify(folder).problems == ()
    with open_index(folder, models) as index:
        assert len(index.search("雨", retriever="lexical", top=50)) == 15


def test_what_is_not_an_index_is_left_alone(tmp_path, embedder, models):
    other = tmp_path / "other"
    other.mkdir()
    with sqlite3.connect(other / "catalog.sqlite") as db:
        db.execute("CREATE TABLE customers (name TEXT)")
    db.close()
    text = tmp_path / "text"
    text.mkdir()
    (text / "catalog.sqlite").write_text("これは索引ではありません。" * 100, encoding="utf-8")
    for folder, message in [(other, "is not an index of jnlp"), (text, "cannot be read")]:
        before = (folder / "catalog.sqlite").read_bytes()
        with pytest.raises(JnlpError, match=message):
            open_index(folder, models)
        with pytest.raises(JnlpError, match=message):
            build(folder, documents(1), embedder, model="pairs")
        assert (folder / "catalog.sqlite").read_bytes() == before


def test_damage_within_the_catalogue_is_one_line(tmp_path, first, embedder, models):
    folder = tmp_path / "i"
    shutil.copytree(first, folder)
    data = bytearray((folder / "catalog.sqlite").read_bytes())
    with sqlite3.connect(folder / "catalog.sqlite") as db:
        (size,), (count,) = db.execute("PRAGMA page_size").fetchone(), db.execute("PRAGMA page_count").fetchone()
    db.close()
    for page in range(2, count):  # the first two pages say what the file is
        data[page * size : page * size + 64] = b"\xff" * 64
    (folder / "catalog.sqlite").write_bytes(data)
    with pytest.raises(JnlpError, match=r"catalog\.sqlite cannot be read"):
        build(folder, documents(1), embedder, model="pairs")
    with pytest.raises(JnlpError, match=r"catalog\.sqlite cannot be read"), open_index(folder, models) as index:
        index.search("契約")


@pytest.mark.parametrize("version", [1, UPGRADED - 1, FORMAT + 1])
def test_an_index_of_another_format_is_refused(tmp_path, first, models, version):
    folder = tmp_path / "i"
    shutil.copytree(first, folder)
    with sqlite3.connect(folder / "catalog.sqlite") as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    works = [
        lambda: open_index(folder, models),
        lambda: verify(folder),
        lambda: compact(folder),
        lambda: repair_index(folder),
        lambda: delete(folder, ["03.txt"]),
        lambda: build(folder, documents(1), _embedder(), model="pairs"),
        lambda: export(folder, tmp_path / "x.jsonl", form=None, encoding=OutputEncoding.UTF_8),
    ]
    for work in works:
        with pytest.raises(JnlpError, match=f"index format {version}, this jnlp reads {FORMAT}") as raised:
            work()
        assert f"jnlp index /文書 --index {folder} --model pairs --rebuild" in raised.value.hint
        assert ("--upgrade" in raised.value.hint) == (version > FORMAT)


def test_the_command_for_another_format_names_what_was_indexed(tmp_path, embedder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("文書/猫.txt", "文書/犬.txt", "my docs/a.txt", "my docs/b.txt", "他/契約.txt", "他/別.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("猫がいる。", encoding="utf-8")
    sources = ["文書", "my docs", "他/契約.txt"]
    build(Path("my.idx"), read_documents(sources), embedder, model="pairs", sources=sources)
    with sqlite3.connect("my.idx/catalog.sqlite") as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    again = "jnlp index 文書 'my docs' 他/契約.txt --index {} --model pairs --rebuild"
    with pytest.raises(JnlpError) as raised:
        verify(Path("my.idx"))
    assert again.format("my.idx") in raised.value.hint
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    with pytest.raises(JnlpError) as raised:
        verify(Path("../my.idx"))
    assert f"jnlp index {tmp_path}/文書 '{tmp_path}/my docs' {tmp_path}/他/契約.txt --index" in raised.value.hint


def test_an_index_in_a_folder_without_write_permission_is_searched(first):
    """In a child that gives up root, on a folder that it may only read."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "i"
        shutil.copytree(first, folder)
        Path(place).chmod(0o755)
        for path in (*folder.rglob("*"), folder):
            path.chmod(0o555 if path.is_dir() else 0o444)
        code = (
            "import os, sys; from pathlib import Path; from jnlp_search.search import open_index\n"
            "how = {'retriever': 'lexical', 'top': 50}\n"
            "open_index(Path(sys.argv[2]), None).search('雨', **how)\n"  # imports what nobody may not read
            "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "assert not os.access(sys.argv[1], os.W_OK)\n"
            "with open_index(Path(sys.argv[1]), None) as index: print(len(index.search('雨', **how)))"
        )
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder), str(first)], capture_output=True, text=True, env=env, check=False
        )
        folder.chmod(0o755)
    assert (done.stdout, done.stderr) == ("20\n", "")


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, worn, monkeypatch, embedder, models):
    folder = tmp_path / "i"
    shutil.copytree(worn, folder)
    before = content(folder)

    def full(_path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable, "sync_folder", full)
    with pytest.raises(JnlpError, match="i cannot be written: No space left on device"):
        build(folder, documents(2), embedder, model="pairs", sources=["/文書"])
    with pytest.raises(JnlpError, match="i cannot be written: No space left on device"):
        compact(folder)
    monkeypatch.undo()
    assert content(folder) == before
    assert verify(folder).problems == ()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(JnlpError, match="cannot be written: "):
        build(file / "i", documents(2), embedder, model="pairs")


def test_an_interrupted_build_goes_on(tmp_path, monkeypatch, clean, embedder):
    monkeypatch.setattr(builder, "BATCH_CHUNKS", 6)

    def interrupted():
        yield from documents(2)[:18]  # the last batch of them is lost
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        build(tmp_path, interrupted(), embedder, model="pairs")
    assert raised.value.__notes__ == [f"{tmp_path} has the documents indexed so far; run the same command to continue"]
    held = len(content(tmp_path))
    assert 0 < held < 18
    report = build(tmp_path, documents(2), embedder, model="pairs")
    assert (report.added, report.unchanged) == (22 - held, held)
    assert content(tmp_path) == clean
