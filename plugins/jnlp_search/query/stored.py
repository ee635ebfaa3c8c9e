"""A document put together from the passages that an index holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jnlp.errors import UsageError
from jnlp.types import StoredDocument
from jnlp_search.query.joining import overlap
from jnlp_search.query.view import hit_of, place_of
from jnlp_search.roots import display_name, display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.entries import Document, Passage, Root

GAP = "\n\n"
"""The text between two passages that do not meet."""


def stored_document(catalogs: Sequence[Catalog], index: Path, name: str, /) -> StoredDocument:
    """Return the document that hits call `name`, or that `Place.name` does; the caller holds snapshots.

    Names are compared with the catalogues; the file system is not asked.

    Args:
        catalogs: Those of the index's shards.
        index: Its folder.
        name: The document.

    Raises:
        UsageError: No document has this name.
    """
    roots = {root.id: root for root in catalogs[0].roots()}
    firsts = [(*first, catalog) for catalog in catalogs if (first := next(_named(catalog, name, roots), None))]
    if not firsts:
        raise UsageError("no document has this name", hint=f"jnlp index list {index}")
    _, number, document, catalog = min(firsts, key=lambda first: first[:2])
    numbers = catalog.db.execute("SELECT id FROM chunks WHERE document = ? ORDER BY ordinal", (number,))
    found = catalog.passages([row[0] for row in numbers])
    passages = sorted(found.values(), key=lambda passage: passage.ordinal)
    text, at = _join(passages)
    return StoredDocument(
        place=place_of(document, roots),
        title=document.title,
        text=text,
        passages=tuple(hit_of(passage, document, roots) for passage in passages),
        at=tuple(at),
        metadata=json.loads(document.metadata),
    )


def _named(catalog: Catalog, name: str, roots: dict[int, Root]) -> Iterator[tuple[int, int, Document]]:
    """Yield documents with a name: by id, then by file and row; 0 or their root, their number, and their entry."""
    asked = name.encode("utf-8", "backslashreplace").decode()
    rows = catalog.db.execute("SELECT id FROM documents WHERE key = ? AND named = 1 ORDER BY id", (asked,)).fetchall()
    for number, document in catalog.documents([row[0] for row in rows]):
        yield 0, number, document
    for root in roots.values():
        below = "" if root.label == "." else f"{root.label.rstrip('/')}/"
        if not asked.startswith(below):
            continue
        sql = "SELECT id FROM documents WHERE root = ? AND substr(?, 1, length(path)) = path ORDER BY id"
        rows = catalog.db.execute(sql, (root.id, asked[len(below) :])).fetchall()
        for number, document in catalog.documents([row[0] for row in rows]):
            if asked in (display_name(document, roots), f"{display_path(document, roots)}#{document.key}"):
                yield root.id, number, document


def _join(passages: Sequence[Passage]) -> tuple[str, list[tuple[int, int]]]:
    """Return the text of passages in order, and the offsets of each in it."""
    parts: list[str] = []
    at: list[tuple[int, int]] = []
    length = 0
    last: Passage | None = None
    for passage in passages:
        shared = overlap(last, passage) if last is not None else 0
        new = passage.text[shared:]
        if last is not None and not shared:
            gap = GAP if passage.start > last.stop else ""
            parts.append(gap)
            length += len(gap)
        parts.append(new)
        at.append((length - shared, length + len(new)))
        length += len(new)
        last = passage
    return "".join(parts), at
