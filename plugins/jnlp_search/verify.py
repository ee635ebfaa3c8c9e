"""Says whether an index is whole: its catalogue, its full text, its vectors and its segment files."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp_search.catalog import Catalog
from jnlp_search.segments import FOLDER, intact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jnlp_search.catalog import Segment
    from jnlp_search.schema import Manifest

_COUNTS = {
    "chunks without a vector": "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT chunk FROM vectors)",
    "chunks without full text": "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT rowid FROM fulltext)",
    "full text without a chunk": "SELECT count(*) FROM fulltext WHERE rowid NOT IN (SELECT id FROM chunks)",
    "chunks both alive and deleted": "SELECT count(*) FROM tombstones WHERE chunk IN (SELECT id FROM chunks)",
}


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Args:
        manifest: What the index was made with; None where nothing was indexed yet.
        counts: Rows by table.
        problems: One line each; empty for an index that is whole.
        leftovers: Files of an interrupted writer: harmless, and removed by the next.
    """

    manifest: Manifest | None
    counts: dict[str, int]
    problems: tuple[str, ...]
    leftovers: tuple[str, ...]


def verify(folder: Path, /) -> Verification:
    """Check an index without changing it.

    Raises:
        UsageError: There is no index in the folder.
        JnlpError: The catalogue cannot be opened.
    """
    with Catalog.reading(folder) as catalog, catalog.snapshot():
        manifest = catalog.manifest()
        segments = catalog.segments()
        problems = [*_catalog(catalog), *_vectors(catalog, manifest)]
        for segment in segments:
            problems += _segment(catalog, folder / FOLDER, segment)
        there = folder / FOLDER
        named = {segment.file for segment in segments}
        names = sorted(path.name for path in there.iterdir()) if there.is_dir() else []
        leftovers = tuple(name for name in names if name not in named)
        return Verification(manifest, catalog.counts(), tuple(problems), leftovers)


def _catalog(catalog: Catalog) -> Iterator[str]:
    try:
        for (line,) in catalog.db.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield f"catalogue: {line}"
        for table, *_ in catalog.db.execute("PRAGMA foreign_key_check"):
            yield f"catalogue: a row of {table} refers to what is not there"
        for what, sql in _COUNTS.items():
            if count := catalog.db.execute(sql).fetchone()[0]:
                yield f"{what}: {count:,}"
    except sqlite3.DatabaseError as error:
        yield f"catalogue: {error}"


def _vectors(catalog: Catalog, manifest: Manifest | None) -> Iterator[str]:
    size = 4 * manifest.dimension if manifest else 0
    count = catalog.db.execute("SELECT count(*) FROM vectors WHERE length(vector) <> ?", (size,)).fetchone()[0]
    if count:
        yield f"vectors of a wrong length: {count:,}"


def _segment(catalog: Catalog, folder: Path, segment: Segment) -> Iterator[str]:
    """Compare a file with the catalogue; a damaged one is not given to FAISS."""
    import faiss

    if not intact(folder, segment):
        yield f"{segment.file} is missing or damaged; the next jnlp index makes it again from the catalogue"
        return
    index: Any = faiss.read_index(str(folder / segment.file))
    stored = set(faiss.vector_to_array(index.id_map).tolist())
    alive, _ = catalog.segment_vectors([segment.id])
    if stored != {*alive.tolist(), *catalog.tombstones(segment.id).tolist()}:
        yield f"{segment.file} holds other chunks than the catalogue says"
