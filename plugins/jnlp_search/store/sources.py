"""What was given to an index: folders and files, each below one of its roots, with how its files are read.

`jnlp index --index DIR` without paths reads them again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.entries import Root


@dataclass(frozen=True, slots=True)
class Source:
    """A folder or file that was given.

    Args:
        path: As the user wrote it, if it can be found there from this folder; else its absolute path.
        read: How its files are read: fields of `jnlp.io.ReadOptions`.
    """

    path: str
    read: Mapping[str, Any]


def record(catalog: Catalog, given: Sequence[tuple[str, Mapping[str, Any]]], /) -> None:
    """Record canonical paths that were given; each replaces those below it.

    Args:
        catalog: Open for writing.
        given: Absolute paths, as `roots.canonical` gives them, and how their files are read, where that is not the
            default.
    """
    roots = catalog.roots()
    known = {(root, below): value for root, below, value in _rows(catalog)}
    new = known.copy()
    for path, read in given:
        if (entry := _entry(roots, path.rstrip("/"))) is None:
            continue
        root, below = entry
        for other in [key for key in new if key[0] == root and _within(key[1], below)]:
            del new[other]
        if not any(key[0] == root and _within(below, key[1]) for key in new):
            new[root, below] = dumps(dict(read), ascii=True)
    if new != known:
        with catalog.transaction():
            catalog.db.execute("DELETE FROM sources")
            rows = [(*key, value) for key, value in new.items()]
            catalog.db.executemany("INSERT INTO sources VALUES (?, ?, ?)", rows)


def sources(catalog: Catalog, /) -> list[Source]:
    """Return what was given, in the order of the roots."""
    roots = {root.id: root for root in catalog.roots()}
    found: list[Source] = []
    for number, below, read in _rows(catalog):
        if number in roots:
            root = roots[number]
            top = root.label if os.path.realpath(root.label) == (root.path or "/") else root.path or "/"
            found.append(Source(f"{top.rstrip('/')}/{below}" if below else top, json.loads(read)))
    return found


def whole_roots(catalog: Catalog, /) -> Iterator[tuple[int, str, str]]:
    """Yield rows of sources for an index that does not have them: whole roots, or the file of a root with one file."""
    sql = """SELECT root, min(path), max(path) FROM documents WHERE root IN (SELECT id FROM roots)
             GROUP BY root ORDER BY root"""
    for root, first, last in catalog.db.execute(sql):
        yield root, first if first == last else "", "{}"


def _rows(catalog: Catalog) -> list[tuple[int, str, str]]:
    return catalog.db.execute("SELECT root, path, read FROM sources ORDER BY root, path").fetchall()


def _entry(roots: Sequence[Root], path: str) -> tuple[int, str] | None:
    """Return a path as (root, path below it), or None if no document of it is in the index."""
    above = [root for root in roots if path == root.path or path.startswith(f"{root.path}/")]
    if not above:
        return None
    root = max(above, key=lambda one: len(one.path))
    return root.id, path[len(root.path) + 1 :]


def _within(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")
