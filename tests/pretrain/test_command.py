"""`jnlp pretrain`: a folder comes out, and what is wrong is said in one line."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import pytest
import torch

from jnlp.errors import JnlpError, UsageError
from jnlp_pretrain.cli import pretrain
from jnlp_pretrain.recipe_files import for_corpus, load_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from click.testing import CliRunner

RECIPE = """
name = "micro"

[shape]
hidden = 64
intermediate = 64
layers = 1
max_length = 32

[tokenizer]
vocabulary = 320
coverage = 1.0
words = false

[clean]
unit = "line"
near_duplicates = true
min_characters = 12

[[stages]]
tokens = 20_000
rows = [{ length = 32 }]
batch = 512
micro_batch = 512

[optimisation]
dtype = "fp32"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "micro.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_a_model_folder_comes_out(runner: CliRunner, recipe: Path, corpus: Path, tmp_path: Path) -> None:
    arguments = [str(recipe), "--corpus", str(corpus / "lines.txt"), str(corpus / "diary-000.jsonl")]
    result = runner.invoke(
        pretrain, [*arguments, "-o", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"model    {tmp_path / 'out'}"
    assert "held_out_loss" in result.stdout
    assert "near-duplicate" in result.stdout
    assert "jnlp: training" in result.stderr
    assert result.stderr.rstrip().endswith(" left")
    assert (tmp_path / "out" / "model.safetensors").stat().st_size > 10_000


def test_runs_live_in_jnlp_runs(
    runner: CliRunner, recipe: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JNLP_RUNS", str(tmp_path / "elsewhere"))
    arguments = [str(recipe), "--corpus", str(corpus / "lines.txt"), "-o", str(tmp_path / "out"), "-q"]
    result = runner.invoke(pretrain, [*arguments, "--hours", "0.0000001"], catch_exceptions=False)
    assert result.stderr == ""
    data, run = sorted((tmp_path / "elsewhere").iterdir())
    assert data.name.startswith("data-")
    assert run.name.startswith("micro-")


def test_held_out_accuracy_is_told_on_the_way(
    runner: CliRunner, recipe: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jnlp_pretrain import pretraining
    from jnlp_pretrain.loop import Plan

    monkeypatch.setattr(pretraining, "Plan", lambda clip: Plan(clip, evaluate_every=10))
    arguments = [str(recipe), "--corpus", str(corpus / "diary-000.jsonl"), "-o", str(tmp_path / "out")]
    result = runner.invoke(pretrain, [*arguments, "--runs", str(tmp_path / "runs")], catch_exceptions=False)
    start, line, *_ = [line for line in result.stderr.splitlines() if line.startswith("jnlp: held-out text")]
    assert start.startswith("jnlp: held-out text 0 of ")
    assert re.search(r" accuracy 0\.\d+  held_out_loss [\d.]+$", line)


def test_a_corpus_of_one_document_says_that_nothing_was_held_out(
    runner: CliRunner, recipe: Path, corpus: Path, tmp_path: Path
) -> None:
    arguments = [str(recipe), "--corpus", str(corpus / "lines.txt"), "-o", str(tmp_path / "out"), "-q"]
    result = runner.invoke(pretrain, [*arguments, "--runs", str(tmp_path / "runs")], catch_exceptions=False)
    assert "no text was held out: the corpus has too few documents" in result.stdout


def test_a_shipped_recipe_takes_any_corpus(corpus: Path) -> None:
    tiny, files = load_recipe("tiny"), [corpus / "lines.txt"]
    fitted = for_corpus(tiny, files)
    assert (fitted.sources, fitted.stages[1].mix) == ((), {})
    assert fitted.tokens == tiny.tokens
    assert for_corpus(load_recipe("30m"), files) == load_recipe("30m")
    assert for_corpus(tiny, [corpus / "corpus/wikinews-000.jsonl.xz"]) is tiny


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_or_sigterm_says_how_to_go_on(
    runner: CliRunner, recipe: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    from jnlp_pretrain import loop

    logged = loop._Run._log

    def log_and_signal(run: loop._Run, figures: Mapping[str, float]) -> None:
        logged(run, figures)
        signal.raise_signal(number)

    monkeypatch.setattr(loop._Run, "_log", log_and_signal)
    arguments = [str(recipe), "--corpus", str(corpus / "lines.txt"), "-o", str(tmp_path / "out")]
    result = runner.invoke(pretrain, [*arguments, "--runs", str(tmp_path / "runs")])
    assert result.exit_code == 128 + number
    assert result.stderr.splitlines()[-1] == "jnlp: stopped with a checkpoint; run the same command to continue"
    assert not (tmp_path / "out").exists()


def test_a_missing_corpus_is_a_usage_error(runner: CliRunner, recipe: Path, tmp_path: Path) -> None:
    result = runner.invoke(pretrain, [str(recipe), "--corpus", str(tmp_path / "no"), "-o", str(tmp_path / "out")])
    assert isinstance(result.exception, UsageError)
    assert "no such file or folder" in result.exception.message


def test_it_goes_on_from_a_model(runner: CliRunner, recipe: Path, corpus: Path, tmp_path: Path) -> None:
    arguments = [str(recipe), "--corpus", str(corpus / "diary-000.jsonl"), "--runs", str(tmp_path / "runs"), "-q"]
    runner.invoke(pretrain, [*arguments, "-o", str(tmp_path / "one")], catch_exceptions=False)
    again = [*arguments, "--from", str(tmp_path / "one"), "-o", str(tmp_path / "two")]
    runner.invoke(pretrain, again, catch_exceptions=False)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert one["tokenizer.json"] == two["tokenizer.json"]
    assert one["model.safetensors"] != two["model.safetensors"]
    logs = [[json.loads(line) for line in run.read_text().splitlines()] for run in _logs(tmp_path / "runs")]
    assert logs[1][0]["held_out_loss"] == pytest.approx(logs[0][-1]["held_out_loss"], abs=1e-3)
    assert logs[0][-1]["held_out_loss"] < logs[0][0]["held_out_loss"]
    turns = [torch.load(run.parent / "checkpoint.pt")["data"]["turn"] for run in _logs(tmp_path / "runs")]
    assert turns[0] < 10 < turns[1]  # the text comes in another order than it came for the first


def _logs(runs: Path) -> list[Path]:
    """Return the logs of runs, the oldest first."""
    return sorted(runs.glob("micro-*/log.jsonl"), key=lambda path: path.stat().st_mtime_ns)


def test_a_model_without_a_tokenizer_is_no_start(runner: CliRunner, recipe: Path, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    arguments = [str(recipe), "--corpus", str(corpus / "lines.txt"), "-o", str(tmp_path / "out")]
    result = runner.invoke(pretrain, [*arguments, "--from", str(tmp_path / "empty"), "--runs", str(tmp_path)])
    assert isinstance(result.exception, JnlpError)


def test_the_shipped_recipes_are_listed(runner: CliRunner) -> None:
    lines = runner.invoke(pretrain, ["--list"], catch_exceptions=False).stdout.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        "recipe",
        "tiny",
        "30m",
        "70m",
        "130m",
        "310m",
    ]
    first = next(line for line in lines if line.startswith("30m"))
    assert first.split() == ["30m", "256/1024/10", "102,400", "1", "3.51T", "1,024", "naive", "30%", "10k,", "10k"]


@pytest.mark.parametrize(
    ("arguments", "corpus"),
    [
        (["r", "--corpus", "a", "b", "-o", "out"], ["a", "b"]),
        (["r", "-o", "out", "--corpus", "a", "--corpus", "b", "c"], ["a", "b", "c"]),
        (["--corpus", "a", "-o", "out", "r"], ["a"]),
    ],
)
def test_corpus_takes_all_paths_that_follow(arguments: list[str], corpus: list[str]) -> None:
    context = pretrain.make_context("pretrain", list(arguments))
    assert [str(path) for path in context.params["corpus"]] == corpus
    assert context.params["recipe"] == "r"
