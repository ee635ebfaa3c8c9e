"""The peers of the search benchmark, in their own environment: hnswlib, usearch, LanceDB, and SQLite FTS5 alone.

    search_peers.py PEER FOLDER PLACE [TEXTS QUERIES]

FOLDER has `vectors.npy`, `queries.npy` and `exact.npy`; TEXTS and QUERIES are files of words, one passage a line.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

clock = time.process_time if os.environ.get("BENCH_CLOCK") == "cpu" else time.perf_counter
TOP = 10


def spread(times: list[float], /) -> dict[str, float]:
    """Return the mean, the median and the 99th percentile, in seconds."""
    return {"mean": float(np.mean(times)), "p50": float(np.median(times)), "p99": float(np.quantile(times, 0.99))}


def own_memory() -> float:
    """Return the resident bytes of this process without mapped files."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return 1024 * float(status["RssAnon"].split()[0])


def size(place: Path, /) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file())


def measured(folder: Path, search: Callable[[np.ndarray], Any], /) -> dict[str, Any]:
    """Measure recall@10 and times of a function from a query to the numbers of rows."""
    queries, right = np.load(folder / "queries.npy"), np.load(folder / "exact.npy")
    hits = sum(
        len({*map(int, search(query))} & set(wanted.tolist()))
        for query, wanted in zip(queries[: len(right)], right, strict=True)
    )
    times = []
    for query in queries[len(right) :]:
        began = clock()
        search(query)
        times.append(clock() - began)
    return {"recall": hits / right.size, "dense": spread(times)}


def hnswlib(folder: Path, place: Path, /) -> dict[str, Any]:
    """Measure hnswlib: M 16, ef 100 to build, 64 to search."""
    import hnswlib as library

    kept = np.load(folder / "vectors.npy", mmap_mode="r")
    index = library.Index("ip", kept.shape[1])
    index.init_index(len(kept), M=16, ef_construction=100)
    began = clock()
    index.add_items(kept, num_threads=1)
    built = clock() - began
    index.save_index(str(place))
    del index
    before, began = own_memory(), clock()
    index = library.Index("ip", kept.shape[1])
    index.load_index(str(place))
    opened = clock() - began
    index.set_num_threads(1)
    index.set_ef(64)
    found = measured(folder, lambda query: index.knn_query(query, TOP)[0][0])
    return {"build": built, "open": opened, "bytes": size(place), "memory": own_memory() - before, **found}


def usearch(folder: Path, place: Path, /) -> dict[str, Any]:
    """Measure usearch: 8-bit numbers, connectivity 16, 100 to build, 64 to search; mapped."""
    from usearch.index import Index

    kept = np.load(folder / "vectors.npy", mmap_mode="r")
    index = Index(ndim=kept.shape[1], metric="ip", dtype="i8", connectivity=16, expansion_add=100, expansion_search=64)
    began = clock()
    for first in range(0, len(kept), 50_000):
        part = np.asarray(kept[first : first + 50_000])
        index.add(np.arange(first, first + len(part)), part, threads=1)
    built = clock() - began
    index.save(str(place))
    del index
    before, began = own_memory(), clock()
    index = Index.restore(str(place), view=True)
    opened = clock() - began
    index.expansion_search = 64
    found = measured(folder, lambda query: index.search(query, TOP, threads=1).keys)
    return {"build": built, "open": opened, "bytes": size(place), "memory": own_memory() - before, **found}


def lancedb(folder: Path, place: Path, /) -> dict[str, Any]:
    """Measure LanceDB: IVF_PQ with a byte for four dimensions, 20 probes, ten times as many rows refined."""
    import lancedb as library
    import pyarrow as pa
    from lancedb.index import IvfPq

    kept = np.load(folder / "vectors.npy", mmap_mode="r")
    dimension = kept.shape[1]
    kind = pa.list_(pa.float32(), dimension)

    def batches() -> Any:
        for first in range(0, len(kept), 50_000):
            part = np.ascontiguousarray(kept[first : first + 50_000])
            rows = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), dimension)
            yield pa.RecordBatch.from_arrays([pa.array(np.arange(first, first + len(part))), rows], ["id", "vector"])

    schema = pa.schema([("id", pa.int64()), ("vector", kind)])
    began = clock()
    table = library.connect(str(place)).create_table("passages", batches(), schema=schema)
    table.create_index("vector", config=IvfPq(distance_type="dot", num_sub_vectors=dimension // 4))
    built = clock() - began
    del table
    before, began = own_memory(), clock()
    table = library.connect(str(place)).open_table("passages")
    opened = clock() - began

    def search(query: np.ndarray) -> Any:
        asked = table.search(query).distance_type("dot").nprobes(20).refine_factor(10)
        return asked.select(["id", "_distance"]).limit(TOP).to_arrow()["id"].to_pylist()

    found = measured(folder, search)
    return {"build": built, "open": opened, "bytes": size(place), "memory": own_memory() - before, **found}


def fts5(folder: Path, place: Path, texts: Path, queries: Path, /) -> dict[str, Any]:
    """Measure SQLite's full text on the same words: a query of all words with OR, the best 100 by bm25."""
    del folder
    db = sqlite3.connect(place, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    categories = "unicode61 remove_diacritics 0 categories 'L* N* Co M* S* P*'"
    db.execute(f'CREATE VIRTUAL TABLE passages USING fts5 (words, tokenize = "{categories}")')
    began = clock()
    with texts.open(encoding="utf-8") as file:
        db.execute("BEGIN")
        db.executemany("INSERT INTO passages (words) VALUES (?)", ((line,) for line in file))
        db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    built = clock() - began
    db.close()
    began = clock()
    db = sqlite3.connect(place)
    sql = "SELECT rowid, -bm25(passages) FROM passages WHERE passages MATCH ? ORDER BY rank LIMIT 100"
    asked = queries.read_text(encoding="utf-8").splitlines()
    db.execute(sql, (asked[0],)).fetchall()
    opened = clock() - began
    times = []
    for query in asked[1:]:
        began = clock()
        db.execute(sql, (query,)).fetchall()
        times.append(clock() - began)
    return {"build": built, "open": opened, "bytes": size(place), "lexical": spread(times)}


if __name__ == "__main__":
    peer, *paths = sys.argv[1:]
    print(json.dumps(globals()[peer](*map(Path, paths))))
