"""`jnlp train`, stopped and started again, through the command line."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.testing import make_model
from jnlp.training.classifier.finetune import ClassifierObjective

if TYPE_CHECKING:
    from pathlib import Path

GOOD, BAD = ("楽しい", "最高だ", "素晴らしい"), ("退屈だ", "最悪だ", "つまらない")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [f"{n}回目の映画は{word}。" for n in range(9) for word in (*GOOD, *BAD)]
    return make_model(tmp_path_factory.mktemp("base") / "small", layers=1, hidden=32, texts=texts)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "感想.jsonl"
    made = [(f"{n}回目の映画は{words[n % 3]}。", label) for n in range(20) for words, label in ((GOOD, 1), (BAD, 0))]
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in made), "utf-8")
    return path


def test_a_stopped_classifier_goes_on_and_ends_as_an_undisturbed_one(
    base: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(out: str, *more: str) -> tuple[int, str]:
        columns = ["--text", "text", "--label", "label"]
        arguments = ["train", "classifier", str(rows), *columns, "-o", str(tmp_path / out), "--model", str(base)]
        chosen = ["--device", "cpu", "--epochs", "4", "--batch-size", "8", "--patience", "0", "--test-share", "0"]
        chosen += ["--method", "finetune"]
        result = CliRunner().invoke(build_cli(), [*arguments, *chosen, *more])
        return result.exit_code, result.stderr

    status, said = run("whole")
    assert status == 0, said
    assert [line.split()[1:3] for line in said.splitlines() if "epoch" in line] == [
        ["epoch", f"{n}/4"] for n in (1, 2, 3, 4)
    ]
    status, said = run("out", "--resume")
    assert status == 1
    assert "no stopped run for" in said

    evaluate = ClassifierObjective.evaluate
    epochs: list[int] = []

    def stop(objective: ClassifierObjective) -> dict[str, float]:
        epochs.append(len(epochs))
        if len(epochs) == 2:
            signal.raise_signal(signal.SIGTERM)
        return evaluate(objective)

    monkeypatch.setattr(ClassifierObjective, "evaluate", stop)
    status, said = run("out")
    assert status == 128 + signal.SIGTERM
    assert said.splitlines()[-1] == "jnlp: stopped with a checkpoint; run the same command to continue"
    assert not (tmp_path / "out").exists()
    status, said = run("out", "--resume")
    assert status == 0, said
    assert len(epochs) == 4
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"感想.jsonl", "whole", "out"}
