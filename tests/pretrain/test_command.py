"""`jnlp pretrain`: a folder comes out, and what is wrong is said in one line."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from jnlp.errors import UsageError
from jnlp_pretrain.cli import pretrain

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import CliRunner

RECIPE = """
name = "micro"
tokens = 20_000

[shape]
hidden = 64
intermediate = 64
layers = 1
max_length = 32

[tokenizer]
vocabulary = 320
coverage = 1.0
words = false

[[stages]]
length = 32
share = 1.0

[optimisation]
batch = 512
micro_batch = 512
dtype = "fp32"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "micro.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_a_model_folder_comes_out(runner: CliRunner, recipe: Path, corpus: Path, tmp_path: Path) -> None:
    arguments = [str(recipe), "--corpus", str(corpus / "lines.txt"), "--corpus", str(corpus / "diary-000.jsonl")]
    result = runner.invoke(
        pretrain, [*arguments, "-o", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"model    {tmp_path / 'out'}"
    assert "held_out_loss" in result.stdout
    assert "jnlp: training" in result.stderr
    assert (tmp_path / "out" / "model.safetensors").stat().st_size > 10_000


def test_runs_live_in_jnlp_runs(
    runner: CliRunner, recipe: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JNLP_RUNS", str(tmp_path / "elsewhere"))
    arguments = [str(recipe), "--corpus", str(corpus / "lines.txt"), "-o", str(tmp_path / "out"), "-q"]
    result = runner.invoke(pretrain, [*arguments, "--hours", "0.0000001"], catch_exceptions=False)
    assert result.stderr == ""
    (run,) = (tmp_path / "elsewhere").iterdir()
    assert run.name.startswith("micro-")


def test_ctrl_c_says_how_to_go_on(
    runner: CliRunner, recipe: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jnlp.training import loop

    logged = loop._log

    def log_and_press_ctrl_c(*arguments: object) -> None:
        logged(*arguments)  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop, "_log", log_and_press_ctrl_c)
    arguments = [str(recipe), "--corpus", str(corpus / "lines.txt"), "-o", str(tmp_path / "out")]
    result = runner.invoke(pretrain, [*arguments, "--runs", str(tmp_path / "runs")])
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "jnlp: stopped with a checkpoint; the same command goes on from there"
    assert not (tmp_path / "out").exists()


def test_a_missing_corpus_is_a_usage_error(runner: CliRunner, recipe: Path, tmp_path: Path) -> None:
    result = runner.invoke(pretrain, [str(recipe), "--corpus", str(tmp_path / "no"), "-o", str(tmp_path / "out")])
    assert isinstance(result.exception, UsageError)
    assert "no such file or folder" in result.exception.message
