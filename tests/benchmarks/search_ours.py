"""jnlp's part of the search benchmark: builds an index with given vectors, and asks it in a fresh process."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.types import Chunk, Embeddings, Encoded, Purpose, Record, SearchScores, Source
from tests.benchmarks.search_data import JOIN, OF_PASSAGE, QUERIES, TOP, TRIED, folder, sentences, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp_search import Index

clock = time.process_time if os.environ.get("BENCH_CLOCK") == "cpu" else time.perf_counter
OF_DOCUMENT = 10
"""Passages of a document."""

FILTER = "year >= 2010"
"""A condition that half of the documents meet."""

RARE = "year = 2020 and kind = 'pdf'"
"""One that one in a hundred meets."""


class Given:
    """An embedder whose vectors are given: those of documents in their order, those of queries by number."""

    def __init__(self, kept: np.ndarray, queries: np.ndarray) -> None:
        self.dimension, self.fingerprint, self.max_length = kept.shape[1], "given", 8192
        self.search, self.prefixes, self.tokenizer = SearchScores(0.5), {}, self
        self._kept, self._queries, self._next = kept, queries, 0

    def embed(self, texts: Sequence[str], /, *, purpose: Purpose = Purpose.SIMILARITY, **_: Any) -> Embeddings:
        """Return the next vectors, or that of a query."""
        if purpose is Purpose.QUERY:
            rows = np.stack([self._queries[hash(text) % QUERIES] for text in texts])
        else:
            rows = self._kept[np.arange(self._next, self._next + len(texts)) % len(self._kept)]
            self._next += len(texts)
        return Embeddings(rows, np.ones(len(texts), np.int64), np.zeros(len(texts), np.int64))

    def encode(self, texts: Sequence[str], /) -> list[Encoded]:
        """Return a token for two characters."""
        return [Encoded(np.zeros(len(text) // 2 + 2, np.int64), np.zeros((0, 2), np.int64)) for text in texts]


class Engine:
    """An engine with the one embedder, and a chunker of lines."""

    def __init__(self, embedder: Given) -> None:
        self._embedder = embedder

    def models(self) -> Engine:
        """Return itself: it is the models too."""
        return self

    def embedder(self, _: str | None = None, /, **__: Any) -> Given:
        """Return the embedder."""
        return self._embedder

    def chunker(self, _: str, /) -> Any:
        """Return the chunker."""
        return lines


def lines(text: str, *_: object) -> Iterator[Chunk]:
    """Yield each line as a passage."""
    start = 0
    for line in text.split("\n"):
        yield Chunk(start, start + len(line), len(line) // 2)
        start += len(line) + 1


def records(passages: int, pool: Sequence[str], /, *, seed: int = 3) -> Iterator[Record]:
    """Yield documents of `OF_DOCUMENT` passages."""
    chance = np.random.default_rng(seed)
    for number in range(passages // OF_DOCUMENT):
        drawn = chance.integers(0, len(pool), (OF_DOCUMENT, OF_PASSAGE))
        text = "\n".join(JOIN.join(pool[at] for at in row) for row in drawn.tolist())
        kind = "pdf" if number % 4 == 0 else "txt"
        fields = {"year": 1995 + number % 30, "title": f"第{number}号"}
        yield Record(f"d{number}", text, fields, Source(f"/文書/{number % 100}/{number}.{kind}"))


def build(passages: int, dimension: int, place: Path, /) -> dict[str, Any]:
    """Build the index; return its seconds."""
    with _opened(passages, dimension, place) as index:
        pool = sentences()
        began = clock()
        report = index.add(records(passages, pool))
        took = clock() - began
    assert report.chunks == passages // OF_DOCUMENT * OF_DOCUMENT, report
    return {"build": took}


def update(passages: int, dimension: int, place: Path, /) -> dict[str, Any]:
    """Change one document in 10,000; return the seconds, and the bytes of the index."""
    with _opened(passages, dimension, place) as index:
        count = max(1, passages // OF_DOCUMENT // 10_000)
        changed = [
            Record(record.id, f"{record.text}\n{time.time()} 改訂した。", record.fields, record.source)
            for record, _ in zip(records(passages, sentences()), range(count), strict=False)
        ]
        began = clock()
        updated = index.add(changed).updated
        took = clock() - began
        info = index.info()
    assert updated == count
    sizes = {"kind": info.kind, "bytes": info.bytes, "vector_bytes": info.vector_bytes, "text_bytes": info.text_bytes}
    return {"update": took, "updated": updated, **sizes}


def _opened(passages: int, dimension: int, place: Path) -> Index:
    """Return the index to write, with words that were found before the clock runs: `search_phases` measures these."""
    from jnlp_search import Index, builder

    words("")
    builder.index_words = lambda _, text, *__: words(text)
    data = folder(passages, dimension)
    given = Given(np.load(data / "vectors.npy", mmap_mode="r"), np.load(data / "queries.npy"))
    return Index.open(place, Engine(given), model="given")


def _analyser() -> Any:
    from jnlp_search.analyse import analyser

    return analyser("sudachi")


def ask(passages: int, dimension: int, place: Path, /) -> dict[str, Any]:
    """Open the index, and measure queries."""
    import faiss  # noqa: F401 - libraries are not a part of opening
    import pydantic  # noqa: F401

    from jnlp_search import Index
    from jnlp_search.store.nearest import Segments  # noqa: F401

    data = folder(passages, dimension)
    queries, right = np.load(data / "queries.npy"), np.load(data / "exact.npy")
    engine = Engine(Given(np.empty((1, dimension), np.float32), queries))
    _analyser().query("猫")
    before = memory()
    began = clock()
    index = Index.open(place, engine, model="given")
    with index._reader().view(index._reader().manifest(), _none()) as view:
        opened = clock() - began
        found = {"open": opened, **dense(view, queries, right)}
    found["memory"] = {name: (value - before[name]) / passages for name, value in memory().items()}
    found |= hybrid(index)
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    index.close()
    return found


def dense(view: Any, queries: np.ndarray, right: np.ndarray, /) -> dict[str, Any]:
    """Measure the search for vectors alone, on one thread."""
    from jnlp_search.query.ask import TOGETHER

    hits, times = 0, []
    for query, wanted in zip(queries[:TRIED], right, strict=True):
        view.prepare(query[None], TOP)  # once to warm up
        began = clock()
        view.prepare(query[None], TOP)
        times.append(clock() - began)
        near = view.nearest(query, TOP)
        hits += len({chunk - 1 for chunk in near} & set(wanted.tolist()))
    fresh = []
    for query in queries[TRIED:]:
        began = clock()
        view.prepare(query[None], TOP)
        fresh.append(clock() - began)
    began = clock()
    for first in range(TRIED, len(queries), TOGETHER):
        view.prepare(queries[first : first + TOGETHER], TOP)
    many = (clock() - began) / (len(queries) - TRIED)
    return {"recall": hits / (TOP * TRIED), "dense": spread(fresh), "dense many": many}


def hybrid(index: Index, /) -> dict[str, Any]:
    """Measure whole searches, words and vectors, with and without conditions."""
    asked = questions()
    found: dict[str, Any] = {}
    for name, where in (("hybrid", None), ("half", FILTER), ("rare", RARE)):
        began = clock()
        index.search(asked[0], where=where)
        found[f"{name} first"] = clock() - began
        times = []
        for question in asked[1:]:
            began = clock()
            index.search(question, where=where)
            times.append(clock() - began)
        found[name] = spread(times)
    return found


def questions() -> list[str]:
    """Return questions of some words each: parts of sentences."""
    pool = sentences()
    chance = np.random.default_rng(11)
    return [pool[at][: int(chance.integers(8, 20))] for at in chance.integers(0, len(pool), TRIED).tolist()]


def spread(times: Sequence[float], /) -> dict[str, float]:
    """Return the mean, the median and the 99th percentile, in seconds."""
    return {"mean": float(np.mean(times)), "p50": float(np.median(times)), "p99": float(np.quantile(times, 0.99))}


def memory() -> dict[str, float]:
    """Return the resident bytes of this process: its own, and those of mapped files."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return {name: 1024 * float(status[key].split()[0]) for name, key in (("own", "RssAnon"), ("mapped", "RssFile"))}


def _none() -> Any:
    from jnlp_search.store.selection import Narrowing

    return Narrowing()


if __name__ == "__main__":
    work, passages, dimension, place = sys.argv[1:]
    done = {"build": build, "update": update, "ask": ask}[work](int(passages), int(dimension), Path(place))
    print(json.dumps(done))
