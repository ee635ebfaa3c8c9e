"""The config file reaches every kind of command: tasks, trainers, plain commands and pretrain."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.plugins import import_candidate, load_plugins

PLUGIN = """
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
import click
import jnlp
from jnlp.cli.common import command

@dataclass(frozen=True, slots=True)
class Options:
    times: Annotated[int, jnlp.Option(help="How often.", ge=1)] = 1

@dataclass(frozen=True, slots=True)
class Result:
    times: int

def make(models, options):
    return lambda texts: [Result(options.times) for _ in texts]

class Fit:
    def fit(self, train, valid, options, out, /, **_):
        return jnlp.TrainReport(Path(f"times={options.times}"), {}, {}, {})

@command(Options, name="repeat-command", summary="Repeat.")
@click.argument("word")
def repeat(engine, options, word):
    click.echo(f"{word} times={options.times}")

TASK = jnlp.TaskSpec("repeat", "Repeat.", Options, "repeats:make", Result)
TRAINER = jnlp.TrainerSpec("repeater", "Repeat.", Options, "repeats:Fit")

@jnlp.hookimpl
def register_tasks(register):
    register("repeat", "repeats:TASK")

@jnlp.hookimpl
def register_trainers(register):
    register("repeater", "repeats:TRAINER")

@jnlp.hookimpl
def register_commands(register):
    register("repeat-command", "repeats:repeat")
"""

CALLS = {
    "repeat": ["repeat", "文。", "--format", "jsonl"],
    "repeater": ["train", "repeater", "rows.csv", "--text", "a", "--label", "b", "-o", "out"],
    "repeat-command": ["repeat-command", "語"],
}


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "repeats.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "rows.csv").write_text("a,b\n文,1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    plugins = load_plugins([import_candidate("repeats", "repeats")])
    yield lambda *arguments: CliRunner().invoke(build_cli(plugins), list(arguments))
    sys.modules.pop("repeats", None)


@pytest.mark.parametrize("name", CALLS)
def test_the_config_file_reaches_it_and_a_flag_overrides(call, name: str) -> None:
    key = f"{name}.times"
    assert "1" in call(*CALLS[name]).stdout
    assert call("config", "set", key, "7").exit_code == 0
    configured = call(*CALLS[name])
    assert (configured.exit_code, "7" in configured.stdout) == (0, True)
    assert "5" in call(*CALLS[name], "--times", "5").stdout
    assert f"{key} = 7" in call("config").stdout
    refused = call("config", "set", key, "0")
    assert (refused.exit_code, "times" in refused.stderr) == (2, True)
    assert call("config", "set", f"{name}.tmies", "1").exit_code == 2


@pytest.mark.parametrize(
    ("table", "arguments"),
    [
        ("index]\nchunk-tokens = 1", ["index", ".", "--index", "x"]),
        ("search]\ntop = 0", ["search", "x", "語"]),
        ("classifier]\nepochs = 0", ["train", "classifier", "rows.csv", "-o", "out"]),
        ("embedder]\nepochs = 0", ["train", "embedder", "rows.csv", "-o", "out"]),
        ("pretrain]\nhours = 0", ["pretrain", "tiny", "--corpus", "rows.csv", "-o", "out"]),
    ],
)
def test_a_wrong_value_in_the_file_is_named_by_every_bundled_command(
    table: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("a,b\n文,1\n", encoding="utf-8")
    file = Path(os.environ["JNLP_CONFIG"])
    file.write_text(f"[tasks.{table}\n", encoding="utf-8")
    result = CliRunner().invoke(build_cli(), arguments)
    assert result.exit_code == 2
    assert str(file) in result.stderr
    assert table.partition("\n")[2].partition(" ")[0] in result.stderr


@pytest.mark.parametrize("key", ["index.chunk_tokens", "search.top", "pretrain.hours", "classifier.epochs"])
def test_options_of_any_bundled_command_can_be_set(key: str) -> None:
    result = CliRunner().invoke(build_cli(), ["config", "set", key, "200"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{key.replace('_', '-')} = 200" in CliRunner().invoke(build_cli(), ["config"]).stdout


def test_a_key_of_no_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(build_cli(), ["config", "set", "dreams.top", "3"])
    assert (result.exit_code, "dreams" in result.stderr) == (2, True)
