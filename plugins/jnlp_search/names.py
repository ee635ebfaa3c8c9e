"""Finds documents of an index by id, name, file or folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.errors import UsageError
from jnlp_search.roots import canonical, canonical_folder, display_name, display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp_search.store.catalog import Catalog

_PATH = "roots.path || '/' || documents.path"


def find(catalog: Catalog, names: Sequence[str], /) -> list[int]:
    """Return the numbers of the documents that `names` match, ascending.

    A name is a row's id, a document's name as in hits, a file or folder in any spelling, or `FILE#ID`.

    Raises:
        UsageError: A name matches nothing, or rows of several files.
    """
    return sorted({number for name in names for number in _find(catalog, name)})


def _find(catalog: Catalog, name: str) -> list[int]:
    roots = {root.id: root for root in catalog.roots()}
    rows = catalog.db.execute("SELECT id FROM documents WHERE key = ? AND named = 1", (_text(name),)).fetchall()
    if len(rows) > 1:
        some = list(catalog.documents([row[0] for row in rows[:3]]))
        files = ", ".join(f"{display_path(document, roots) or ''}#{document.key}" for _, document in some)
        raise UsageError(f"{len(rows)} documents have the id '{name}'", hint=f"name one by its file: {files}")
    found = [row[0] for row in rows] or list(_below(catalog, name)) or list(_rows(catalog, name))
    if not found:
        found = [number for number, document in catalog.documents() if display_name(document, roots) == name]
    if not found:
        raise UsageError(
            f"{name} is not in {catalog.folder}: nothing was removed", hint=f"jnlp index list {catalog.folder}"
        )
    return found


def _below(catalog: Catalog, name: str) -> Iterator[int]:
    """Yield the documents of a file, or of the files in a folder."""
    if not name.strip():
        return
    for path in dict.fromkeys((canonical(name), canonical_folder(name))):
        below = path.rstrip("/") + "/"
        sql = f"""SELECT documents.id FROM documents JOIN roots ON roots.id = root
                  WHERE {_PATH} = ? OR substr({_PATH}, 1, ?) = ?"""
        yield from (row[0] for row in catalog.db.execute(sql, (path, len(below), below)))


def _rows(catalog: Catalog, name: str) -> Iterator[int]:
    """Yield the document that `FILE#ID` or `FILE:LINE` names."""
    for mark in "#:":
        file, found, key = name.rpartition(mark)
        if found and file:
            sql = f"""SELECT documents.id FROM documents JOIN roots ON roots.id = root
                      WHERE {_PATH} = ? AND key = ? AND named = ?"""
            values = (canonical(file), _text(key if mark == "#" else f":{key}"), int(mark == "#"))
            yield from (row[0] for row in catalog.db.execute(sql, values))


def _text(name: str) -> str:
    """Return a name that SQLite accepts; names with undecodable bytes match no key."""
    return name.encode("utf-8", "backslashreplace").decode()
