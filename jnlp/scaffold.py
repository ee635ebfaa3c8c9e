"""`jnlp plugins new`: writes a plugin package that works and has a test, for its author to change."""

from __future__ import annotations

import importlib.util
import keyword
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, UsageError
from jnlp.patterns import deferred

if TYPE_CHECKING:
    from pathlib import Path

_NAME = deferred(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")

_PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
description = "A plugin of jnlp."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["jnlp"]

[project.optional-dependencies]
test = ["pytest"]

[project.entry-points.jnlp]
{task} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""

_MODULE = '''\
"""A plugin of jnlp with one task, which counts the sentences of a text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import jnlp


@dataclass(frozen=True, slots=True)
class {classes}Options:
    """The options of the task: each is a flag, a config key and a keyword argument."""

    least: Annotated[int, jnlp.Option(help="Count sentences of at least so many characters.", ge=1)] = 1


@dataclass(frozen=True, slots=True)
class {classes}Result:
    """The result of the task: each field is a column of the output."""

    sentences: int
    longest: str


def make(models: jnlp.Models, options: {classes}Options) -> Callable[[Sequence[str]], list[{classes}Result]]:
    """Return the function from texts to results; import heavy packages here, not at the top.

    `models.embedder()`, `models.masked_lm()` and `models.classifier()` are the model that the user asked for.
    """
    from jnlp.text import sentences

    def count(text: str) -> {classes}Result:
        found = [text[start:end].strip() for start, end in sentences(text)]
        kept = [sentence for sentence in found if len(sentence) >= options.least]
        return {classes}Result(len(kept), max(kept, key=len, default=""))

    return lambda texts: [count(text) for text in texts]


SPEC = jnlp.TaskSpec("{task}", "Count the sentences of each text.", {classes}Options, "{module}:make", {classes}Result)


@jnlp.hookimpl
def register_tasks(register):
    """Register the task."""
    register("{task}", "{module}:SPEC", summary=SPEC.summary)
'''

_TEST = '''\
"""The task through the library and the command line; no network and no model are needed."""

import json

from click.testing import CliRunner
from jnlp.cli import build_cli
from jnlp.engine import Engine
from jnlp.plugins import import_candidate, load_plugins

PLUGINS = load_plugins([import_candidate("{task}", "{module}")])


def test_library():
    [result] = Engine(PLUGINS).run("{task}", ["今日は晴れ。明日は雨だろう。"], least=6)
    assert (result.sentences, result.longest) == (2, "明日は雨だろう。")


def test_command():
    done = CliRunner().invoke(build_cli(PLUGINS), ["{task}", "今日は晴れ。明日は雨。", "--format", "jsonl"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["sentences"] == 2
'''

_README = """\
# {name}

A plugin of [jnlp](https://pypi.org/project/jnlp/): `pip install .`, then

```
jnlp {task} "今日は晴れ。明日は雨。"
jnlp plugins
```

`pip install '.[test]' && pytest` runs the test.
"""


def write_plugin(name: str, parent: Path, /) -> Path:
    """Write a plugin package of one task, with its test, and return its folder.

    Args:
        name: The name of the distribution: `jnlp-haiku` makes the module `jnlp_haiku` and the task `haiku`.
        parent: The folder to make it in.

    Raises:
        UsageError: The name is not a valid package name, or a module of that name is installed.
        JnlpError: The folder exists or cannot be made.
    """
    module, task = name.replace("-", "_"), name.removeprefix("jnlp-")
    if not _NAME.fullmatch(name) or keyword.iskeyword(module):
        raise UsageError(f"a plugin cannot be called '{name}'", hint="lower-case letters, digits and single hyphens")
    if importlib.util.find_spec(module) is not None:
        raise UsageError(f"a module called '{module}' is installed already", hint=f"jnlp plugins new jnlp-{task}-2")
    folder = parent / name
    files = {"pyproject.toml": _PYPROJECT, f"{module}.py": _MODULE, f"test_{module}.py": _TEST, "README.md": _README}
    classes = "".join(part.capitalize() for part in task.split("-"))
    try:
        folder.mkdir(parents=True)
        for file, text in files.items():
            filled = text.format(name=name, module=module, task=task, classes=classes)
            (folder / file).write_text(filled, encoding="utf-8")
    except FileExistsError as error:
        raise JnlpError(f"{folder} exists already", hint="choose another name, or remove it") from error
    except OSError as error:
        raise JnlpError(f"{folder} cannot be written: {(error.strerror or str(error)).lower()}") from error
    return folder
