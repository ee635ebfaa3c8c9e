"""A broken, outdated or clashing plugin is listed with its reason and breaks nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
    ("raises", "raise RuntimeError('こわれた')", "import failed: RuntimeError: こわれた"),
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
        "its hooks failed: ValueError: x",
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
    assert load_plugins([heavy]).infos[-1].note == "its import pulls torch; import it where it is used"
    sys.modules.pop("torch", None)


def test_the_bundled_plugins_come_through_entry_points() -> None:
    names = {candidate.name for candidate in installed() if candidate.distribution == "jnlp"}
    assert {"fill-mask", "classify", "toxicity", "search", "pretrain"} <= names
    assert all(info.reason is None for info in load_plugins().infos if info.distribution == "jnlp")


def test_every_hook_has_a_bundled_user() -> None:
    registry = load_plugins().registry
    assert {kind for kind in Kind if any(registry.entries(kind))} == set(Kind)
