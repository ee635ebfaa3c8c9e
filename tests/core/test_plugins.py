"""A broken, outdated or clashing plugin is listed with its reason and breaks nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.config import Config, Settings
from jnlp.doctor import Level, examine
from jnlp.engine import Engine
from jnlp.errors import JnlpError, UsageError
from jnlp.plugins import import_candidate, installed, load_plugins
from jnlp.registry import Kind

GOOD = """
from jnlp import hookimpl
@hookimpl
def register_tasks(register):
    register("{task}", "{module}:SPEC", summary="Does {task}.")
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write plugin modules and return them as candidates."""
    monkeypatch.syspath_prepend(tmp_path)
    made: list[str] = []

    def make(name: str, source: str):
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        made.append(name)
        return import_candidate(name, name)

    yield make
    for name in made:
        sys.modules.pop(name, None)


BROKEN = [
    ("raises", "raise RuntimeError('こわれた')", "import failed: RuntimeError: こわれた, raises.py:1"),
    ("syntax", "def (", "import failed: SyntaxError"),
    ("absent", "import no_such_module_at_all", "import failed: ModuleNotFoundError"),
    ("leaves", "raise SystemExit('さようなら')", "import failed: SystemExit: さようなら"),
    ("outdated", "jnlp_api = 99", "made for plugin API 99; this jnlp has 1"),
    (
        "unknown_hook",
        "from jnlp import hookimpl\n@hookimpl\ndef register_dreams(register): pass",
        "implements an unknown hook 'register_dreams'",
    ),
    (
        "wrong_argument",
        "from jnlp import hookimpl\n@hookimpl\ndef register_tasks(registry): pass",
        "its hooks failed: PluginValidationError",
    ),
    (
        "hook_raises",
        "from jnlp import hookimpl\n@hookimpl\ndef register_tasks(register): raise ValueError('x')",
        "its hooks failed: ValueError: x, hook_raises.py:3",
    ),
    (
        "clash",
        GOOD.format(task="embed", module="clash"),
        "task 'embed' of plugin 'clash' is already taken by plugin 'core'",
    ),
]


@pytest.mark.parametrize(("name", "source", "reason"), BROKEN)
def test_a_broken_plugin_is_listed_and_breaks_nothing(write, name: str, source: str, reason: str) -> None:
    good = write("fine_before", GOOD.format(task="fine-before", module="fine_before"))
    after = write("fine_after", GOOD.format(task="fine-after", module="fine_after"))
    plugins = load_plugins([good, write(name, source), after])
    infos = {info.name: info for info in plugins.infos}
    assert infos[name].reason is not None
    assert reason in infos[name].reason
    assert infos[name].registrations == ()
    tasks = {entry.name: entry.plugin for entry in plugins.registry.entries(Kind.TASK)}
    assert tasks == {"embed": "core", "fine-before": "fine_before", "fine-after": "fine_after"}


NESTED = """
def greet():
    try:
        return {}["丁寧"]
    except KeyError:
        return polite


SPEC = greet()
"""

OWN = [
    "Traceback (most recent call last):",
    '  File "keigo.py", line 9, in <module>',
    "    SPEC = greet()",
    '  File "keigo.py", line 6, in greet',
    "    return polite",
    "NameError: name 'polite' is not defined",
]
"""What its author is shown: once, without the KeyError that came before and jnlp's own frames."""


def told(text: str, folder: Path) -> list[str]:
    """Return the lines of a traceback without its marks and the folder of its files."""
    return [line.replace(f"{folder}/", "") for line in text.splitlines() if line.strip(" ^~")]


def test_a_module_that_raises_is_shown_by_its_own_traceback_alone(write, tmp_path: Path) -> None:
    info = load_plugins([write("keigo", NESTED)]).infos[-1]
    assert info.reason == "import failed: NameError: name 'polite' is not defined, keigo.py:6"
    assert told(info.trace, tmp_path) == OWN
    broken = load_plugins([write("broken", "x = (")]).infos[-1]
    assert told(broken.trace, tmp_path)[0] == '  File "broken.py", line 1'


@pytest.mark.parametrize("part", ["SPEC", "make"])
def test_a_target_that_raises_is_shown_by_its_own_traceback_and_a_line(write, part: str, tmp_path: Path) -> None:
    write("keigo", NESTED)
    register = GOOD.format(task="polite", module="keigo" if part == "SPEC" else "plain")
    spec = """
from dataclasses import dataclass
from jnlp import TaskSpec
@dataclass(frozen=True, slots=True)
class Nothing: ...
SPEC = TaskSpec("polite", "Be polite.", Nothing, "keigo:make", Nothing)
"""
    plugins = load_plugins([write("plain", register + spec)])
    result = CliRunner().invoke(build_cli(plugins), ["polite", "文。"])
    what = "task 'polite' of plugin 'plain'" if part == "SPEC" else "'keigo:make'"
    line = f"jnlp: error: {what} cannot be loaded: NameError: name 'polite' is not defined, keigo.py:6"
    hint = ["      hint: jnlp plugins"] if part == "SPEC" else []
    assert result.exit_code == 1
    assert told(result.stderr, tmp_path) == [*OWN, line, *hint]


def test_a_target_that_lacks_a_package_is_one_line(write) -> None:
    write("needy", "import no_such_module_at_all")
    plugins = load_plugins([write("thin", GOOD.format(task="needy", module="needy"))])
    result = CliRunner().invoke(build_cli(plugins), ["needy", "文。"])
    assert result.stderr.splitlines() == [
        "jnlp: error: task 'needy' of plugin 'thin' cannot be loaded: ModuleNotFoundError: "
        "No module named 'no_such_module_at_all', needy.py:1",
        "      hint: jnlp plugins",
    ]


def test_an_unknown_command_says_why_plugins_are_not_loaded(write) -> None:
    plugins = load_plugins([write("keigo", NESTED)])
    lines = CliRunner().invoke(build_cli(plugins), ["embd"]).stderr.splitlines()
    assert lines == [
        "jnlp: error: no command is called 'embd'",
        "      hint: did you mean embed? jnlp --help lists all",
        "jnlp: not loaded: keigo (see jnlp plugins): import failed: "
        "NameError: name 'polite' is not defined, keigo.py:6",
    ]
    listed = CliRunner().invoke(build_cli(plugins), ["plugins"]).stdout.splitlines()
    assert "    NameError: name 'polite' is not defined" in listed


OPTIONS = """
from dataclasses import dataclass
from typing import Annotated
from jnlp import Option, TaskSpec
@dataclass(frozen=True, slots=True)
class Manners:
    polite: {field}
SPEC = TaskSpec("polite", "Be polite.", Manners, "manners:make", Manners)
"""


@pytest.mark.parametrize(
    ("field", "lack"),
    [
        ("bool = True", "Manners.polite needs Annotated[…, Option(help=…)]"),
        ("Annotated[bool, 'polite'] = True", "Manners.polite has no Option"),
        ("Annotated[bool, Option('Be polite.')]", "Manners.polite needs a default"),
        ("'Politeness' = True", "Manners: name 'Politeness' is not defined"),
    ],
)
def test_options_that_are_none_are_told_when_they_are_registered(write, field: str, lack: str) -> None:
    source = OPTIONS.format(field=field)
    near = write("manners", GOOD.format(task="polite", module="manners") + source)
    assert load_plugins([near]).infos[-1].reason == f"task 'polite' of plugin 'manners': {lack}"
    write("elsewhere", source)  # not imported till it is asked for
    far = load_plugins([write("manners_far", GOOD.format(task="polite", module="elsewhere"))])
    assert far.infos[-1].reason is None
    result = CliRunner().invoke(build_cli(far), ["polite", "文。"])
    assert (result.exit_code, result.stderr) == (1, f"jnlp: error: task 'polite' of plugin 'manners_far': {lack}\n")


def test_a_clash_brings_nothing_of_the_plugin(write) -> None:
    source = GOOD.format(task="mine", module="greedy") + "    register('embed', 'greedy:SPEC')\n"
    plugins = load_plugins([write("greedy", source)])
    assert plugins.registry.find(Kind.TASK, "mine") is None


@pytest.mark.parametrize(
    ("kind", "name", "extensions", "reason"),
    [
        (
            "readers",
            "mytxt",
            (".mine", ".txt"),
            "reader of '.txt' of plugin 'endings' is already taken by plugin 'core'",
        ),
        ("readers", "mine", (".mine", ".mine"), None),
        ("writers", "mytxt", (".txt",), None),
        ("writers", "mycsv", (".csv",), "writer of '.csv' of plugin 'endings' is already taken by plugin 'core'"),
    ],
)
def test_a_file_name_ending_has_one_owner(write, kind: str, name: str, extensions: tuple, reason: str | None) -> None:
    source = "from jnlp import hookimpl\n@hookimpl\n"
    source += f"def register_{kind}(register): register({name!r}, 'endings:X', extensions={extensions!r})"
    plugins = load_plugins([write("endings", source)])
    assert plugins.infos[-1].reason == (reason and f"{reason} (choose another name)")
    owners = {entry.plugin for entry in plugins.registry.by_extension(Kind.READER).values()}
    assert owners == ({"core", "endings"} if kind == "readers" and reason is None else {"core"})


def test_a_model_that_its_plugin_cannot_supply_breaks_itself_alone(write) -> None:
    source = "from jnlp import hookimpl\n@hookimpl\ndef register_models(register):\n"
    source += "    register('hollow', 'half:NO_SPEC')\n    register('raising', lambda: 1 / 0)"
    engine = Engine(load_plugins([write("half", source)]))
    assert {"hollow", "raising"}.isdisjoint(engine.specs())
    assert engine.resolve("tiny").spec.name == "tiny"
    with pytest.raises(JnlpError, match="model 'hollow' of plugin 'half' cannot be loaded"):
        engine.resolve("hollow")
    findings = {finding.subject: finding for finding in examine(engine)}
    assert findings["model hollow"].level is Level.PROBLEM
    assert findings["model hollow"].text == "plugin 'half' cannot supply it"


def test_doctor_goes_on_where_the_device_is_wrong() -> None:
    engine = Engine(load_plugins([]), Config(Settings(device="quantum")))
    findings = {finding.subject: finding for finding in examine(engine)}
    assert (findings["device"].level, findings["device"].text) == (Level.PROBLEM, "no device 'quantum'")
    assert "models" in findings


def test_doctor_goes_on_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from jnlp.doctor import examine; from jnlp.engine import Engine; from jnlp.plugins import load_plugins\n"
        "for finding in examine(Engine(load_plugins([]))): print(finding.subject, finding.level, finding.text)"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    (device,) = [line for line in lines if line.startswith("device")]
    assert device.startswith("device problem torch does not import")
    assert any(line.startswith("models ok") for line in lines)


def test_a_command_cannot_take_a_task_s_name(write) -> None:
    source = GOOD.format(task="embed", module="command_clash").replace("register_tasks", "register_commands")
    reason = load_plugins([write("command_clash", source)]).infos[-1].reason
    assert reason is not None
    assert "'core'" in reason


def test_a_target_that_is_missing_is_an_error_only_when_asked_for(write) -> None:
    plugins = load_plugins([write("hollow", GOOD.format(task="hollow", module="hollow"))])
    with pytest.raises(JnlpError, match="task 'hollow' of plugin 'hollow' cannot be loaded"):
        plugins.registry.get(Kind.TASK, "hollow")


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UsageError) as caught:
        load_plugins([]).registry.get(Kind.TASK, "embde")
    assert caught.value.message == "no task is called 'embde'"
    assert caught.value.hint == "there are: embed"


def test_plugins_can_be_turned_off(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JNLP_DISABLED_PLUGINS", "noisy, other")
    plugins = load_plugins([write("noisy", "raise SystemError")])
    assert plugins.infos[-1].reason == "turned off by JNLP_DISABLED_PLUGINS"


def test_a_slow_and_a_heavy_import_are_named(write, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = write("slow", "import time; time.sleep(0.06)")
    note = load_plugins([slow]).infos[-1].note
    assert note is not None
    assert note.startswith("its import takes")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setitem(sys.modules, "a_torch", object())
    heavy = write("heavy", "import sys; sys.modules['torch'] = sys.modules['a_torch']")
    note = load_plugins([heavy]).infos[-1].note
    assert note is not None
    assert "torch" in note
    sys.modules.pop("torch", None)


def test_the_bundled_plugins_come_through_entry_points() -> None:
    names = {candidate.name for candidate in installed() if candidate.distribution == "jnlp"}
    assert {"fill-mask", "classify", "toxicity", "pii", "evaluate", "search", "pretrain"} <= names
    assert all(info.reason is None for info in load_plugins().infos if info.distribution == "jnlp")


def test_every_hook_has_a_bundled_user() -> None:
    registry = load_plugins().registry
    assert {kind for kind in Kind if any(registry.entries(kind))} == set(Kind)
