"""The project's own standards, one test a tool."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = ("jnlp", "plugins", "tests", "docs")


def check(root: Path, *command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_format(root: Path) -> None:
    check(root, "ruff", "format", "--check", *FOLDERS)


def test_ruff_check(root: Path) -> None:
    check(root, "ruff", "check", *FOLDERS)


def test_mypy_strict(root: Path) -> None:
    plugins = sorted(str(path.relative_to(root)) for path in (root / "plugins").glob("jnlp_*"))
    check(root, "mypy", "jnlp", *plugins)


def test_import_layers(root: Path) -> None:
    script = Path(sys.executable).with_name("lint-imports")
    if not script.exists():
        pytest.fail("lint-imports is not installed: pip install -e '.[dev]'")
    done = subprocess.run([script], cwd=root, capture_output=True, text=True, env={"PYTHONPATH": str(root), "PATH": ""})
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_outgrows_its_name(root: Path) -> None:
    """A module over 500 lines, or a command-line file over 150, wants to be two."""
    too_long = []
    for path in [*(root / "jnlp").rglob("*.py"), *(root / "plugins").rglob("*.py")]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        limit = 150 if "cli" in path.relative_to(root).parts or path.name == "cli.py" else 500
        if lines > limit:
            too_long.append(f"{path.relative_to(root)}: {lines}")
    assert not too_long
