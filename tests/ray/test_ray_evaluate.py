"""Evaluation cells as Ray tasks: the scores of a local run, and what a lost worker or a failing cell does."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import sqlite3
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jnlp.errors import JnlpError, RecordError
from jnlp.testing import make_model
from jnlp.types import Settings
from jnlp_ray.disks import is_full

if TYPE_CHECKING:
    from typing import Any

    Nodes = Any  # of conftest
    Command = Any

CALLING = """
import os, signal
from pathlib import Path
from jnlp.errors import JnlpError

def fill_disk(when):
    if os.environ.get("CALLING_DISK_FULL") == when:
        with Path(os.environ["CALLING_FOLDER"], "full").open("a") as log:
            log.write(when)
        Path("/dev/full").write_text("a file of this node")

def make(folder, fatal):
    fill_disk("start")
    made = Path(folder, f"made-{os.getpid()}")
    assert not made.exists()
    made.touch()

    def square(number):
        fill_disk("call")
        if number < 0:
            raise JnlpError("a number below 0", hint="another")
        tries = len(list(Path(folder).glob(f"tried-{number}-*")))
        Path(folder, f"tried-{number}-{tries}").touch()
        if number in fatal and tries < fatal[number]:
            os.kill(os.getpid(), signal.SIGKILL)
        return number * number, os.environ["OMP_NUM_THREADS"]

    return square

def read(folder):
    from jnlp_evaluate.layouts import read_jcola
    fill_disk("start")
    return read_jcola(folder)
"""


@pytest.fixture
def settings(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "calling.py").write_text(textwrap.dedent(CALLING), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return Settings(device="cpu", threads=1, executor="ray", ray_address=nodes.address)


def test_calls_of_lost_workers_are_run_again(settings: Settings, tmp_path: Path) -> None:
    from jnlp_ray.calls import run_calls

    found = sorted(run_calls(settings, "calling:make", (str(tmp_path), {2: 1, 5: 2}), list(range(8))))
    assert found == [(number, (number * number, "1")) for number in range(8)]
    tried = {number: len(list(tmp_path.glob(f"tried-{number}-*"))) for number in range(8)}
    assert tried == {**dict.fromkeys(range(8), 1), 2: 2, 5: 3}
    assert len(list(tmp_path.glob("made-*"))) < 8  # a worker makes its function once


def test_a_call_that_fails_or_kills_is_one_line(settings: Settings, tmp_path: Path) -> None:
    from jnlp_ray.calls import run_calls

    with pytest.raises(JnlpError, match="a number below 0") as raised:
        list(run_calls(settings, "calling:make", (str(tmp_path), {}), [-1]))
    assert raised.value.hint == "another"
    with pytest.raises(JnlpError, match="ended 4 times with one call"):
        list(run_calls(settings, "calling:make", (str(tmp_path), {3: 9}), [3]))


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), True),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), True),
        (OSError(errno.ENOENT, os.strerror(errno.ENOENT)), False),
        (JnlpError("cannot write to /tmp: No space left on device"), True),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), True),
        (sqlite3.OperationalError("database or disk is full"), True),
        (sqlite3.OperationalError("database is locked"), False),
        (RecordError("「No space left on device」という文"), False),
        (None, False),
    ],
)
def test_errors_of_a_full_disk_are_known(error: object, full: bool) -> None:
    assert is_full(error) is full


@pytest.mark.parametrize("when", ["start", "call"])
def test_calls_of_a_node_whose_disk_is_full_run_on_others(
    nodes: Nodes, settings: Settings, tmp_path: Path, when: str
) -> None:
    from jnlp_ray.calls import run_calls

    full = nodes.add(2, env_vars={"CALLING_DISK_FULL": when, "CALLING_FOLDER": str(tmp_path)})
    try:
        found = sorted(run_calls(settings, "calling:make", (str(tmp_path), {}), list(range(12))))
    finally:
        nodes.remove(full)
    assert found == [(number, (number * number, "1")) for number in range(12)]
    assert 1 <= (tmp_path / "full").read_text().count(when) <= 4  # calls at work when the first failed; then no more


@pytest.mark.slow
def test_disks_that_are_all_full_end_the_calls(nodes: Nodes, settings: Settings, tmp_path: Path) -> None:
    from jnlp_ray.calls import run_calls

    others = list(nodes.nodes)
    full = nodes.add(env_vars={"CALLING_DISK_FULL": "call", "CALLING_FOLDER": str(tmp_path)})
    for node in others:
        nodes.remove(node)
    try:
        with pytest.raises(JnlpError, match=r"no node .* has space on its disk: \[Errno 28\] No space left") as raised:
            list(run_calls(settings, "calling:make", (str(tmp_path), {}), [1, 2, 3]))
        assert raised.value.hint == "free space on their disks"
    finally:
        nodes.remove(full)
        for _ in others:
            nodes.add()


def test_cells_of_a_node_whose_disk_is_full_give_what_a_local_run_gives(
    nodes: Nodes, settings: Settings, tmp_path: Path
) -> None:
    from jnlp.models.folder import read_folder
    from jnlp_evaluate.protocols import PROTOCOLS
    from jnlp_evaluate.run import evaluate
    from jnlp_evaluate.tasks import JCOLA
    from jnlp_ray.calls import run_calls

    write_jcola(tmp_path / "data")
    model = read_folder(make_model(tmp_path / "small", layers=1))
    task = dataclasses.replace(JCOLA, read="calling:read")
    full = nodes.add(2, env_vars={"CALLING_DISK_FULL": "start", "CALLING_FOLDER": str(tmp_path)})
    found = []
    try:
        for name, spread in (("local", None), ("ray", partial(run_calls, settings))):
            made = evaluate(
                task, PROTOCOLS["quick"], model, None, tmp_path / "data", tmp_path / name, device="cpu", spread=spread
            )
            found.append([{k: v for k, v in cell.items() if k != "seconds"} for cell in made["cells"]])
    finally:
        nodes.remove(full)
    assert found[0] == found[1]
    assert (tmp_path / "full").read_text().startswith("start")


def write_jcola(data: Path) -> None:
    """Write the files of jcola: 48 rows to train on, 16 to score."""
    folder = data / "jcola-v1.0"
    folder.mkdir(parents=True)
    texts = ["駅店宿本道庭橋船"[n % 8] + "がを"[n % 2] + "高安古近"[n % 4] + "い。" for n in range(64)]
    rows = [{"uid": f"u{n}", "sentence": text, "label": n % 2} for n, text in enumerate(texts)]
    for name, part in (("train", rows[:48]), ("valid", rows[48:])):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
        (folder / f"in_domain_{name}-v1.0.json").write_text(lines, encoding="utf-8")


def test_cells_give_what_a_local_run_gives(nodes: Nodes, tmp_path: Path, jnlp_command: Command) -> None:
    write_jcola(tmp_path / "data")
    model = make_model(tmp_path / "small", layers=1)
    call = ["evaluate", "jcola", "--data", str(tmp_path / "data"), "--model", str(model), "--threads", "1", "-q"]
    call += ["--device", "cpu"]
    jnlp_command(*call, "-o", str(tmp_path / "local"))
    jnlp_command(*call, "-o", str(tmp_path / "ray"), "--executor", "ray", "--ray-address", nodes.address)
    local, ray = (
        json.loads((tmp_path / name / "small/jcola/result.json").read_text("utf-8")) for name in ("local", "ray")
    )
    drop = {"seconds"}
    assert [{k: v for k, v in c.items() if k not in drop} for c in local["cells"]] == [
        {k: v for k, v in c.items() if k not in drop} for c in ray["cells"]
    ]
    assert len(ray["cells"]) == 3
    assert ray["score"] == local["score"]


def test_without_ray_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from jnlp_ray.calls import run_calls

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(JnlpError, match="needs the extra 'ray'"):
        list(run_calls(Settings(), "functools:partial", (abs,), [1]))
