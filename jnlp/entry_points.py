"""Entry points and versions, read from the metadata of installed packages.

`importlib.metadata` takes longer to import than these files to read; it is asked where packages may be found otherwise:
in archives, eggs, and through finders of their own.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class EntryPoint(NamedTuple):
    """One entry point, and the installed package that declares it."""

    name: str
    value: str
    distribution: str
    version: str

    @property
    def module(self) -> str:
        """The module that it names.

        Example:
            >>> EntryPoint("hello", "jnlp_hello.plugin:hooks", "jnlp-hello", "1.0").module
            'jnlp_hello.plugin'
        """
        return self._parts()[0]

    def load(self) -> object:
        """Import and return what it names.

        Example:
            >>> EntryPoint("json", "json:loads", "", "").load()("1")
            1
        """
        module, attribute = self._parts()
        loaded = import_module(module)
        return attrgetter(attribute)(loaded) if attribute else loaded

    def _parts(self) -> tuple[str, str]:
        module, _, attribute = self.value.partition("[")[0].partition(":")
        return module.strip(), attribute.strip()


def entry_points(group: str, /) -> list[EntryPoint]:
    """Return the entry points of a group; of two packages of one name, those of the first on `sys.path`.

    Example:
        >>> [point.module for point in entry_points("jnlp") if point.name == "fill-mask"]
        ['jnlp_fill_mask']
    """
    if _is_for_library():
        return _by_library(group)
    found, seen = [], set[str]()
    for package, folder in _packages():
        if package not in seen:
            seen.add(package)
            found += _declared(folder, group)
    return found


def installed_version(name: str, /) -> str:
    """Return the version of an installed package.

    Raises:
        PackageNotFoundError: There is none of that name; an ImportError.

    Example:
        >>> installed_version("jnlp") == jnlp.__version__
        True
    """
    wanted = _normalized(name)
    for package, folder in () if _is_for_library() else _packages():
        if package == wanted and (version := _about(folder).get("version")):
            return version
    from importlib import metadata

    return metadata.version(name)


def _packages() -> Iterator[tuple[str, str]]:
    """Yield the installed packages: their names, and the folders of their metadata."""
    for folder in sys.path:
        for name in _metadata_folders(folder):
            yield _normalized(name.rpartition(".")[0].partition("-")[0]), os.path.join(folder, name)  # noqa: PTH118 - half of the time is pathlib's


def _is_for_library() -> bool:
    """Return True if packages may be elsewhere than in folders of `sys.path`."""
    return any(map(_needs_library, sys.path)) or any(map(_finds_packages, sys.meta_path))


def _needs_library(folder: str) -> bool:
    return folder.endswith((".egg", ".egg/")) or os.path.isfile(folder)  # noqa: PTH113 - as above


def _finds_packages(finder: object) -> bool:
    return hasattr(finder, "find_distributions") and getattr(finder, "__name__", "") != "PathFinder"


def _by_library(group: str) -> list[EntryPoint]:
    from importlib import metadata

    found = []
    for point in metadata.entry_points(group=group):
        name, version = (point.dist.name, point.dist.version) if point.dist is not None else ("", "")
        found.append(EntryPoint(point.name, point.value, name, version))
    return found


def _metadata_folders(folder: str) -> list[str]:
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208 - as above
    except OSError:  # most Pythons name a folder or an archive that does not exist
        return []
    return [name for name in names if name.endswith((".dist-info", ".egg-info"))]


def _normalized(name: str) -> str:
    """Return a package's name as two spellings of it compare: `Jnlp.hello` and `jnlp-hello` are `jnlp_hello`."""
    return "_".join(filter(None, name.lower().replace(".", "_").replace("-", "_").split("_")))


def _declared(folder: str, group: str) -> list[EntryPoint]:
    """Return the entry points in a folder of metadata."""
    text = _read(folder, "entry_points.txt")
    if f"[{group}]" not in text:
        return []
    about = _about(folder)
    return [
        EntryPoint(name, value, about.get("name", ""), about.get("version", ""))
        for section, name, value in _settings(text)
        if section == group
    ]


def _about(folder: str) -> dict[str, str]:
    """Return the headers of a package's metadata, by lower-case names."""
    return dict(_headers(_read(folder, "METADATA") or _read(folder, "PKG-INFO")))


def _settings(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield section, name and value of each line."""
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif line and not line.startswith("#") and "=" in line:
            name, _, value = line.partition("=")
            yield section, name.strip(), value.strip()


def _headers(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            return
        yield name.lower(), value.strip()


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:  # noqa: PTH118, PTH123
            return file.read()
    except OSError:
        return ""
