"""`jnlp --help`, completion and `--help` of a command load nothing heavy, with twenty plugins too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "sentence_transformers", "faiss", "numpy", "pydantic", "rich", "sudachipy", "pyarrow")

PROBE = f"""
import re, sys
sys.argv[0] = "jnlp"
compiled, compile_now = [], re.compile
def compile_and_note(*arguments, **named):
    compiled.append(sys._getframe(1).f_globals["__name__"])
    return compile_now(*arguments, **named)
re.compile = compile_and_note
from jnlp.cli.app import build_cli
try:
    build_cli()(prog_name="jnlp")
except SystemExit:
    pass
print("HEAVY", *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
print("COMPILED", *sorted({{name for name in compiled if name.startswith("jnlp")}}), file=sys.stderr)
print("LOADED", *sorted(name for name in sys.modules if name.startswith("jnlp_")), file=sys.stderr)
print("ALL", *sorted(sys.modules), file=sys.stderr)
"""

NEEDLESS = {
    "search": (
        "importlib.metadata importlib.resources tempfile tomllib difflib "
        "jnlp.batch jnlp.cli.task jnlp.io.reading.readers jnlp.io.reading.walk jnlp.text.markup "
        "jnlp_search.builder jnlp_search.draft jnlp_search.late jnlp_search.where.parse"
    ),
    "toxicity": (
        "ctypes importlib.metadata importlib.resources subprocess tempfile shutil tomllib difflib email logging "
        "jnlp.text.markup jnlp.encoder.load jnlp.models.resolve jnlp_toxicity.grams"
    ),
}
"""By command, modules that an answer on a CPU does not need: in all a third of the time to import."""


def probe(*arguments: str, env: dict[str, str] | None = None) -> tuple[str, list[str], list[str]]:
    """Run the command line in a fresh process; return stdout, heavy modules, plugin modules."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, env={**os.environ, **(env or {})}
    )
    lines = {line.split()[0]: line.split()[1:] for line in done.stderr.splitlines() if line.strip()}
    assert "HEAVY" in lines, done.stderr
    return done.stdout, lines["HEAVY"], lines["LOADED"]


def patterns(*arguments: str) -> list[str]:
    """Run the command line in a fresh process; return the modules of jnlp that compiled a regular expression."""
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("COMPILED")]
    return line.split()[1:]


def light(loaded: list[str]) -> bool:
    """A plugin's package, its spec and the doors of its library are light; all else is loaded when it is asked for."""
    return all(name.partition(".")[2] in ("", "spec", "options", "index", "several") for name in loaded)


def test_help_loads_nothing_heavy() -> None:
    out, heavy, loaded = probe("--help")
    assert heavy == []
    assert "fill-mask" in out
    assert light(loaded), "a plugin loads more than its __init__ and its spec"


@pytest.mark.parametrize("arguments", [("--help",), ("search", "--help"), ("embed", "--help")])
def test_help_compiles_no_regular_expression(arguments: tuple[str, ...]) -> None:
    assert patterns(*arguments) == []


@pytest.mark.parametrize(
    "command", ["fill-mask", "classify", "toxicity", "pii", "evaluate", "embed", "index", "search", "pretrain"]
)
def test_the_help_of_a_command_loads_nothing_heavy(command: str) -> None:
    out, heavy, _ = probe(command, "--help")
    assert heavy == []
    assert f"Usage: jnlp {command}" in out


def test_completion_loads_only_the_asked_command() -> None:
    env = {"_JNLP_COMPLETE": "bash_complete", "COMP_WORDS": "jnlp fill-mask --t", "COMP_CWORD": "2"}
    out, heavy, loaded = probe(env=env)
    assert "--top" in out
    assert heavy == []
    assert light([name for name in loaded if not name.startswith("jnlp_fill_mask")])


def test_completion_of_names_loads_no_command() -> None:
    out, heavy, loaded = probe(env={"_JNLP_COMPLETE": "bash_complete", "COMP_WORDS": "jnlp fi", "COMP_CWORD": "1"})
    assert "fill-mask" in out
    assert heavy == []
    assert light(loaded)


def test_twenty_plugins_stay_light(tmp_path: Path) -> None:
    for number in range(20):
        name = f"many_{number:02d}"
        (tmp_path / f"{name}.py").write_text(
            "from jnlp import hookimpl\n@hookimpl\ndef register_tasks(register):\n"
            f"    register('many-{number:02d}', '{name}_heavy:SPEC', summary='Plugin {number}.')\n"
        )
        (tmp_path / f"{name}_heavy.py").write_text("import numpy, pydantic, rich\n")
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[jnlp]\n{name} = {name}\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    out, heavy, _ = probe("--help", env={"PYTHONPATH": path})
    assert sum(f"many-{number:02d}" in out for number in range(20)) == 20
    assert heavy == []


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two documents, with vectors."""
    folder = tmp_path_factory.mktemp("index")
    (folder / "規程.txt").write_text("年次有給休暇は二十日とする。", encoding="utf-8")
    (folder / "旅費.txt").write_text("出張の費用は月末に精算する。", encoding="utf-8")
    probe("index", str(folder), "--index", str(folder / "my.idx"))
    return folder / "my.idx"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["fill-mask", "今日は<mask>です。"], "sequence"),
        (["embed", "今日は晴れ。"], "vector"),
        (["classify", "今日は晴れ。", "--labels", "天気,料理"], "天気"),
        (["toxicity", "ありがとう。"], "toxic"),
        (["search", "INDEX", "休暇は何日か"], "規程.txt"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_answer_on_a_cpu_loads_no_torch(arguments: list[str], found: str, index: Path, kernel_cache: Path) -> None:
    given = [str(index) if each == "INDEX" else each for each in arguments]
    out, heavy, _ = probe(*given, "--device", "cpu", env={"XDG_CACHE_HOME": str(kernel_cache)})
    assert found in out
    assert not {"torch", "transformers", "sentence_transformers", "pydantic", "rich", "pyarrow"} & set(heavy)
    assert ("faiss" in heavy) == (arguments[0] == "search")


@pytest.mark.parametrize(
    "arguments",
    [("search", "INDEX", "休暇は何日か", "--device", "cpu"), ("toxicity", "消えろ、クズ。", "--rules-only")],
    ids=lambda arguments: arguments[0],
)
def test_an_answer_loads_no_module_that_it_does_not_need(
    arguments: tuple[str, ...], index: Path, kernel_cache: Path
) -> None:
    given = [str(index) if each == "INDEX" else each for each in arguments]
    command = [sys.executable, "-c", PROBE, *given]
    env = {**os.environ, "XDG_CACHE_HOME": str(kernel_cache), "JNLP_CONFIG": str(index / "absent")}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ALL")]
    assert "jnlp.cli" in line.split(), done.stderr
    assert set(NEEDLESS[arguments[0]].split()) & set(line.split()) == set()


def test_word_lists_load_neither_torch_nor_numpy() -> None:
    out, heavy, _ = probe("toxicity", "消えろ、クズ。", "--rules-only")
    assert "insult" in out
    assert not {"torch", "transformers", "numpy", "faiss"} & set(heavy)


START = """
import gc, sys
sys.argv = ["jnlp", "toxicity", "ありがとう。", "--rules-only"]
import os
ran, end = [], os._exit
gc.callbacks.append(lambda phase, info: ran.append(info["generation"]))
before = gc.get_threshold()
def leave(code):
    print(len(ran), gc.get_threshold() == before, file=sys.stderr)
    gc.collect()
    print(gc.get_threshold() == before, file=sys.stderr)
    end(code)
os._exit = leave
from jnlp.cli import main
ran.clear()
main()
"""


def test_no_garbage_is_looked_for_until_a_command_has_started() -> None:
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True)
    assert done.stderr.split() == ["0", "False", "True"], done.stderr
