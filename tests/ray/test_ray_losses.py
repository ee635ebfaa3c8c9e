"""Workers, nodes and drivers that are killed, and records that kill: nothing is lost, doubled or out of order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Nodes = Any  # of conftest

COUNT = 1200


@pytest.fixture(autouse=True)
def _here(plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def meanwhile(condition: Callable[[], bool], act: Callable[[], None]) -> Iterator[None]:
    """Act once, from a thread, when a condition holds; it must have held by the end of the block."""
    acted, over = threading.Event(), threading.Event()

    def work() -> None:
        while not over.is_set():
            if condition():
                act()
                acted.set()
                return
            time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert acted.is_set()


def workers() -> list[int]:
    """Return the processes in which the task has run."""
    return [int(path.name) for path in Path("log").glob("*") if path.name.isdecimal()]


def alive() -> list[int]:
    return [pid for pid in workers() if Path(f"/proc/{pid}").exists()]


def written(path: str) -> int:
    with suppress(FileNotFoundError):
        return Path(path).read_bytes().count(b"\n")
    return 0


def noted(path: str) -> int:
    """Return the records that a journal says are done."""
    with suppress(FileNotFoundError):
        return int(json.loads(Path(path).read_text("utf-8"))["records"])
    return 0


@contextmanager
def started(plugin: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process of its own; it is killed at the end of the block if it runs."""
    code = "import sys; from jnlp.cli import main; sys.exit(main())"
    path = os.pathsep.join(filter(None, (str(plugin), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def both(jnlp_command: Callable[..., str], nodes: Nodes, *flags: str, seconds: str = "0.004") -> tuple[str, str]:
    """Run the task on the cluster, then here with nothing that kills; return what each wrote."""
    on = ("--executor", "ray", "--ray-address", nodes.address, "--seconds", seconds)
    jnlp_command("see", "in.jsonl", "-o", "ray.jsonl", "--rejects", "ray.rejects.jsonl", *on, *flags)
    jnlp_command("see", "in.jsonl", "-o", "local.jsonl", "--rejects", "local.rejects.jsonl", *flags)
    return Path("ray.jsonl").read_text("utf-8"), Path("local.jsonl").read_text("utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_that_are_killed_cost_nothing(
    nodes: Nodes, jnlp_command: Callable[..., str], texts: Callable[..., Path]
) -> None:
    texts(COUNT, {5: "bad"})

    def kill() -> None:
        os.kill(alive()[0], signal.SIGKILL)

    with meanwhile(lambda: written("ray.jsonl.part") > 90, kill):
        ours, theirs = both(jnlp_command, nodes)
    assert ours == theirs
    assert len(workers()) >= 3
    assert Path("ray.rejects.jsonl").read_text("utf-8") == Path("local.rejects.jsonl").read_text("utf-8")
    assert written("ray.rejects.jsonl") == 1


def test_a_node_that_is_killed_costs_nothing(
    nodes: Nodes, jnlp_command: Callable[..., str], texts: Callable[..., Path]
) -> None:
    texts(COUNT)
    with meanwhile(lambda: written("ray.jsonl.part") > 90, lambda: nodes.remove(nodes.nodes[0])):
        ours, theirs = both(jnlp_command, nodes)
    assert ours == theirs


@pytest.mark.parametrize("when", ["start", "text"])
def test_a_node_whose_disk_is_full_costs_nothing(
    nodes: Nodes, jnlp_command: Callable[..., str], texts: Callable[..., Path], when: str
) -> None:
    texts(COUNT, {7: "bad"})
    full = nodes.add(env_vars={"SEEING_DISK_FULL": when})
    try:
        ours, theirs = both(jnlp_command, nodes)
    finally:
        nodes.remove(full)
    assert ours == theirs
    assert Path("ray.rejects.jsonl").read_text("utf-8") == Path("local.rejects.jsonl").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("when", ["start", "text"])
def test_disks_that_are_all_full_end_the_run(
    nodes: Nodes, jnlp_command: Callable[..., str], texts: Callable[..., Path], when: str
) -> None:
    texts(COUNT)
    full = nodes.add(env_vars={"SEEING_DISK_FULL": when})
    others = list(nodes.nodes)
    others.remove(full)
    for node in others:
        nodes.remove(node)
    try:
        on = ("--executor", "ray", "--ray-address", nodes.address)
        said = jnlp_command("see", "in.jsonl", "-o", "o.jsonl", *on, code=1)
        assert "ended one after the other: [Errno 28] No space left on device" in said
    finally:
        nodes.remove(full)
        for _ in others:
            nodes.add()


def test_a_node_that_joins_late_is_used(nodes: Nodes, plugin: Path) -> None:
    here, sent = len(nodes.nodes), 0
    flags = ("see", "-", "-o", "ray.jsonl", "--executor", "ray", "--ray-address", nodes.address)
    with started(plugin, *flags, "--seconds", "0.005") as command:
        assert command.stdin is not None

        def more() -> None:
            nonlocal sent
            command.stdin.write("".join(f"{n}番目の文です。\n" for n in range(sent, sent + 40)).encode())
            command.stdin.flush()
            sent += 40

        def send_until(count: int) -> bool:
            more()
            return len(workers()) == count

        wait_for(command, lambda: send_until(here))
        nodes.add()
        wait_for(command, lambda: send_until(here + 1))
        command.stdin.close()
        assert command.wait(timeout=60) == 0
    rows = [json.loads(line)["text"] for line in Path("ray.jsonl").read_text("utf-8").splitlines()]
    assert rows == [f"{n}番目の文です。" for n in range(sent)]


def test_a_record_that_ends_its_worker_fails_alone(
    nodes: Nodes, jnlp_command: Callable[..., str], texts: Callable[..., Path]
) -> None:
    texts(10, {4: "poison"})
    flags = ("--executor", "ray", "--ray-address", nodes.address)
    jnlp_command("see", "in.jsonl", "-o", "ray.jsonl", "--rejects", "rejects.jsonl", *flags)
    rows = [json.loads(line)["id"] for line in Path("ray.jsonl").read_text("utf-8").splitlines()]
    assert rows == [f"r{n}" for n in range(10) if n != 4]
    [reject] = [json.loads(line) for line in Path("rejects.jsonl").read_text("utf-8").splitlines()]
    assert reject["id"] == "r4"
    assert "a worker process ended each time" in reject["error"]
    said = jnlp_command("see", "in.jsonl", "-o", "strict.jsonl", "--on-error", "fail", *flags, code=1)
    assert "a worker process ended each time" in said


@pytest.mark.slow
def test_workers_that_all_end_end_the_run(nodes: Nodes, jnlp_command: Callable[..., str]) -> None:
    texts = [f"poison {n}" for n in range(64)]
    said = jnlp_command("see", *texts, "--executor", "ray", "--ray-address", nodes.address, code=1)
    assert "20 workers of the Ray cluster ended one after the other" in said


def test_a_job_that_cannot_be_prepared_is_one_line(nodes: Nodes, jnlp_command: Callable[..., str]) -> None:
    Path("log").mkdir()
    Path("log/unable").touch()
    said = jnlp_command("see", "今日は。", "--executor", "ray", "--ray-address", nodes.address, code=1)
    assert said.splitlines() == ["jnlp: error: the model is broken", "      hint: fetch it again"]


def test_a_driver_that_is_killed_is_resumed(
    nodes: Nodes, plugin: Path, jnlp_command: Callable[..., str], texts: Callable[..., Path]
) -> None:
    texts(COUNT, {3: "bad"})
    flags = ("see", "in.jsonl", "-o", "ray.jsonl", "--rejects", "r.jsonl", "--executor", "ray")
    flags = (*flags, "--ray-address", nodes.address, "--seconds", "0.004")
    with started(plugin, *flags) as driver:
        wait_for(driver, lambda: noted("ray.jsonl.part.state") >= 100)  # the rows come first: they alone do not count
    said = jnlp_command(*flags, "--resume")
    assert "were done before" in said
    jnlp_command("see", "in.jsonl", "-o", "local.jsonl", "--rejects", "l.jsonl")
    assert Path("ray.jsonl").read_text("utf-8") == Path("local.jsonl").read_text("utf-8")
    assert Path("r.jsonl").read_text("utf-8") == Path("l.jsonl").read_text("utf-8")
