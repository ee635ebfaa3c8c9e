"""The examples in docstrings of the library."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import jnlp.text

MODULES = ["jnlp", *(module.name for module in pkgutil.walk_packages(jnlp.text.__path__, "jnlp.text."))]
WITH_EXAMPLES = ["align", "normalize", "paragraphs", "sentences", "encodings"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_give_what_they_say(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_public_functions_have_an_example(name: str) -> None:
    module = importlib.import_module(f"jnlp.text.{name}")
    public = [getattr(jnlp.text, item) for item in jnlp.text.__all__]
    functions = [f for f in public if callable(f) and not isinstance(f, type) and f.__module__ == module.__name__]
    assert functions
    assert not [f.__name__ for f in functions if ">>>" not in (f.__doc__ or "")]
