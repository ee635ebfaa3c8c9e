"""A bug in a third party's plugin is shown by the traceback in its own code, wherever it is raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.plugins import import_candidate, load_plugins

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """
from dataclasses import dataclass
import jnlp

def broken(what):
    raise ZeroDivisionError(what)

@dataclass(frozen=True, slots=True)
class Options:
    pass

@dataclass(frozen=True, slots=True)
class Result:
    n: int

def make_make(models, options):
    broken("make")

def make_apply(models, options):
    return lambda texts: broken("apply")

def read(source, options):
    broken("reader")
    yield

MAKE = jnlp.TaskSpec("in-make", "Breaks.", Options, "odd_plugin:make_make", Result)
APPLY = jnlp.TaskSpec("in-apply", "Breaks.", Options, "odd_plugin:make_apply", Result)

@jnlp.hookimpl
def register_tasks(register):
    register("in-make", "odd_plugin:MAKE")
    register("in-apply", "odd_plugin:APPLY")

@jnlp.hookimpl
def register_readers(register):
    register("odd", "odd_plugin:read", extensions=(".odd",))
"""


@pytest.mark.parametrize(
    ("command", "what"), [("in-make", "make"), ("in-apply", "apply"), ("in-apply a.odd", "reader")]
)
def test_the_traceback_begins_in_the_plugin(
    command: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_plugin.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "a.odd").write_text("文\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    name, _, file = command.partition(" ")
    cli = build_cli(load_plugins([import_candidate("odd", "odd_plugin")]))
    done = CliRunner().invoke(cli, [name, file or "文です。"])
    assert done.exit_code == 1
    assert f"plugin 'odd' failed: ZeroDivisionError: {what}, odd_plugin.py:" in done.stderr
    files = [line for line in done.stderr.splitlines() if line.lstrip().startswith("File ")]
    assert files
    assert all("odd_plugin.py" in line for line in files)


EXECUTOR = """
import jnlp

class Direct:
    def __init__(self, prepare):
        self._prepare = prepare

    def map(self, job, records):
        apply = self._prepare(job)
        for record in records:
            yield jnlp.Done(record, apply([record.text])[0])

@jnlp.hookimpl
def register_executors(register):
    register("direct", "direct_plugin:Direct")
"""


@pytest.mark.parametrize("first", ["odd", "direct"])
def test_of_two_plugins_the_one_that_raised_is_named(
    first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_plugin.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "direct_plugin.py").write_text(EXECUTOR, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = sorted(("odd", "direct"), key=lambda name: name != first)
    cli = build_cli(load_plugins([import_candidate(name, f"{name}_plugin") for name in names]))
    done = CliRunner().invoke(cli, ["in-apply", "文です。", "--executor", "direct"])
    assert done.exit_code == 1
    assert "plugin 'odd' failed: ZeroDivisionError: apply, odd_plugin.py:" in done.stderr
