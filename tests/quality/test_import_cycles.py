"""No circle of imports between files, those within functions included: each file can be read after those it uses."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def files() -> dict[str, Path]:
    """Return the files of the core and of the bundled plugins by module."""
    found = {}
    for base in (ROOT, ROOT / "plugins"):
        for package in sorted(base.glob("jnlp*")):
            for path in package.rglob("*.py"):
                found[".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


def imports(module: str, path: Path, text: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of each import that runs; a name that is imported may be a module itself."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8") if text is None else text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            yield from ((".".join([*above, node.module or ""]).strip("."), alias.name) for alias in node.names)
        waiting.extend(ast.iter_child_nodes(node))


def graph(found: dict[str, Path]) -> dict[str, set[str]]:
    """Return the modules that each module imports."""
    edges: dict[str, set[str]] = {}
    for module, path in found.items():
        named = ((f"{base}.{name}", base) for base, name in imports(module, path))
        edges[module] = {next((name for name in names if name in found), "") for names in named} - {"", module}
    return edges


def test_no_files_import_each_other() -> None:
    edges = graph(files())
    assert len(edges) > 200
    assert sum(map(len, edges.values())) > 500
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import jnlp.engine", ("jnlp.engine", "")),
        ("from jnlp import engine", ("jnlp", "engine")),
        ("def f():\n    from jnlp.engine import Engine", ("jnlp.engine", "Engine")),
        ("from .align import Aligned", ("jnlp.text.align", "Aligned")),
        ("from . import align", ("jnlp.text", "align")),
        ("from ..errors import JnlpError", ("jnlp.errors", "JnlpError")),
        ("if TYPE_CHECKING:\n    import os\nelse:\n    import sys", ("sys", "")),
    ],
)
def test_imports_of_every_form_are_found(text: str, expected: tuple[str, str]) -> None:
    assert list(imports("jnlp.text.normalize", Path("normalize.py"), text)) == [expected]
