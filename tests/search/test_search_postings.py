"""Words read from the pages of the full text, by the compiled kernels and by SQLite; and what a condition selects."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jnlp.encoder.forms import kernels
from jnlp.encoder.forms.kernels import compile as compiling
from jnlp.encoder.forms.kernels.binding import Binding
from jnlp.types import Record
from jnlp_search.analyse import Query, analyser
from jnlp_search.build import build
from jnlp_search.query.bm25 import Ranking, Words
from jnlp_search.search import open_index
from jnlp_search.store import postings as module
from jnlp_search.store import selection
from jnlp_search.store.catalog import Catalog
from jnlp_search.store.leaves import Leaves
from jnlp_search.store.posting import posting_of
from jnlp_search.store.postings import Postings
from jnlp_search.store.schema import TABLES
from jnlp_search.store.selection import Narrowing, Selection
from jnlp_search.where import sql
from jnlp_search.where.parse import parse
from jnlp_search.where.sql import documents_where

COMMON, RARE = ("為る", "契約", "年"), ("解約", "𠮷野家", "c++", "気象庁", "ｱ")


@pytest.fixture(scope="module")
def binding(kernel_cache):
    kind = kernels.kinds()[0]
    return Binding(kernel_cache / "jnlp" / "kernels" / compiling.library_name(kind.name, kind.flags), kind)


@pytest.fixture
def catalog():
    with Catalog(sqlite3.connect(":memory:", isolation_level=None), Path("i")) as made:
        made.db.executescript(TABLES)
        yield made


def words_of(chance: random.Random, size: int) -> str:
    rare = chance.choices([*RARE, *(f"語{n}" for n in range(500))], k=size // 4)
    mixed = [*rare, *chance.choices(COMMON, [9, 3, 1], k=size - len(rare))]
    chance.shuffle(mixed)
    return " ".join(mixed)


def add(db, rows) -> None:
    db.execute("BEGIN")
    db.executemany("INSERT INTO fulltext (rowid, words) VALUES (?, ?)", rows)
    db.execute("COMMIT")


def delete(db, rows) -> None:
    db.execute("BEGIN")
    db.executemany("INSERT INTO fulltext (fulltext, rowid, words) VALUES ('delete', ?, ?)", rows)
    db.execute("COMMIT")


def fill(db, *, seed: int, first: int = 1, step: int = 1, longest: int = 300) -> None:
    """Write passages in many commits; delete some, write some of these again, and merge a part of the segments."""
    chance = random.Random(seed)
    rows: dict[int, str] = {}
    for _ in range(chance.randint(3, 24)):
        start = first + step * len(rows)
        numbers = range(start, start + step * chance.choice([1, 40, 300]), step)
        new = {number: words_of(chance, chance.choice([0, 1, 5, 30, longest])) for number in numbers}
        add(db, new.items())
        rows |= new
        if chance.random() < 0.4:
            gone = chance.sample(sorted(rows), len(rows) // 5)
            delete(db, [(number, rows[number]) for number in gone])
            again = {number: words_of(chance, 9) for number in gone[: len(gone) // 3]}
            add(db, again.items())
            rows |= {**dict.fromkeys(gone, ""), **again}
        if chance.random() < 0.3:
            db.execute("INSERT INTO fulltext (fulltext, rank) VALUES ('merge', ?)", (chance.choice([-30, 5, 60]),))


def compare(catalog) -> int:
    """Compare every word's rows with those of fts5vocab; return the number of words."""
    db = catalog.db
    leaves = Leaves(db)
    leaves.sync()
    db.execute("CREATE VIRTUAL TABLE temp.every USING fts5vocab(main, fulltext, instance)")
    wanted: dict[str, list[int]] = {}
    for term, place in db.execute("SELECT term, doc << 24 | offset FROM temp.every ORDER BY term, doc, offset"):
        wanted.setdefault(term, []).append(place)
    for word, places in wanted.items():
        found = leaves.read(word)
        right = posting_of(np.array(places, np.int64))
        assert found is not None, word
        for name in ("chunks", "starts", "positions"):
            one, other = getattr(found, name), getattr(right, name)
            assert one.dtype == other.dtype, (word, name)
            assert one.tolist() == other.tolist(), (word, name)
    for word in ("無い", "", "0", "語", "語30000", "\U0010ffff"):
        if word not in wanted:
            assert leaves.read(word).chunks.tolist() == []
    db.execute("DROP TABLE temp.every")
    return len(wanted)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", [4050, 64, 500], ids="pages-{}".format)
def test_the_pages_tell_what_sqlite_tells(catalog, binding, seed, size):
    """Segments of several commits, deletions, pages of a word and words of a page, merges that are not done."""
    catalog.db.execute("INSERT INTO fulltext (fulltext, rank) VALUES ('pgsz', ?)", (size,))
    fill(catalog.db, seed=seed)
    with kernels.trial(binding):
        assert compare(catalog) > 20


def test_great_numbers_and_far_positions(catalog, binding):
    fill(catalog.db, seed=1, first=(1 << 31) - 70, step=3)
    far = "為る " * 70_000 + "猫"
    add(catalog.db, [(1 << 35, far)])
    with kernels.trial(binding):
        compare(catalog)
        leaves = Leaves(catalog.db)
        leaves.sync()
        assert leaves.read("猫").positions.tolist() == [70_000]
        assert leaves.read("猫").chunks.tolist() == [1 << 35]


def test_damaged_pages_are_left_to_sqlite(catalog, binding):
    """No byte of a page, changed at random, makes the kernels read or write past its end."""
    fill(catalog.db, seed=3)
    chance = random.Random(5)
    rows = catalog.db.execute("SELECT id, block FROM fulltext_data WHERE id = 10 OR id > 100").fetchall()
    outcomes = set()
    with kernels.trial(binding):
        for _ in range(300):
            number, block = chance.choice([rows[0], *chance.choices(rows, k=9)])
            changed = bytearray(block)
            for _ in range(chance.randint(1, 4)):
                changed[chance.randrange(len(block))] = chance.randrange(256)
            cut = bytes(changed[: chance.choice([len(block), len(block), chance.randrange(len(block))])])
            catalog.db.execute("UPDATE fulltext_data SET block = ? WHERE id = ?", (cut, number))
            leaves = Leaves(catalog.db)
            leaves.sync()
            outcomes |= {leaves.read(word) is None for word in (*COMMON, *RARE, "語7")}
            catalog.db.execute("UPDATE fulltext_data SET block = ? WHERE id = ?", (block, number))
    assert outcomes == {True, False}


def test_a_full_text_of_another_version_is_left_to_sqlite(catalog, binding):
    add(catalog.db, [(1, "猫")])
    with kernels.trial(binding):
        leaves = Leaves(catalog.db)
        leaves.sync()
        assert leaves.read("猫").chunks.tolist() == [1]
        catalog.db.execute("UPDATE fulltext_config SET v = 5 WHERE k = 'version'")
        leaves.sync()
        assert leaves.read("猫") is None


def test_counts_are_those_of_the_plain_path(catalog, binding, monkeypatch):
    monkeypatch.setattr(module, "LARGE", 0)
    fill(catalog.db, seed=8)
    chance = np.random.default_rng(2)
    with kernels.trial(binding):
        postings = Postings(catalog)
        postings.sync(1)
        for word in (*COMMON, *RARE, "無い"):
            posting = postings.find(word)
            for size in (0, 1, 7, 500):
                chunks = np.unique(chance.integers(0, 4_000, size))
                fast = postings.counts(posting, chunks)
                leaves, postings._leaves = postings._leaves, None
                assert fast.tolist() == postings.counts(posting, chunks).tolist()
                postings._leaves = leaves


QUERIES = [
    Query(frozenset(), ("為る", "解約", "年"), ("解約 為る", "為る 解約", "年 年", "契約 為る 解約")),
    Query(frozenset(), ("為る", "契約", "年")),
    Query(frozenset(), ("c++", "𠮷野家", "無い", "語1\u00ad語2"), ("c++ 𠮷野家",)),
    Query(frozenset(), ("語1", "為"), ("語1 為",), begins=True),
]


@pytest.mark.parametrize("limit", [1, 10, 1_000])
def test_a_ranking_is_the_same_with_and_without_kernels(catalog, binding, monkeypatch, limit):
    fill(catalog.db, seed=4)
    found = []
    for least in (0, 1 << 60):
        monkeypatch.setattr(module, "LARGE", least)
        with kernels.trial(binding):
            catalog.db.execute("DROP TABLE IF EXISTS temp.terms")
            catalog.db.execute("DROP TABLE IF EXISTS temp.places")
            postings = Postings(catalog)
            postings.sync(1)
            assert (postings._leaves is None) == (least > 0)
            among = np.arange(5, 900, 2)
            rankings = [Ranking([Words(postings)]), Ranking([Words(postings, among)])]
            found.append([ranking.lexical(query, limit) for ranking in rankings for query in QUERIES])
    assert found[0] == found[1]
    assert any(found[0])


def test_lengths_are_read_one_by_one_and_then_all(catalog):
    fill(catalog.db, seed=6, longest=90_000 // 300)
    sizes = dict(catalog.db.execute("SELECT id, hex(sz) FROM fulltext_docsize"))
    right = {number: module.varints(bytes.fromhex(size)).tolist()[0] for number, size in sizes.items()}
    postings = Postings(catalog)
    postings.sync(1)
    every = np.array(sorted(right), np.int64)
    for chunks in (every[:3], every[5:6], every[::2], every):
        assert postings.lengths(chunks).tolist() == [right[chunk] for chunk in chunks.tolist()]
    assert module.all_chunks(catalog.db).tolist() == every.tolist()


# --- what a condition, a phrase and an excluded word leave -----------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory, embedders):
    chance = random.Random(9)
    folder = tmp_path_factory.mktemp("selection") / "i"
    texts = ["。".join(chance.choices(["契約", "解約する", "日本の会社", "猫がいる"], k=5)) for _ in range(120)]
    records = [
        Record(str(n), text, {"year": 2000 + n % 20, "tag": ["赤", "青"][n % 2]}) for n, text in enumerate(texts)
    ]
    build(folder, records, embedders(), model="pairs")
    build(folder, [replace(record, text="猫") for record in records[10:30:3]], embedders(), model="pairs")
    return folder


def plainly(catalog, narrowing: Narrowing) -> list[int]:
    """Return the chunks by one SQL statement."""
    parts, values = ["true"], []
    if narrowing.where is not None:
        documents = documents_where(parse(narrowing.where))
        parts.append(f"document IN ({documents.text})")
        values += documents.values
    for expression, word in ((narrowing.required, "IN"), (narrowing.excluded, "NOT IN")):
        if expression:
            parts.append(f"id {word} (SELECT rowid FROM fulltext WHERE fulltext MATCH ?)")
            values.append(expression)
    return [
        row[0] for row in catalog.db.execute(f"SELECT id FROM chunks WHERE {' AND '.join(parts)} ORDER BY id", values)
    ]


WHERES = [None, "year >= 2010", "tag = '赤' and year < 2005", "year > 3000"]


def test_a_selection_is_that_of_one_statement(folder):
    phrase = analyser("sudachi").phrase
    with Catalog.reading(folder) as catalog:
        chosen = Selection(catalog)
        for where in WHERES:
            for required in ("", f"({phrase('日本の会社')})", f"({phrase('猫')}) AND ({phrase('契約')})"):
                for excluded in ("", f"({phrase('解約')})", f"({phrase('無い語')})"):
                    narrowing = Narrowing(where, required, excluded)
                    if narrowing:
                        found = chosen.chunks(narrowing, 1)
                        assert found.tolist() == plainly(catalog, narrowing), narrowing
                        assert chosen.chunks(replace(narrowing), 1) is found


def test_a_condition_is_evaluated_once(folder, models, monkeypatch):
    """Also if queries with phrases and excluded words come between, and with other conditions."""
    asked = []
    known = sql.documents_where
    monkeypatch.setattr(sql, "documents_where", lambda condition: asked.append(1) or known(condition))
    with open_index(folder, models) as index:
        first = index.search("契約", where="year >= 2010")
        for query in ("契約 -猫", '契約 "日本の会社"', "契約"):
            for where in WHERES[1:]:
                index.search(query, where=where)
        assert len(asked) == 3
        assert index.search("契約", where="year >= 2010") == first
        monkeypatch.setattr(selection, "MOST_BYTES", 1)
        index.search("契約", where="year >= 2011")
        index.search("契約", where="year >= 2010")
        assert len(asked) == 5
