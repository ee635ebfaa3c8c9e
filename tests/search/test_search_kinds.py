"""Every kind of vector index against exact search, in numbers: recall, filters, deleted and added vectors, growth."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from jnlp.errors import UsageError
from jnlp.types import Record
from jnlp_search import Index
from jnlp_search.build import build, delete
from jnlp_search.compact import compact
from jnlp_search.options import STORE_DEFAULTS, IndexOptions
from jnlp_search.store import kinds, nearest, segments
from jnlp_search.store.catalog import SEGMENTS, Catalog
from jnlp_search.store.heal import heal
from jnlp_search.store.nearest import Segments
from jnlp_search.store.schema import Manifest
from jnlp_search.store.verify import verify

DIMENSION, COUNT, TOP = 32, 4_000, 10
KINDS = {
    "flat": {"factory": "flat"},
    "auto: graph": {"flat_below": 0, "hnsw_below": 1 << 40},
    "auto: clusters": {"flat_below": 0, "hnsw_below": 0},
    "IVF64,PQ16x4fs": {"factory": "IVF64,PQ16x4fs"},
    "HNSW32,Flat": {"factory": "HNSW32,Flat"},
    "SQ8": {"factory": "SQ8"},
    "IVF64,RaBitQ": {"factory": "IVF64,RaBitQ"},
    "PCA24,IVF16,SQ8": {"factory": "PCA24,IVF16,SQ8"},
}
CLUSTERS = "IVF256,PQ8x4fs"
MADE = {"auto: graph": kinds.HNSW, "auto: clusters": CLUSTERS}


def clustered(count: int, seed: int) -> np.ndarray:
    """Unit vectors around 40 centres."""
    chance = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((40, DIMENSION))
    found = centres[chance.integers(0, 40, count)] + 0.7 * chance.standard_normal((count, DIMENSION))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def manifest(**store: object) -> Manifest:
    return Manifest("m", "f", DIMENSION, "sentences", 256, 32, "passage", "bigram", "1", "0", **STORE_DEFAULTS | store)


class Kept:
    """An index folder of vectors alone, and the same vectors in memory."""

    def __init__(self, folder, **store: object) -> None:
        folder.mkdir()
        self.folder, self.manifest = folder, manifest(**store)
        self.vectors: dict[int, np.ndarray] = {}
        with Catalog.writing(folder) as catalog:
            heal(catalog)
            with catalog.transaction():
                catalog.set_manifest(self.manifest)
        (folder / SEGMENTS).mkdir(exist_ok=True)

    def add(self, vectors: np.ndarray, step: int = 500) -> None:
        with Catalog.writing(self.folder) as catalog:
            for first in range(0, len(vectors), step):
                part = vectors[first : first + step]
                start = max(self.vectors, default=0) + 1
                chunks = np.arange(start, start + len(part))
                with catalog.transaction():
                    segments.write(catalog, chunks, part)
                self.vectors |= dict(zip(chunks.tolist(), part.astype(np.float16).astype(np.float32), strict=True))
            segments.tidy(catalog)

    def remove(self, chunks) -> None:
        with Catalog.writing(self.folder) as catalog:
            with catalog.transaction():
                catalog.db.executemany("INSERT INTO tombstones VALUES (?)", [(int(chunk),) for chunk in chunks])
            segments.tidy(catalog)
        for chunk in chunks:
            del self.vectors[int(chunk)]

    def kinds(self) -> list[str]:
        with Catalog.reading(self.folder) as catalog:
            return [segment.kind for segment in catalog.segments()]

    def recall(self, queries: np.ndarray, among: np.ndarray | None = None) -> float:
        """Return recall@10; every cosine must be exact, and every chunk alive and among those selected."""
        held = np.array(sorted(self.vectors))
        asked = held if among is None else among
        matrix = np.stack([self.vectors[int(chunk)] for chunk in asked])
        right = 0
        with Catalog.reading(self.folder) as catalog, catalog.snapshot() as version:
            opened = Segments(self.folder)
            opened.sync(catalog, self.manifest, version)
            together = [
                hits
                for at in range(0, len(queries), 16)
                for hits in opened.search(queries[at : at + 16], TOP, among=among)
            ]
            for query, hits in zip(queries, together, strict=True):
                (found,) = opened.search(query[None], TOP, among=among)
                assert found == hits  # asked at once as one by one
                assert len(found) == min(TOP, len(asked))
                exact = matrix @ query
                at = np.searchsorted(asked, list(found))
                assert (asked[at] == list(found)).all()
                assert list(found.values()) == pytest.approx(exact[at].tolist(), abs=1e-5)
                assert list(found.values()) == sorted(found.values(), reverse=True)
                right += len({*asked[np.argsort(-exact)[:TOP]].tolist()} & {*found})
        return right / (TOP * len(queries))


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return clustered(40, seed=5)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_finds_what_exact_search_finds(tmp_path, queries, name, monkeypatch):
    monkeypatch.setattr(nearest, "EXACT", 20)  # else every filter here would be exact
    least = 1.0 if name == "flat" else 0.95
    kept = Kept(tmp_path / "i", **KINDS[name])
    kept.add(clustered(COUNT, seed=1))
    assert set(kept.kinds()) == {MADE.get(name, name)}
    assert kept.recall(queries) >= least
    held = np.array(sorted(kept.vectors))
    for share in (2, 10, 100):  # a half, a tenth, a hundredth
        assert kept.recall(queries, held[held % share == 0]) >= least
    assert kept.recall(queries, held[::400]) == 1.0
    kept.remove(held[held % 7 == 0])  # under a quarter: they stay as tombstones
    held = np.array(sorted(kept.vectors))
    assert kept.recall(queries) >= least
    assert kept.recall(queries, held[held % 10 == 1]) >= least
    kept.add(clustered(300, seed=2))
    assert kept.recall(queries) >= least
    kept.remove(np.array(sorted(kept.vectors))[::2])  # now they are rewritten
    assert kept.recall(queries) >= least
    with Catalog.writing(kept.folder) as catalog:
        segments.compact(catalog)
        assert catalog.counts()["tombstones"] == 0
    assert kept.recall(queries) >= least


def test_an_index_grows_through_the_kinds_and_shrinks(tmp_path, queries):
    kept = Kept(tmp_path / "i", flat_below=1_000, hnsw_below=3_000)
    seen = []
    for step in range(9):
        kept.add(clustered(500, seed=10 + step))
        seen.append(kept.kinds()[0])
        assert kept.recall(queries) >= 0.95
    assert list(dict.fromkeys(seen)) == ["flat", kinds.HNSW, CLUSTERS]
    kept.remove(sorted(kept.vectors)[300:])
    assert kept.kinds() == ["flat"]
    assert kept.recall(queries) == 1.0


def test_clusters_and_codes_are_used_again(tmp_path, queries, monkeypatch):
    kept = Kept(tmp_path / "i", flat_below=100, hnsw_below=0)
    kept.add(clustered(3_000, seed=1))
    trained: list[str] = []
    make = kinds.make
    monkeypatch.setattr(kinds, "make", lambda *given: trained.append(given[0]) or make(*given))
    kept.add(clustered(400, seed=2))
    kept.remove(sorted(kept.vectors)[::3])
    kept.add(clustered(400, seed=3))
    assert trained == []
    assert kept.kinds() == [CLUSTERS]
    assert kept.recall(queries) >= 0.95


def test_few_vectors_are_never_clustered(tmp_path, queries):
    kept = Kept(tmp_path / "i", flat_below=0, hnsw_below=0)
    kept.add(clustered(200, seed=1))
    assert kept.kinds() == [kinds.HNSW]
    kept.add(clustered(1_000, seed=2))
    assert kept.kinds()[0] == CLUSTERS
    kept.remove(sorted(kept.vectors)[:1_000])
    assert kept.kinds() == [kinds.HNSW]
    assert kept.recall(queries) >= 0.95


def test_a_file_of_codes_that_is_damaged_is_made_again(tmp_path, queries):
    kept = Kept(tmp_path / "i", flat_below=0, hnsw_below=0)
    kept.add(clustered(2_000, seed=1))
    (file,) = (kept.folder / SEGMENTS).glob("*.faiss")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert kept.recall(queries) == 1.0  # every vector is compared
    with Catalog.writing(kept.folder) as catalog:
        assert heal(catalog, lambda texts: np.empty((0, DIMENSION), np.float32)) == 1
    assert kept.kinds() == [CLUSTERS]
    assert kept.recall(queries) >= 0.95


@pytest.mark.parametrize("name", ["auto: graph", "auto: clusters"])
def test_codes_over_the_share_of_memory_are_mapped(tmp_path, queries, name, monkeypatch):
    import faiss

    flags: list[int] = []
    read = faiss.read_index
    monkeypatch.setattr(faiss, "read_index", lambda path, *given: flags.append(given[0]) or read(path, *given))
    kept = Kept(tmp_path / "i", memory_share=0.0, **KINDS[name])
    kept.add(clustered(2_000, seed=1))
    assert kept.recall(queries) >= 0.95
    assert flags[-1] in (faiss.IO_FLAG_MMAP, faiss.IO_FLAG_MMAP_IFC)
    kept.manifest = dataclasses.replace(kept.manifest, memory_share=0.25)
    assert kept.recall(queries) >= 0.95
    assert flags[-1] == 0


@pytest.mark.parametrize("factory", ["nonsense", "IVF16,Refine(Flat)", "LSH", "IVF16,PQ7", "HNSW32,Flat,RFlat"])
def test_a_factory_that_jnlp_does_not_keep_is_one_line(tmp_path, embedder, factory):
    with pytest.raises(UsageError, match="--factory"):
        build(tmp_path / "i", [Record("一", "猫")], embedder, IndexOptions(factory=factory), model="pairs")


def records(count: int) -> list[Record]:
    return [
        Record(f"{n:04}", f"{n}番目の文書は{'山川海空花鳥風月'[n % 8]}の{n * 7919 % 1000}を話す。")
        for n in range(count)
    ]


def test_options_change_the_kind_and_nothing_else(tmp_path, engine, embedder, models):
    folder = tmp_path / "i"
    index = Index.open(folder, engine)
    index.add(records(1_200))
    before = [hit.document for hit in index.search("7番目の山", retriever="dense", top=5)]
    embedder.embedded.clear()
    for change, kind in (
        ({"factory": "IVF16,SQ8"}, "IVF16,SQ8"),
        ({}, "IVF16,SQ8"),
        ({"factory": "auto", "flat_below": 0}, kinds.HNSW),
        ({"hnsw_below": 0, "memory_share": 0.5}, "IVF256,PQ16x4fs"),
        ({"factory": "flat"}, "flat"),
    ):
        index.add([], **change)
        assert index.info().kind == kind
        assert verify(folder).problems == verify(folder).leftovers == ()
        found = [hit.document for hit in index.search("7番目の山", retriever="dense", top=5)]
        assert found[0] == before[0]
        assert len({*found} & {*before}) >= 4
    assert {*embedder.embedded} == {"7番目の山"}
    info = index.info()
    assert (info.made_with["memory_share"], info.made_with["hnsw_below"]) == (0.5, 0)
    delete(folder, ["0007"])
    compact(folder)
    assert index.info().chunks == 1_199


def test_info_tells_how_large_the_parts_are(tmp_path, engine):
    index = Index.open(tmp_path / "i", engine)
    index.add([Record(str(n), "吾輩は猫である。名前はまだ無い。" * 40) for n in range(50)])
    info = json.loads(json.dumps(dataclasses.asdict(index.info())))
    files = sum(path.stat().st_size for path in (tmp_path / "i" / SEGMENTS).iterdir())
    assert info["vector_bytes"] == pytest.approx(files / info["chunks"], abs=0.1)
    assert info["text_bytes"] == pytest.approx(50 * 40 * 16 * 3, rel=0.01)
    assert info["text_share"] == pytest.approx(info["bytes"] / info["text_bytes"], abs=0.01)
    assert info["kind"] == "flat"


def test_a_copy_of_an_index_answers_alike(tmp_path, engine):
    index = Index.open(tmp_path / "i", engine)
    index.add(records(300), flat_below=0)
    shutil.copytree(tmp_path / "i", tmp_path / "copy")
    with Index.open(tmp_path / "copy", engine) as copy:
        assert copy.search("花の話") == index.search("花の話")
