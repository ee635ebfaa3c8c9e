"""Finds documents of an index by id, name, file or folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.errors import UsageError
from jnlp_search.roots import canonical, canonical_folder, display_name, display_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from jnlp_search.store.catalog import Catalog

_PATH = "roots.path || '/' || documents.path"


def find(catalogs: Sequence[Catalog], index: Path, names: Sequence[str], /) -> list[list[int]]:
    """Return the numbers of the documents that `names` match, ascending, for each shard of an index.

    A name is a row's id, a document's name as in hits, a file or folder in any spelling, or `FILE#ID`.

    Args:
        catalogs: Those of the shards.
        index: The index's folder.
        names: The names.

    Raises:
        UsageError: A name matches nothing, or rows of several files.
    """
    found: list[set[int]] = [set() for _ in catalogs]
    for name in names:
        some = _ids(catalogs, name) or _each(catalogs, name, _below) or _each(catalogs, name, _rows)
        some = some or _each(catalogs, name, _displayed)
        if not some:
            raise UsageError(f"{name} is not in {index}: nothing was removed", hint=f"jnlp index list {index}")
        for shard, number in some:
            found[shard].add(number)
    return [sorted(numbers) for numbers in found]


def _each(
    catalogs: Sequence[Catalog], name: str, look: Callable[[Catalog, str], Iterator[int]]
) -> list[tuple[int, int]]:
    """Return what a function finds in each shard: the shard's number, and the document's."""
    return [(shard, number) for shard, catalog in enumerate(catalogs) for number in look(catalog, name)]


def _ids(catalogs: Sequence[Catalog], name: str) -> list[tuple[int, int]]:
    """Return the row that has an id.

    Raises:
        UsageError: Rows of several files have it.
    """

    def rows(catalog: Catalog, name: str) -> Iterator[int]:
        sql = "SELECT id FROM documents WHERE key = ? AND named = 1"
        yield from (row[0] for row in catalog.db.execute(sql, (_text(name),)).fetchall())

    found = _each(catalogs, name, rows)
    if len(found) > 1:
        roots = {root.id: root for root in catalogs[0].roots()}
        first = sorted(found, key=lambda pair: pair[1])[:3]
        some = [document for shard, number in first for _, document in catalogs[shard].documents([number])]
        files = ", ".join(f"{display_path(document, roots) or ''}#{document.key}" for document in some)
        raise UsageError(f"{len(found)} documents have the id '{name}'", hint=f"name one by its file: {files}")
    return found


def _displayed(catalog: Catalog, name: str) -> Iterator[int]:
    """Yield the documents that hits call by a name."""
    roots = {root.id: root for root in catalog.roots()}
    yield from (number for number, document in catalog.documents() if display_name(document, roots) == name)


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
