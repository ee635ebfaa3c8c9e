"""Packages whose names are imported when they are first asked for, so that a command loads only what it needs."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def attributes(package: str, homes: Mapping[str, Sequence[str]], /) -> Callable[[str], object]:
    """Return the `__getattr__` of a package: it imports the module that has a name.

    Args:
        package: The name of the package.
        homes: Names by the module that has them.

    Example:
        >>> find = attributes("jnlp", {"json": ["loads"]})
        >>> find("loads")("[1]")
        [1]
        >>> find("load_all")
        Traceback (most recent call last):
        AttributeError: module 'jnlp' has no attribute 'load_all'
    """
    modules = {name: module for module, names in homes.items() for name in names}

    def find(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
