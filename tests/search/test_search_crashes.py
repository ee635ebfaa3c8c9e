"""Kills at hundreds of moments of every change of an index, a full disk and a failing one at each write.

After each the index is whole and answers as of a commit, and the same command again ends where an undisturbed one does.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from crasher import Changer
from generations import content, documents, make_five

from jnlp_search.build import build, delete
from jnlp_search.options import IndexOptions
from jnlp_search.search import open_index
from jnlp_search.store.verify import verify_all

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

CALLED = ("call kill", "call kill after", "call kill within", "call ENOSPC", "call EIO")

CHANGES = ("update", "rebuild", "remove", "compact", "kind", "clusters", "watch", "upgrade", "update of format 5")

FILES = {
    f"{number:02}.txt": f"第{number}話　{'山川海空花鳥風月'[number % 8]}の話をする。終わりに雨が降る。"
    for number in range(8)
}


class Crasher:
    """The process that changes indexes, and what each change ends with where nothing disturbs it."""

    def __init__(self, folder: Path) -> None:
        self.calls = compiled(Path(__file__).with_name("failing_writes.c"), folder / "failing_writes.so")
        self._change = Changer(folder / "failing_writes.so" if self.calls else None)
        self._folder, self._places, self._ends = folder, 0, {}
        self.names: dict[tuple[str, str], list[str]] = {}

    def __call__(self, how: str, place: Path, stop: int = 0, fault: str = "kill") -> dict[str, Any]:
        if fault in CALLED and not self.calls:
            pytest.skip("counting the calls of SQLite needs Linux and a C compiler")
        return self._change(how, place / "i", stop, fault, str(place / "docs"))

    def place(self, how: str, at: Path | None = None) -> Path:
        """Return a folder with an index for a change, and files to follow."""
        self._places += 1
        place = at or self._folder / str(self._places)
        shutil.copytree(self._folder / "worn", place, dirs_exist_ok=True)
        if how in ("upgrade", "update of format 5"):
            make_five(place / "i")
        return place

    def end(self, how: str, fault: str = "kill") -> tuple[int, Any]:
        """Return the number of steps of an undisturbed change, and what the index holds afterwards."""
        key = (how, fault)
        if key not in self._ends:
            place = self.place(how)
            done = self(how, place, fault=fault)
            assert (done["code"], done["error"]) == (0, None)
            assert whole(place) == ()
            self._ends[key] = done["steps"], held_by(place)
            self.names[key] = done["calls"]
        return self._ends[key]

    def close(self) -> None:
        self._change.close()


def compiled(source: Path, library: Path) -> bool:
    """Compile the library that fails calls; return False where that cannot be."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return False
    words = ["-O1", "-shared", "-fPIC", "-w", "-o", str(library), str(source), "-ldl"]
    return subprocess.run([compiler, *words], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder in memory where there is one: a killed process leaves the same there, and no sync waits for a disk."""
    shared = Path("/dev/shm")
    if not (shared.is_dir() and os.access(shared, os.W_OK)):
        yield tmp_path_factory.mktemp("crashes")
        return
    with tempfile.TemporaryDirectory(prefix="jnlp-crashes-", dir=shared) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def crasher(memory: Path, embedders: Any) -> Any:
    made = started(memory / "whole", embedders)
    yield made
    made.close()


@pytest.fixture(scope="module")
def sharded(memory: Path, embedders: Any) -> Any:
    made = started(memory / "sharded", embedders, shards=3)
    yield made
    made.close()


def started(folder: Path, embedders: Any, shards: int = 1) -> Crasher:
    """Make an index with deleted documents, and start the process that changes copies of it."""
    worn = folder / "worn"
    (worn / "docs").mkdir(parents=True)
    for name, text in FILES.items():
        (worn / "docs" / name).write_text(text, encoding="utf-8")
    for part in (documents(1)[:10], documents(1)[10:]):
        build(worn / "i", part, embedders(), IndexOptions(shards=shards), model="pairs")
    delete(worn / "i", ["05.txt", "14.txt"])
    return Crasher(folder)


def whole(place: Path) -> tuple[str, ...]:
    return verify_all(place / "i").problems


def held_by(place: Path) -> dict[str, Any]:
    """Return what an index holds, without the metadata: the times of files differ from place to place."""
    return {name: [(*row[:7], *row[8:]) for row in rows] for name, rows in content(place / "i").items()}


def answers(place: Path, models: Any) -> list[Any]:
    with open_index(place / "i", models) as index:
        return [
            index.search(query, top=50, retriever=how) for query in ("雨が降る", "鳥") for how in ("lexical", "dense")
        ]


def disturbed(crasher: Crasher, how: str, stop: int, fault: str, models: Any, at: Path | None = None) -> Path:
    """Disturb a change at a step; check that the index is whole, and that the same change again ends as it should."""
    _, clean = crasher.end(how, fault)
    place = crasher.place(how, at)
    before = held_by(place)
    done = crasher(how, place, stop, fault)
    if how == "watch" and done["code"] == 0:  # changes that come together are one update, of fewer steps
        assert "kill" not in fault or done["steps"] < stop
    elif "kill" in fault:
        assert done["code"] == -signal.SIGKILL
    else:
        assert done["code"] == 0
    assert whole(place) == ()
    held = held_by(place)
    if how != "watch":  # which changes the files twice
        for name, rows in held.items():  # each document is as it was, or as it will be
            assert rows in (before.get(name), clean.get(name)), name
    found = answers(place, models)
    assert {Path(hit.document).name for hits in found for hit in hits} <= {Path(name).name for name in held}
    again = crasher(how, place)
    assert (again["code"], again["error"]) == (0, None)
    checked = verify_all(place / "i")
    assert (checked.problems, checked.leftovers) == ((), ())
    assert held_by(place) == clean
    return place


def moments(crasher: Crasher, how: str, fault: str, count: int, seed: int) -> list[int]:
    steps, _ = crasher.end(how, fault)
    draw = random.Random(f"{how} {fault} {seed}")
    return sorted(draw.sample(range(1, steps + 1), min(count, steps)))


@pytest.mark.parametrize("how", CHANGES)
def test_kills(crasher: Crasher, how: str, models: Any) -> None:
    for stop in moments(crasher, how, "kill", 3, 0):
        shutil.rmtree(disturbed(crasher, how, stop, "kill", models))


@pytest.mark.parametrize("how", ["update", "rebuild", "remove", "compact", "upgrade"])
def test_kills_of_an_index_in_shards(sharded: Crasher, how: str, models: Any) -> None:
    """Between the commits of two shards too."""
    for stop in moments(sharded, how, "kill", 4, 0):
        shutil.rmtree(disturbed(sharded, how, stop, "kill", models))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill", "ENOSPC", "EIO"])
@pytest.mark.parametrize("how", CHANGES)
def test_an_index_in_shards_at_many_moments(sharded: Crasher, how: str, fault: str, models: Any) -> None:
    for stop in moments(sharded, how, fault, 6 if how == "watch" else 12, 1):
        shutil.rmtree(disturbed(sharded, how, stop, fault, models))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("how", CHANGES)
def test_kills_at_many_moments(crasher: Crasher, how: str, part: int, models: Any) -> None:
    """With nine changes and three parts, more than three hundred moments."""
    for stop in moments(crasher, how, "kill", 12, 1 + part):
        shutil.rmtree(disturbed(crasher, how, stop, "kill", models))


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("how", CHANGES)
def test_a_disk_that_is_full_or_fails(crasher: Crasher, how: str, fault: str, models: Any) -> None:
    for stop in moments(crasher, how, fault, 3, 0):
        shutil.rmtree(disturbed(crasher, how, stop, fault, models))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("how", CHANGES)
def test_a_disk_that_is_full_or_fails_at_many_writes(crasher: Crasher, how: str, fault: str, models: Any) -> None:
    for stop in moments(crasher, how, fault, 6 if how == "watch" else 20, 1):
        shutil.rmtree(disturbed(crasher, how, stop, fault, models))


@pytest.mark.parametrize("how", CHANGES)
def test_calls_that_kill_or_fail(crasher: Crasher, how: str, models: Any) -> None:
    """In SQLite too: half a page is written, or the disk is full in the middle of a commit."""
    for fault in ("call kill within", "call ENOSPC"):
        for stop in moments(crasher, how, fault, 2, 0):
            shutil.rmtree(disturbed(crasher, how, stop, fault, models))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize("how", CHANGES)
def test_each_named_call_that_kills_or_fails(crasher: Crasher, how: str, part: int, models: Any) -> None:
    """The first and the last of each kind of call on each kind of file; the faults take turns."""
    crasher.end(how, "call kill")
    steps: dict[str, list[int]] = {}
    for step, name in enumerate(crasher.names[how, "call kill"], 1):
        steps.setdefault("".join(sign for sign in name if not sign.isdigit()), []).append(step)
    assert len(steps) > 10
    stops = {stop for found in steps.values() for stop in (found[0], found[-1])}
    for turn, stop in enumerate(sorted(stops), part):
        shutil.rmtree(disturbed(crasher, how, stop, CALLED[turn % len(CALLED)], models))


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system in memory; the function sets its size in bytes."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(*words: str) -> int:
        return subprocess.run(["mount", *words, str(disk)], capture_output=True, check=False).returncode

    if shutil.which("mount") is None or mount("-t", "tmpfs", "-o", "size=64m", "tmpfs"):
        pytest.skip("this user may not mount a file system")
    yield disk, lambda size: mount("-o", f"remount,size={size}")
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["update", "rebuild", "compact", "kind"])
def test_a_disk_without_space(crasher: Crasher, how: str, models: Any, small_disk: Any) -> None:
    """With a page more each time, the space ends at another write."""
    disk, resize = small_disk
    _, clean = crasher.end(how)
    failed = 0
    for pages in (0, 1, 2, 4, 8, 12, 16, 24, 32, 48, 64):
        place = crasher.place(how, disk / str(pages))
        used = shutil.disk_usage(disk).used
        assert resize(used + 4096 * pages) == 0
        done = crasher(how, place)
        if done["error"] is not None:
            failed += 1
            # SQLite calls it an I/O error where it is its shared memory that has no room.
            assert any(words in done["error"] for words in ("No space left", "is full", "disk I/O error")), done
            assert "free space" in done["error"]
        assert resize(64 << 20) == 0
        assert whole(place) == ()
        assert answers(place, models)
        assert crasher(how, place)["error"] is None
        assert (whole(place), verify_all(place / "i").leftovers) == ((), ())
        assert held_by(place) == clean
        shutil.rmtree(place)
    assert failed >= 3
