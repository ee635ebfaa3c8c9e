"""JSON is written in one place, where it is strict: `jnlp.strict_json`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {"jnlp/strict_json.py": "the helper itself"}
"""Files that may use the writers of `json`, each with a reason."""
WRITERS = {"dump", "dumps", "JSONEncoder"}


def writers(text: str) -> list[int]:
    """Return the lines that use a writer of `json`."""
    found = []
    for node in ast.walk(ast.parse(text)):
        of_module = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "json"
        imported = isinstance(node, ast.ImportFrom) and node.module == "json"
        if (of_module and node.attr in WRITERS) or (imported and WRITERS & {name.name for name in node.names}):
            found.append(node.lineno)
    return found


def test_json_is_written_by_the_helper_alone() -> None:
    files = sorted([*ROOT.glob("jnlp/**/*.py"), *ROOT.glob("plugins/**/*.py")])
    assert len(files) > 200
    found = {str(path.relative_to(ROOT)): writers(path.read_text(encoding="utf-8")) for path in files}
    assert {name: lines for name, lines in found.items() if lines}.keys() == ALLOWED.keys()


@pytest.mark.parametrize("text", ["json.dumps(1)", "x = json.JSONEncoder", "from json import dump", "json.dump(1, f)"])
def test_every_form_is_found(text: str) -> None:
    assert writers(text) == [1]
    assert not writers("json.loads('1')")
