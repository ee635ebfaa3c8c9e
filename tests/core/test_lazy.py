"""Packages that import a name when it is asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import jnlp
import jnlp.types


@pytest.mark.parametrize("package", ["jnlp", "jnlp.types", "jnlp_search", "jnlp_fill_mask"])
def test_every_public_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert [name for name in module.__all__ if getattr(module, name, None) is None] == []


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'jnlp\.types' has no attribute 'Nothing'"):
        jnlp.types.Nothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Nothing' from 'jnlp'"):
        from jnlp import Nothing  # noqa: F401


def test_what_is_not_asked_for_is_not_loaded() -> None:
    loaded = "'jnlp.types.search' in sys.modules"
    code = f"import sys, jnlp; print({loaded}, jnlp.Hit.__name__, {loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "Hit", "True"]
