"""An update reads the files that may have changed since they were read, and no others."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from generations import content

from jnlp.cli import build_cli
from jnlp.engine import Engine
from jnlp.io.reading import readers
from jnlp.plugins import import_candidate, load_plugins
from jnlp.types import Record, Source
from jnlp_search import Index, files
from jnlp_search.store.catalog import Catalog


@pytest.fixture
def reads(monkeypatch, tmp_path):
    """The names of the files that were read since it was cleared."""
    found = []
    counted = readers._counted

    def counting(item, *args):
        found.append(item.path.name)
        return counted(item, *args)

    monkeypatch.setattr(readers, "_counted", counting)
    monkeypatch.setattr(files, "TICK", -(10**18))  # the files of a test are new
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture
def docs(tmp_path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(4):
        (docs / f"{number}.txt").write_text(f"第{number}の文書。", encoding="utf-8")
    (docs / "rows.csv").write_text("id,text,本文\na,猫がいる。,犬\nb,海が見える。,山\n", encoding="utf-8")
    return docs


@pytest.fixture(params=[1, 3])
def index(request, tmp_path, docs, engine, reads):
    with Index.open(tmp_path / "i", engine) as opened:
        assert opened.add(["docs"], shards=request.param).added == 6
        assert sorted(reads) == ["0.txt", "1.txt", "2.txt", "3.txt", "rows.csv"]
        reads.clear()
        yield opened


def numbers(report) -> tuple[int, ...]:
    return report.added, report.updated, report.unchanged, report.removed, report.failed


def test_unchanged_files_are_not_read(index, docs, reads):
    assert numbers(index.add(["docs"])) == (0, 0, 6, 0, 0)
    assert numbers(index.update()) == (0, 0, 6, 0, 0)
    assert numbers(index.add(["docs", "docs/rows.csv", str(docs)])) == (0, 0, 6, 0, 0)
    assert reads == []
    assert index.verify().problems == ()
    assert numbers(index.add(["docs"], check=True)) == (0, 0, 6, 0, 0)
    assert len(reads) == 5
    reads.clear()
    assert numbers(index.update()) == (0, 0, 6, 0, 0)
    assert reads == []


def test_changed_new_and_deleted_files(index, docs, reads):
    (docs / "1.txt").write_text("改訂した。", encoding="utf-8")
    (docs / "2.txt").unlink()
    (docs / "new.txt").write_text("新しい。", encoding="utf-8")
    assert numbers(index.add(["docs"])) == (1, 1, 4, 1, 0)
    assert sorted(reads) == ["1.txt", "new.txt"]
    reads.clear()
    assert numbers(index.update()) == (0, 0, 6, 0, 0)
    assert reads == []


def test_a_file_of_the_same_size_and_time_with_other_text_is_read(index, docs, reads):
    about = (docs / "0.txt").stat()
    (docs / "0.txt").write_text("第九の文書。"[: len("第0の文書。")].replace("九", "9"), encoding="utf-8")
    os.utime(docs / "0.txt", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert (docs / "0.txt").stat().st_size == about.st_size
    assert numbers(index.update()) == (0, 1, 5, 0, 0)
    assert reads == ["0.txt"]


def test_a_file_that_takes_the_place_of_another_is_read(index, docs, reads):
    """Same size, same times, another file: `mv` keeps both."""
    shutil.copy2(docs / "0.txt", docs / "copy")
    (docs / "copy").write_text("第7の文書。", encoding="utf-8")
    about = (docs / "0.txt").stat()
    os.utime(docs / "copy", ns=(about.st_atime_ns, about.st_mtime_ns))
    (docs / "copy").replace(docs / "0.txt")
    assert index.update().updated == 1
    assert reads == ["0.txt"]


def test_a_file_changed_within_a_tick_is_read_again(index, docs, reads, monkeypatch):
    monkeypatch.setattr(files, "TICK", 10**10)
    (docs / "1.txt").write_text("改訂した。", encoding="utf-8")
    for _ in range(2):
        assert index.update().documents == 6
        assert reads == ["1.txt"]
        reads.clear()
    later = time.time_ns() + 10**11
    monkeypatch.setattr(files.time, "time_ns", lambda: later)
    index.update()
    reads.clear()
    index.update()
    assert reads == []


def test_another_way_of_reading_reads_all(index, reads):
    assert index.add(["docs"], read={"text": "本文"}).updated == 2
    assert len(reads) == 5
    reads.clear()
    assert numbers(index.update()) == (0, 0, 6, 0, 0)
    assert reads == []


def test_what_is_not_in_the_index_any_more_is_read(index, docs, reads):
    assert index.remove("a") == 1
    assert numbers(index.update()) == (1, 0, 5, 0, 0)
    assert reads == ["rows.csv"]
    reads.clear()
    path = str(docs / "2.txt")
    assert index.add([Record(path, "別の文。", {}, Source(path))]).updated == 1
    assert numbers(index.update()) == (0, 1, 5, 0, 0)
    assert reads == ["2.txt"]


def test_files_that_failed_are_read_again(index, docs, reads):
    (docs / "bad.csv").write_text("id,text\nx,一。\nx,二。\n", encoding="utf-8")
    for _ in range(2):
        failed = []
        report = index.add(["docs"], on_failed=failed.append)
        assert report.failed == len(failed) == 1
        assert reads == ["bad.csv"]
        reads.clear()


def test_a_rebuild_reads_all_and_is_remembered(index, reads):
    assert index.add(["docs"], rebuild=True).added == 6
    assert len(reads) == 5
    reads.clear()
    assert numbers(index.update()) == (0, 0, 6, 0, 0)
    assert reads == []
    before = content(index.path)
    assert index.repair().documents == 6
    assert numbers(index.update()) == (0, 0, 6, 0, 0)
    assert content(index.path) == before


def test_a_link_to_another_file_is_read(index, docs, reads, tmp_path):
    for name, text in (("x", "一つ目。"), ("y", "二つ目。")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        os.utime(tmp_path / name, ns=(1, 1))
    (docs / "0.txt").unlink()
    (docs / "0.txt").hardlink_to(tmp_path / "x")
    assert index.update().updated == 1
    (docs / "0.txt").unlink()
    (docs / "0.txt").hardlink_to(tmp_path / "y")
    assert index.update().updated == 1
    assert reads == ["0.txt", "0.txt"]


def test_an_index_without_the_table_gets_it(index, reads, tmp_path):
    folder = tmp_path / "i"
    if not (folder / "catalog.sqlite").exists():
        pytest.skip("one is enough")
    with Catalog.writing(folder) as catalog, catalog.transaction():
        catalog.db.execute("DROP TABLE files")
    assert numbers(index.update()) == (0, 0, 6, 0, 0)
    assert len(reads) == 5
    reads.clear()
    index.update()
    assert reads == []


def test_the_command(index, runner, models, monkeypatch, reads):
    monkeypatch.setattr(Engine, "models", lambda *_: models)
    cli = build_cli(load_plugins([import_candidate("search", "jnlp_search")]))

    def run(*words):
        done = runner.invoke(cli, words, prog_name="jnlp", catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "6 unchanged" in run("index", "docs", "--index", "i")
    assert "6 unchanged" in run("index", "--index", "i")
    assert reads == []
    assert "6 unchanged" in run("index", "docs", "--index", "i", "--check")
    assert len(reads) == 5
