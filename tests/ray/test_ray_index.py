"""`jnlp index --executor ray` makes the index that a local run makes, document for document, with kills in between."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Command = Nodes = Any  # of conftest

WORDS = tuple(
    "会議 規程 休暇 契約 解約 天気 公園 猫 犬 電車 東京 大阪 部長 社員 給与 出張 予算 書類 提出 期限".split()  # noqa: SIM905
)
SAME = ("--device", "cpu", "--dtype", "fp32", "--threads", "1")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_documents(count: int) -> None:
    """Write files of several forms, the same each time."""
    chosen = random.Random(7)
    Path("docs").mkdir()
    for number in range(count):
        text = f"# 文書{number}\n\n"
        for _ in range(chosen.randint(1, 6)):
            words = (chosen.choices(WORDS, k=4) for _ in range(chosen.randint(2, 20)))
            text += "".join("{}は{}について{}を{}する。".format(*four) for four in words) + "\n\n"
        ending = chosen.choice(("md", "md", "txt", "html"))
        text = f"<h1>文書{number}</h1><p>{text}</p>" if ending == "html" else text
        Path(f"docs/{number}.{ending}").write_text(text, encoding=chosen.choice(("utf-8", "cp932")))


def exported(folder: str, jnlp_command: Command) -> list[dict[str, Any]]:
    jnlp_command("index", "verify", folder)
    jnlp_command("index", "export", folder, "-o", f"{folder}.jsonl", "--vectors")
    return [json.loads(line) for line in Path(f"{folder}.jsonl").read_text("utf-8").splitlines()]


def check_same(jnlp_command: Command, *, order: bool = True) -> int:
    """Compare the indexes `ray.idx` and `local.idx`; return the number of passages."""
    ours, theirs = exported("ray.idx", jnlp_command), exported("local.idx", jnlp_command)
    if not order:
        ours.sort(key=lambda row: (row["document"], row["start"]))
        theirs.sort(key=lambda row: (row["document"], row["start"]))
    vectors = [np.array([row.pop("vector") for row in rows]) for rows in (ours, theirs)]
    assert ours == theirs
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-3  # they are stored in half precision
    found = [
        jnlp_command.out("search", folder, "休暇の期限", "--format", "jsonl", "--retriever", "lexical")
        for folder in ("ray.idx", "local.idx")
    ]
    assert found[0] == found[1]
    return len(ours)


def processes(nodes: Nodes) -> list[int]:
    """Return the workers of the cluster that run now."""
    port = nodes.address.rpartition(":")[2]
    found = []
    for place in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if (place / "cmdline").read_bytes().startswith(b"ray::Worker"):
                parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
                if port.encode() in Path(f"/proc/{parent}/cmdline").read_bytes():
                    found.append(int(place.name))
    return found


def kill_one(nodes: Nodes, stop: threading.Event) -> int:
    """Kill a worker as soon as there is one."""
    while not stop.is_set():
        for pid in processes(nodes)[:1]:
            os.kill(pid, signal.SIGKILL)
            return pid
        time.sleep(0.1)
    return 0


@contextmanager
def driver(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process of its own; it is killed at the end of the block."""
    code = "import sys; from jnlp.cli import main; sys.exit(main())"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_an_index_and_its_update_are_those_of_a_local_run(nodes: Nodes, jnlp_command: Command) -> None:
    write_documents(60)
    on = ("--executor", "ray", "--ray-address", nodes.address)
    stop, killed = threading.Event(), []
    killer = threading.Thread(target=lambda: killed.append(kill_one(nodes, stop)))
    killer.start()
    try:
        jnlp_command("index", "docs", "--index", "ray.idx", *SAME, *on)
    finally:
        stop.set()
        killer.join()
    assert killed[0] > 0
    jnlp_command("index", "docs", "--index", "local.idx", *SAME)
    assert check_same(jnlp_command) > 60
    first, second, third = sorted(Path("docs").iterdir())[:3]
    first.unlink()
    second.write_text("新しい文書。休暇は二十日とする。", encoding="utf-8")
    third.write_bytes(third.read_bytes() + "休暇の期限は月末とする。".encode("cp932"))
    said = [
        jnlp_command.out("index", "--index", f"{name}.idx", *SAME, *flags).partition(" in ")[0].replace(name, "X")
        for name, flags in (("ray", on), ("local", ()))
    ]
    assert said[0] == said[1]
    assert "0 documents added, 2 updated, 57 unchanged, 1 removed" in said[0]
    check_same(jnlp_command)


def test_late_chunking_by_sections_in_shards(nodes: Nodes, jnlp_command: Command) -> None:
    write_documents(12)
    how = ("--pooling", "late", "--chunker", "headings", "--analyser", "bigram", "--shards", "3")
    on = ("--executor", "ray", "--ray-address", nodes.address)
    jnlp_command("index", "docs", "--index", "ray.idx", *how, *SAME, *on)
    jnlp_command("index", "docs", "--index", "local.idx", *how, *SAME)
    check_same(jnlp_command)


def test_worker_processes_of_this_machine_do_it_too(jnlp_command: Command) -> None:
    write_documents(12)
    jnlp_command("index", "docs", "--index", "ray.idx", *SAME, "--workers", "2")
    jnlp_command("index", "docs", "--index", "local.idx", *SAME)
    check_same(jnlp_command)


@pytest.mark.slow
def test_a_thousand_files_with_kills_in_between(nodes: Nodes, jnlp_command: Command) -> None:
    """A worker, a node and twice the driver are killed."""
    write_documents(1000)
    command = ("index", "docs", "--index", "ray.idx", *SAME, "--executor", "ray", "--ray-address", nodes.address)
    stop = threading.Event()
    with driver(*command) as running:
        assert kill_one(nodes, stop) > 0  # a worker
        _wait_for_commit(running)
    with driver(*command):
        time.sleep(8)
        nodes.remove(nodes.nodes[0])
        assert kill_one(nodes, stop) > 0
    nodes.add()
    jnlp_command(*command)
    jnlp_command("index", "docs", "--index", "local.idx", *SAME)
    assert check_same(jnlp_command) > 1000


def _wait_for_commit(running: subprocess.Popen[bytes]) -> None:
    """Wait until vectors have been written."""
    end = time.monotonic() + 600  # on a busy machine; what follows compares the indexes
    while not list(Path("ray.idx").glob("segments/*")):
        assert running.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
