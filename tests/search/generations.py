"""Two generations of the same documents, and what an index of them holds."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import numpy as np

from jnlp.types import Record, Source
from jnlp_search.store.catalog import NAME, Catalog
from jnlp_search.store.filesum import SUM
from jnlp_search.store.shards import folders_of
from jnlp_search.store.vectors import open_all

if TYPE_CHECKING:
    from pathlib import Path


def documents(generation: int) -> list[Record]:
    """Twenty documents; in the second generation a third changed, some are new and some are gone."""
    numbers = range(20) if generation == 1 else range(4, 26)
    return [
        Record(
            f"{n:02}.txt",
            f"第{n}話　{'山川海空花鳥風月'[n % 8]}の話をする。\n\n"
            f"{'改訂した。' if n % 3 == generation % 3 else '初めの版。'}終わりに雨が降る。",
            {"title": f"第{n}話"},
            Source(f"/文書/{n:02}.txt"),
        )
        for n in numbers
    ]


def make_five(folder: Path) -> None:
    """Turn an index into one of format 5, which keeps no offsets of words."""
    for shard in folders_of(folder):
        db = sqlite3.connect(shard / NAME, isolation_level=None)
        db.executescript("ALTER TABLE chunks DROP COLUMN offsets; PRAGMA user_version = 5;")
        db.close()
        (shard / SUM).unlink(missing_ok=True)


def content(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """What an index holds, without the numbers that a row happens to have."""
    sql = """SELECT chunks.id, ordinal, start, stop, tokens, text, passage, title, metadata
             FROM documents LEFT JOIN chunks ON document = documents.id WHERE documents.id = ? ORDER BY ordinal"""
    every = "SELECT id, iif(key = '', path, key) FROM documents ORDER BY path, key"
    shards = folders_of(folder)
    if len(shards) > 1:
        return {name: rows for shard in shards for name, rows in content(shard).items()}
    found: dict[str, list[tuple[object, ...]]] = {}
    with Catalog.reading(shards[0]) as catalog:
        catalog.db.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, fulltext, instance)")
        words: dict[int, list[tuple[int, str]]] = {}
        for chunk, at, term in catalog.db.execute("SELECT doc, offset, term FROM terms"):
            words.setdefault(chunk, []).append((at, term))
        manifest = catalog.manifest()
        vectors = open_all(catalog, manifest.dimension) if manifest else None
        for number, name in catalog.db.execute(every).fetchall():
            rows = catalog.db.execute(sql, (number,)).fetchall()
            kept = vectors.rows(np.array([row[0] for row in rows], np.int64))
            passages = catalog.passages([row[0] for row in rows])
            found[name] = [
                (*row[1:], vector.tobytes(), passages[row[0]].offsets, tuple(sorted(words[row[0]])))
                for row, vector in zip(rows, kept, strict=True)
            ]
    return found
