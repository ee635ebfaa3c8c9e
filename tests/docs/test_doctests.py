"""The examples in docstrings of the library run, and everything public has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import shutil
from typing import TYPE_CHECKING

import pytest

import jnlp
import jnlp.io
import jnlp.text
import jnlp.types
from jnlp.engine import Engine
from jnlp.plugins import load_plugins
from jnlp_search import Index
from jnlp_search.kept_index import KeptIndex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGES = (jnlp.text, jnlp.io, jnlp.types)
MODULES = [
    "jnlp",
    "jnlp.engine",
    "jnlp.errors",
    "jnlp.jobs",
    "jnlp.strict_json",
    "jnlp.surrogates",
    "jnlp.terminal",
    "jnlp_search.index",
    "jnlp_search.kept_index",
    *(
        module.name
        for package in PACKAGES
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ),
]
RULES = "第一条　この規程は、休暇について定める。\n第二条　年次有給休暇は、二十日とする。\n"
REVIEWS = ("受付{n}は対応が早くて助かった。,良い", "受付{n}は二度と使わない。,悪い")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the examples: a document, a table, an index."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "文書").mkdir()
    (folder / "文書" / "規程.txt").write_text(RULES, encoding="utf-8")
    rows = [row.format(n=n) for n in range(1, 13) for row in REVIEWS]
    (folder / "感想.csv").write_text("\n".join(["本文,評価", *rows]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def nlp(files: Path) -> Engine:
    """Return an engine without anybody's configuration, after it has indexed the documents."""
    engine = Engine(load_plugins())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(files)
        with engine.index("my.idx") as index:
            index.add(["文書"])
    return engine


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_say(
    name: str, nlp: Engine, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for number, test in enumerate(doctest.DocTestFinder().find(module)):
        if not test.examples:
            continue
        monkeypatch.chdir(shutil.copytree(files, tmp_path / str(number)))  # what one example writes no other sees
        test.globs |= {"jnlp": jnlp, "nlp": nlp}
        with Index.open("my.idx", nlp) as test.globs["index"]:
            runner.run(test, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0


def functions_and_classes() -> Iterator[tuple[str, object]]:
    """Yield what the library offers by name; protocols describe what others write."""
    for module in (jnlp, jnlp.text, jnlp.io):
        for name in module.__all__:
            item = getattr(module, name)
            if inspect.isfunction(item) or (inspect.isclass(item) and not getattr(item, "_is_protocol", False)):
                yield f"{module.__name__}.{name}", item


def methods() -> Iterator[tuple[str, object]]:
    """Yield the public methods and properties of the classes that one works with."""
    for name, owner in [*functions_and_classes(), ("jnlp_search.Index", Index), ("jnlp_search.Index", KeptIndex)]:
        for member, value in vars(owner).items() if inspect.isclass(owner) else ():
            value = getattr(value, "__func__", value)
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                yield f"{name}.{member}", value


@pytest.mark.parametrize(
    ("name", "item"), [*functions_and_classes(), *methods()], ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_public_has_an_example(name: str, item: object) -> None:
    assert ">>>" in (item.__doc__ or "")
