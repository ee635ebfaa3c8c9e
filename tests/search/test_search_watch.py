"""`jnlp index watch`: real files change, and the index follows."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jnlp.cli import build_cli
from jnlp.engine import Engine
from jnlp.errors import JnlpError, MissingExtraError, UsageError
from jnlp.io.reading.inputs import Input
from jnlp.plugins import import_candidate, load_plugins
from jnlp_search import Index
from jnlp_search.store.lock import writer_lock
from jnlp_search.watch import _counts

pytest.importorskip("watchfiles")


@pytest.fixture
def docs(tmp_path) -> Path:
    folder = tmp_path / "文書"
    folder.mkdir()
    (folder / "猫.txt").write_text("吾輩は猫である。", encoding="utf-8")
    return folder


@pytest.fixture
def stop():
    """An event that is set after a while, so that no test waits for ever."""
    event = threading.Event()
    timer = threading.Timer(30, event.set)
    timer.start()
    yield event
    timer.cancel()


def changed(report) -> tuple[int, int, int]:
    return report.added, report.updated, report.removed


def test_an_index_follows_its_folder(engine, docs, stop):
    place = docs / "my.idx"  # within the folder: its own files are no change
    with Index.open(place, engine) as index:
        reports = index.watch(docs, debounce=0.2, stop=stop)
        assert changed(next(reports)) == (1, 0, 0)
        (docs / "部").mkdir()
        (docs / "部" / "犬.txt").write_text("犬も歩けば棒に当たる。", encoding="utf-8")
        assert changed(next(reports)) == (1, 0, 0)
        assert index.search("犬", retriever="lexical")[0].path == f"{docs}/部/犬.txt"
        (docs / "猫.txt").write_text("名前はまだ無い。", encoding="utf-8")
        assert changed(next(reports)) == (0, 1, 0)
        (docs / "部" / "犬.txt").rename(docs / "山.txt")
        assert changed(next(reports)) == (1, 0, 1)
        (docs / "山.txt").unlink()
        assert changed(next(reports)) == (0, 0, 1)
        (docs / ".隠し.txt").write_text("隠した文書。", encoding="utf-8")
        threading.Timer(0.8, stop.set).start()
        assert list(reports) == []
        assert index.verify().problems == ()


def test_an_update_reads_the_files_that_changed(engine, docs, tmp_path, stop, monkeypatch):
    (docs / "犬.txt").write_text("犬も歩けば棒に当たる。", encoding="utf-8")
    (docs / "部").mkdir()
    (docs / "部" / "海.txt").write_text("海は広い。", encoding="utf-8")
    (docs / "別名.txt").symlink_to(docs / "犬.txt")
    opened: list[str] = []
    read = Input.open
    monkeypatch.setattr(Input, "open", lambda one: opened.append(one.path.name) or read(one))
    with Index.open(tmp_path / "my.idx", engine) as index:
        reports = index.watch(docs, debounce=0.2, stop=stop)
        assert next(reports).added == 4
        opened.clear()
        (docs / "猫.txt").write_text("名前はまだ無い。", encoding="utf-8")
        report = next(reports)
        assert (changed(report), report.unchanged) == ((0, 1, 0), 1)
        assert set(opened) == {"猫.txt", "別名.txt"}  # what a link leads to may have changed
        (docs / ".gitignore").write_text("部/\n", encoding="utf-8")
        assert changed(next(reports)) == (0, 0, 1)
        assert {place.document for place in index.documents()} == {f"{docs}/{n}.txt" for n in ("猫", "犬", "別名")}


def change_at_random(docs: Path, chance: random.Random) -> None:
    """Write, delete, move or rename a file or a folder."""
    files = sorted(path for path in docs.rglob("*.txt"))
    folders = sorted(path for path in docs.rglob("*") if path.is_dir())
    name = f"{chance.randrange(10**6)}"
    match chance.randrange(6):
        case 0 if files:
            chance.choice(files).unlink()
        case 1 if files:
            chance.choice(files).rename(chance.choice([docs, *folders]) / f"{name}.txt")
        case 2 if folders:
            chance.choice(folders).rename(docs / name)
        case 3 if folders:
            shutil.rmtree(chance.choice(folders))
        case 4 if files:
            chance.choice(files).write_text(f"改めた{name}。", encoding="utf-8")
        case _:
            folder = chance.choice([docs / name, docs / name / "内", *folders])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.txt").write_text(f"新しい{name}。", encoding="utf-8")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
def test_updates_of_what_changed_end_as_an_update_of_all(engine, docs, tmp_path, stop, seed):
    chance = random.Random(seed)
    for _ in range(8):
        change_at_random(docs, chance)
    with Index.open(tmp_path / "my.idx", engine) as index:
        reports = index.watch(docs, debounce=0.1, stop=stop)
        next(reports)
        for _ in range(6):
            for _ in range(chance.randint(1, 4)):
                change_at_random(docs, chance)
            (docs / "時.txt").write_text(f"{chance.random()}。", encoding="utf-8")  # so that there is an update
            wanted = {path.as_posix(): path.read_text(encoding="utf-8") for path in docs.rglob("*.txt")}
            while {place.document: index.document(place.document).text for place in index.documents()} != wanted:
                next(reports)
        assert index.verify().problems == ()
        report = index.add([docs])
        assert (changed(report), report.unchanged) == ((0, 0, 0), len(wanted))


def test_many_changes_are_one_update(engine, docs, tmp_path, stop):
    with Index.open(tmp_path / "my.idx", engine) as index:
        reports = index.watch([docs], debounce=1, stop=stop)
        next(reports)

        def write() -> None:
            for number in range(6):
                (docs / f"{number}.txt").write_text(f"第{number}の文書。", encoding="utf-8")
                time.sleep(0.05)

        writer = threading.Thread(target=write)
        writer.start()
        assert changed(next(reports)) == (6, 0, 0)
        writer.join()


def test_changes_that_never_end_do_not_keep_an_update_off(engine, docs, tmp_path, stop):
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(0.02):
            (tmp_path / "new").write_text(f"今は{time.monotonic()}である。", encoding="utf-8")
            (tmp_path / "new").replace(docs / "log.txt")  # an update never reads half of it

    with Index.open(tmp_path / "my.idx", engine) as index:
        reports = index.watch([docs], debounce=0.1, stop=stop)
        next(reports)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert changed(next(reports)) == (1, 0, 0)
        finally:
            ended.set()
            writer.join()


def test_an_update_that_another_writer_prevents_is_tried_again(engine, docs, tmp_path, stop):
    place = tmp_path / "my.idx"
    errors: list[JnlpError] = []
    with Index.open(place, engine) as index:
        reports = index.watch([docs], debounce=0.1, stop=stop, on_error=errors.append)
        next(reports)
        held = writer_lock(place)
        (docs / "犬.txt").write_text("犬も歩けば棒に当たる。", encoding="utf-8")
        threading.Timer(0.8, held.release).start()
        assert changed(next(reports)) == (1, 0, 0)
        assert errors
        reports.close()
        with writer_lock(place), pytest.raises(JnlpError, match="is being written"):
            next(index.watch([docs], debounce=0.1, stop=stop, on_error=errors.append))


def test_what_cannot_be_followed_is_refused(engine, docs, tmp_path, monkeypatch):
    index = Index.open(tmp_path / "my.idx", engine)
    for path in (docs / "猫.txt", docs / "無"):
        with pytest.raises(UsageError):
            next(index.watch([path]))
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtraError) as raised:
        next(index.watch([docs]))
    assert raised.value.extra == "watch"
    assert not (tmp_path / "my.idx").exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("docs/a.txt", True),
        ("docs/部/a.txt", True),
        ("docs/.git/index", False),
        ("docs/.a.swp", False),
        ("docs/a.csv.part", False),
        ("docs/~$a.docx", False),
        ("docs/部/.gitignore", True),
        ("docs/my.idx/catalog.sqlite-wal", False),
        ("docs/my.idx", False),
        ("docs/my.idx.txt", True),
        ("other/a.txt", False),
    ],
)
def test_which_changes_count(tmp_path, name, expected):
    top = tmp_path.resolve() / "docs"
    assert _counts(tmp_path / name, [top], top / "my.idx") is expected


def test_the_command_without_the_extra_names_it(runner, models, monkeypatch, docs, tmp_path):
    monkeypatch.setattr(Engine, "models", lambda *_: models)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    cli = build_cli(load_plugins([import_candidate("search", "jnlp_search")]))
    done = runner.invoke(cli, ["index", "watch", "文書", "--index", "my.idx"])
    assert done.exit_code == 1
    assert "jnlp[watch]" in done.stderr
    Path("watch").mkdir()
    Path("watch/a.txt").write_text("猫。", encoding="utf-8")
    assert runner.invoke(cli, ["index", "./watch", "--index", "my.idx"]).stdout.startswith("my.idx: 1 document added")


@pytest.mark.parametrize("end", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_the_command_prints_a_line_an_update_until_it_is_ended(docs, tmp_path, end):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    words = ["index", "watch", "文書", "--index", "my.idx", "--debounce", "0.1"]
    command = [sys.executable, "-m", "jnlp", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # a test run in the background ignores Ctrl-C, and its children would too
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **pipes
    ) as child:
        try:
            assert child.stdout.readline().startswith("my.idx: 1 document added, 0 updated")
            (docs / "犬.txt").write_text("犬も歩けば棒に当たる。", encoding="utf-8")
            assert child.stdout.readline().startswith("my.idx: 1 document added, 0 updated, 0 unchanged")
            child.send_signal(end)
            out, err = child.communicate(timeout=30)
        finally:
            child.kill()
    assert (child.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert "文書" in err
