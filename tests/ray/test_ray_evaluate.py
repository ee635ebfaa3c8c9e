"""Evaluation cells as Ray tasks: the scores of a local run, and what a lost worker or a failing cell does."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jnlp.errors import JnlpError
from jnlp.testing import make_model
from jnlp.types import Settings

if TYPE_CHECKING:
    from typing import Any

    Nodes = Any  # of conftest
    Command = Any

CALLING = """
import os, signal
from pathlib import Path
from jnlp.errors import JnlpError

def make(folder, fatal):
    made = Path(folder, f"made-{os.getpid()}")
    assert not made.exists()
    made.touch()

    def square(number):
        if number < 0:
            raise JnlpError("a number below 0", hint="another")
        tries = len(list(Path(folder).glob(f"tried-{number}-*")))
        Path(folder, f"tried-{number}-{tries}").touch()
        if number in fatal and tries < fatal[number]:
            os.kill(os.getpid(), signal.SIGKILL)
        return number * number, os.environ["OMP_NUM_THREADS"]

    return square
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


def test_cells_give_what_a_local_run_gives(nodes: Nodes, tmp_path: Path, jnlp_command: Command) -> None:
    folder = tmp_path / "data/jcola-v1.0"
    folder.mkdir(parents=True)
    texts = ["駅店宿本道庭橋船"[n % 8] + "がを"[n % 2] + "高安古近"[n % 4] + "い。" for n in range(64)]
    rows = [{"uid": f"u{n}", "sentence": text, "label": n % 2} for n, text in enumerate(texts)]
    for name, part in (("train", rows[:48]), ("valid", rows[48:])):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
        (folder / f"in_domain_{name}-v1.0.json").write_text(lines, encoding="utf-8")
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
