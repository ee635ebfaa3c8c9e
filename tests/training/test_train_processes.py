"""Fine-tuning in two processes gives what one gives, by the command itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from jnlp.testing import make_model
from jnlp.training.launch import is_main, is_shared
from jnlp.training.team import Alone, add_gradients

ROWS = 40
WORDS = {"良い": ("とても面白かった", "最高でした"), "悪い": ("とても退屈だった", "最悪でした")}


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = []
    for number in range(ROWS):
        label = ("良い", "悪い")[number % 2]
        text = f"{WORDS[label][number % 4 // 2]}。{'長い感想です。' * (number % 5)}{number}"
        lines.append(json.dumps({"text": text, "label": label}, ensure_ascii=False))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def start(launcher: list[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    flags = ["--text", "text", "--label", "label", "--method", "finetune", "--epochs", "3", "--lr", "3e-3"]
    flags += ["--batch-size", "7", "--dropout", "0", "--device", "cpu", "--no-refit"]
    command = [sys.executable, *launcher, "jnlp", "train", "classifier", *map(str, arguments), *flags]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=300)


def test_a_launcher_is_known_by_its_variables(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "1")
    assert not is_shared()
    assert is_main()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert is_shared()
    assert not is_main()
    monkeypatch.setenv("RANK", "0")
    assert is_main()


def test_gradients_are_added_also_where_a_process_has_none():
    class Twice(Alone):
        def total(self, values):
            return values * 2

    module = torch.nn.Linear(3, 2)
    module.weight.grad = torch.ones(2, 3)
    add_gradients(module, Twice(size=2))
    assert module.weight.grad.tolist() == [[2.0] * 3] * 2
    assert module.bias.grad is not None
    assert module.bias.grad.tolist() == [0.0, 0.0]


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path, rows):
    pytest.importorskip("accelerate")
    from safetensors.torch import load_file

    texts = [json.loads(line)["text"] for line in rows.read_text("utf-8").splitlines()]
    base = make_model(tmp_path / "base", layers=1, hidden=32, texts=texts)
    one = start(["-m"], rows, "--model", base, "-o", tmp_path / "one")
    assert one.returncode == 0, one.stderr
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    two = start(launcher, rows, "--model", base, "-o", tmp_path / "two")
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("accuracy ") == 1  # the main process alone prints
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert first.keys() == second.keys()
    before = load_file(base / "model.safetensors")
    trained = sorted(first.keys() & before.keys())

    def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
        return float(torch.cat([(one[name] - other[name]).flatten() for name in trained]).norm())

    # rounding alone, in bf16 where the processor has it; Adam makes much of it where gradients are near 0
    assert distance(first, second) < 0.1 * distance(first, before)
    reports = [json.loads((tmp_path / name / "metrics.json").read_text("utf-8")) for name in ("one", "two")]
    for epoch, other in zip(*(report["epochs"] for report in reports), strict=True):
        assert epoch["loss"] == pytest.approx(other["loss"], abs=2e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "one", "rows.jsonl", "two"]
