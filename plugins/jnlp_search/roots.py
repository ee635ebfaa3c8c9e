"""Identifies the document of a record: its file, relative to one of the index's roots, and its key in the file.

All spellings of a path are the same file: relative, absolute, with `..`, through a link to its folder. If the documents
have moved to another folder or machine, `--base` gives the roots their new paths, and nothing is read again.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from jnlp.errors import UsageError
from jnlp.io.reading.names import composed_path, path_on_disk
from jnlp.patterns import deferred
from jnlp_search.store.entries import Root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Record
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.entries import Document

NO_FILE = frozenset({"arg", "stdin"})
"""Sources of records that were not read from a file."""

_ESCAPED = deferred(r"\\udc([89a-f][0-9a-f])")


class Roots:
    """The roots of an index; a new root is added for a file that is below none.

    Args:
        catalogs: Those of its shards, open for writing; all have the same roots.
        sources: The files and folders that are indexed, as the user wrote them.
    """

    def __init__(self, catalogs: Sequence[Catalog], sources: Sequence[str | Path] = (), /) -> None:
        self._catalogs = catalogs
        self._known = {root.path: root for root in catalogs[0].roots()}
        self._offered = sorted({_offer(str(source)) for source in sources if str(source) not in NO_FILE | {"-"}})

    def identify(self, record: Record, /) -> tuple[tuple[int, str, str], int]:
        """Return a record's identity (root, path, key), and 1 if the key is the user's id, else 0."""
        source = record.source.path
        if source in NO_FILE:
            return (0, "", record.id), 1
        root, path = self.place(source)
        if record.id == source:
            return (root, path, ""), 0
        if record.id.startswith(f"{source}:"):
            return (root, path, record.id[len(source) :]), 0
        return (root, path, record.id), 1

    def find(self, path: str, /) -> tuple[int, str] | None:
        """Return the root of a canonical path, by number, and the path below it; None if it is below none."""
        above = [root for root in self._known if is_below(path, root)]
        if not above:
            return None
        root = self._known[max(above, key=len)]
        return root.id, path[len(root.path) + 1 :]

    def place(self, source: str, /) -> tuple[int, str]:
        """Return the root of a file, by number, and the file's path below it."""
        path = canonical(source)
        known = self.find(path)
        if known is not None:
            return known
        offered = [pair for pair in self._offered if is_below(path, pair[0])]
        parent = (path.rpartition("/")[0], escape_path(os.path.dirname(source) or "."))  # noqa: PTH120 - of a shown name
        root_path, label = min(offered, key=lambda pair: len(pair[0])) if offered else parent
        number: int | None = None
        for catalog in self._catalogs:
            with catalog.transaction():
                self._known[root_path] = catalog.add_root(root_path, label, number=number)
            number = self._known[root_path].id
        return self._known[root_path].id, path[len(root_path) + 1 :]


def move(catalog: Catalog, base: str, /) -> None:
    """Set the new paths of the roots: each is now in the folder `base`; a single root may be `base` itself.

    Raises:
        UsageError: A root cannot be found there.
    """
    roots, place = catalog.roots(), Path(base)
    moved: list[Root] = []
    for root in roots:
        name = PurePosixPath(root.path).name
        there = place / name if (place / name).is_dir() else place if len(roots) == 1 else None
        if there is None or not there.is_dir():
            raise UsageError(f"{base} has no folder '{name}'", hint=f"--base: the folder that {root.label} is in now")
        moved.append(Root(root.id, canonical_folder(str(there)), composed_path(escape_path(there.as_posix()))))
    if moved == roots:
        return
    with catalog.transaction():
        for root in roots:  # paths are unique, and two roots may change places
            catalog.move_root(Root(root.id, f"\0{root.id}", root.label))
        for root in moved:
            catalog.move_root(root)


def display_path(document: Document, roots: dict[int, Root], /) -> str | None:
    """Return a document's file as the user wrote it, or None for a document without a file."""
    root = roots.get(document.root)
    if root is None:
        return None
    if root.label == ".":
        return document.path
    return f"{root.label.rstrip('/')}/{document.path}"


def display_name(document: Document, roots: dict[int, Root], /) -> str:
    """Return a document's name: the user's id, else its file, and the row in it."""
    return document.key if document.named else f"{display_path(document, roots) or ''}{document.key}"


def file_is_there(document: Document, roots: dict[int, Root], /) -> bool:
    """Whether the file of a document is where it was indexed."""
    root = roots.get(document.root)
    return root is not None and os.path.lexists(_unescape_path(f"{root.path}/{document.path}"))


def canonical(path: str, /) -> str:
    """Return the canonical absolute path of a file: links in its folder resolved, its own name kept.

    Example:
        >>> canonical("docs/../docs/a.txt") == canonical("docs/a.txt")
        True
    """
    folder, name = os.path.split(_unescape_path(path).rstrip("/") or "/")
    if name in ("", ".", ".."):
        return canonical_folder(path)
    whole = f"{canonical_folder(folder or '.')}/{escape_path(name)}"
    return composed_path(whole)


@lru_cache(maxsize=4096)
def _real(folder: str, _working: str) -> str:
    return composed_path(escape_path(os.path.realpath(folder))).rstrip("/")


def canonical_folder(folder: str, /) -> str:
    """Return the canonical absolute path of a folder: links resolved, no final slash; "" is /."""
    return _real(_unescape_path(folder), os.getcwd())  # noqa: PTH109 - a string, for the cache


def is_below(path: str, folder: str, /) -> bool:
    """Whether a canonical path is in a canonical folder."""
    return path.startswith(f"{folder}/")


def escape_path(path: str, /) -> str:
    r"""Return a path as text to store and print: bytes that are not UTF-8 become `\udcff`, as in readers."""
    return path.encode("utf-8", "backslashreplace").decode()


def _unescape_path(path: str) -> str:
    """Undo `escape_path`, and the composed form of names, if a file of that name exists."""
    if r"\udc" not in path:
        return path_on_disk(path)
    raw = _ESCAPED.sub(lambda match: chr(0xDC00 + int(match[1], 16)), path)
    return raw if os.path.lexists(raw) else path


def _offer(source: str) -> tuple[str, str]:
    """Return the path and label of the root for a source."""
    if Path(source).is_dir():
        return canonical_folder(source), composed_path(escape_path(os.path.normpath(source)))
    folder = os.path.dirname(source) or "."  # noqa: PTH120 - text, not a path
    return canonical_folder(folder), composed_path(escape_path(os.path.normpath(folder)))
