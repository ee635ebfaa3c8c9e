"""Several processes: the same run through accelerate, alone and in two processes over gloo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from jnlp.errors import JnlpError, MissingExtraError, UsageError
from jnlp.training.team import Accelerated, Alone, assemble
from jnlp_pretrain.pretraining import RunOptions, pretrain
from jnlp_pretrain.recipe import Recipe, Span, Stage

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import atexit
import sys
import torch
from pathlib import Path
def left():
    names = [place.read_text().strip() for place in Path("/proc/self/task").glob("*/comm")]
    print("left", torch.distributed.is_initialized(), [name for name in names if "gloo" in name], flush=True)
atexit.register(left)
from jnlp_pretrain.pretraining import RunOptions, pretrain
from jnlp.training.team import assemble
from jnlp_pretrain.recipe_files import load_recipe
torch.set_num_threads(1)
recipe, corpus, folder = sys.argv[1:]
team = assemble("cpu")
assert team.size == 2, team.size
options = RunOptions(Path(folder) / "runs", team=team)
report = pretrain(load_recipe(recipe), [Path(corpus)], Path(folder) / "out", options)
assert (team.rank == 0) == ("accuracy" in report.metrics)
"""
HOLDING = """
import atexit
import sys
import torch
from pathlib import Path
def left():
    names = [place.read_text().strip() for place in Path("/proc/self/task").glob("*/comm")]
    print("left", torch.distributed.is_initialized(), [name for name in names if "gloo" in name], flush=True)
atexit.register(left)
from jnlp.training.team import assemble
torch.set_num_threads(1)
team = assemble("cpu")
module = team.prepare(torch.nn.Linear(3, 3))
def step():
    group = torch.distributed.group.WORLD
    team.backward(module(torch.ones(2, 3)).sum())
    if team.follow((1.0, 2.0)) and len(sys.argv) > 1:
        raise RuntimeError(f"process {team.rank} fails")
step()
"""
RECIPE = """
name = "pair"
embeddings = "random"
held_out = 0.1
stages = [{ tokens = 20_000, rows = [{ length = 32 }], batch = 1024, micro_batch = 256 }]
[shape]
hidden = 64
intermediate = 64
layers = 1
max_length = 32
[tokenizer]
vocabulary = 320
coverage = 1.0
words = false
[optimisation]
name = "adamw"
dtype = "fp32"
"""


def test_alone_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    team = assemble("cpu")
    assert isinstance(team, Alone)
    assert (team.rank, team.size, team.device) == (0, 1, torch.device("cpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_line() -> None:
    with pytest.raises(JnlpError, match="no device 'cuda': torch sees 0 CUDA devices"):
        assemble("cuda")


def test_a_device_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(UsageError, match="no device 'gpu'"):
        assemble("gpu")


def test_several_processes_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtraError, match="several processes needs the extra 'train'"):
        assemble("cpu")


def test_one_accelerated_process_computes_the_same_bits(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    short = replace(recipe, stages=(Stage(8_000, (Span(32),), batch=1024, micro_batch=256),))
    folders = [
        pretrain(short, [corpus], tmp_path / name, RunOptions(tmp_path / f"runs-{name}", team=team)).folder
        for name, team in (("alone", Alone()), ("accelerated", Accelerated("cpu")))
    ]
    one, two = ((folder / "model.safetensors").read_bytes() for folder in folders)
    assert one == two


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["fail"]])
def test_no_thread_of_the_group_is_left_at_exit(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "program.py").write_text(HOLDING, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    members = [
        subprocess.Popen(
            [sys.executable, str(tmp_path / "program.py"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    printed = [member.communicate(timeout=300) for member in members]
    for rank, (member, (out, err)) in enumerate(zip(members, printed, strict=True)):
        assert out == "left False []\n", err[-3000:]
        assert member.returncode == len(arguments), err[-3000:]
        assert (f"RuntimeError: process {rank} fails" in err) == bool(arguments)


@pytest.mark.slow
def test_two_processes_reach_what_one_reaches(corpus: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from jnlp_pretrain.recipe_files import load_recipe

    (tmp_path / "pair.toml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = [
        str(tmp_path / "program.py"),
        str(tmp_path / "pair.toml"),
        str(corpus / "diary-000.jsonl"),
        str(tmp_path),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([*launch, *arguments], capture_output=True, encoding="utf-8", env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("left False []") == 2, "a group or a thread of it that is left may abort the process"
    alone = pretrain(
        load_recipe(str(tmp_path / "pair.toml")),
        [corpus / "diary-000.jsonl"],
        tmp_path / "alone",
        RunOptions(tmp_path / "alone-runs"),
    )
    one, two = (load_file(folder / "model.safetensors") for folder in (alone.folder, tmp_path / "out"))
    assert one.keys() == two.keys()
    for name, weights in one.items():
        assert torch.allclose(weights.float(), two[name].float(), atol=2e-3), name
