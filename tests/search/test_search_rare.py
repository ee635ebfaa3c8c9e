"""BM25 is that of SQLite; in a large index, only passages with one of the query's rarer words are ranked, by all."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from jnlp.types import Record
from jnlp_search.analyse import Query, analyser
from jnlp_search.build import build
from jnlp_search.fuse import with_phrases
from jnlp_search.query import rare
from jnlp_search.query.bm25 import Ranking, Words
from jnlp_search.search import open_index
from jnlp_search.store.catalog import Catalog
from jnlp_search.store.postings import Postings
from jnlp_search.store.schema import TABLES

COMMON, RARE = ("契約", "会社", "日本"), ("解約", "猫", "鉄道", "気象")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, embedders):
    """Three common words in most passages, four rare ones in a few."""
    chance = random.Random(3)
    folder = tmp_path_factory.mktemp("rare") / "i"
    texts = [
        "。".join([*chance.choices(COMMON, k=chance.randint(0, 6)), *chance.choices(RARE, k=chance.random() < 0.1)])
        or "空"
        for _ in range(400)
    ]
    build(folder, [Record(str(n), text) for n, text in enumerate(texts)], embedders(), model="pairs")
    return folder


def of_sqlite(catalog, expression):
    """Return BM25 by chunk as FTS5 computes it."""
    sql = "SELECT rowid, -bm25(fulltext) FROM fulltext WHERE fulltext MATCH ? ORDER BY rank, rowid"
    return dict(catalog.db.execute(sql, (expression,))) if expression else {}


def ranking(catalog):
    postings = Postings(catalog)
    postings.sync(1)
    return Ranking([Words(postings)])


@pytest.mark.parametrize("text", ["契約の解約", "日本の会社の猫の鉄道", "契約と会社", "気象、気象の契約", "猫"])
def test_the_scores_are_those_of_all_words(folder, monkeypatch, text):
    query = replace(analyser("sudachi").query(text), pairs=())
    with Catalog.reading(folder) as catalog:
        whole = of_sqlite(catalog, query.match)
        assert ranking(catalog).lexical(query, 1_000) == whole
    with Catalog.reading(folder) as catalog:
        held = {word: len(of_sqlite(catalog, f'"{word}"')) for word in query.words}
        monkeypatch.setattr(rare, "RANKED", 60)
        chosen, _ = rare.narrow(query, held)
        found = ranking(catalog).lexical(query, 1_000)
        rows = {chunk for word in chosen for chunk in of_sqlite(catalog, f'"{word}"')}
    assert found == {chunk: score for chunk, score in whole.items() if chunk in rows}
    assert {word for word in query.words if held[word] <= 60} <= {*chosen} or chosen == (min(held, key=held.get),)


WORDS = [*"猫犬鳥魚山川", "a", "c++", "soft\u00adware", "𠮷", "猫犬"]


@pytest.mark.parametrize(
    "query",
    [
        Query(frozenset(), ("猫", "魚", "川"), ("猫 魚", "魚 魚")),
        Query(frozenset(), ("猫 犬", "a a", "c++")),
        Query(frozenset(), ("soft\u00adware", "𠮷", "無い", "\u00ad")),
        Query(frozenset(), ("猫", "犬"), begins=True),
    ],
)
def test_bm25_is_that_of_sqlite(query):
    """Of words, phrases, beginnings, and words that the tokenizer cuts; after deletions too."""
    chance = random.Random(1)
    with Catalog(sqlite3.connect(":memory:", isolation_level=None), Path("i")) as catalog:
        catalog.db.executescript(TABLES)
        sizes = [chance.choice([1, 3, 20, 60, 300]) for _ in range(300)]
        rows = [(n, " ".join(chance.choices(WORDS, range(12, 1, -1), k=size))) for n, size in enumerate(sizes, 1)]
        catalog.db.executemany("INSERT INTO fulltext (rowid, words) VALUES (?, ?)", rows)
        deleted = "INSERT INTO fulltext (fulltext, rowid, words) VALUES ('delete', ?, ?)"
        catalog.db.executemany(deleted, rows[::7])
        words, pairs = of_sqlite(catalog, query.match.replace(' OR "\u00ad"', "")), of_sqlite(catalog, query.phrases)
        found = ranking(catalog)
        assert found.lexical(query, 1_000) == with_phrases(words, pairs)
        some = found.lexical(query, 10)
        best = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:10]
        assert {*dict(best)} <= {*some}


def test_postings_over_the_limit_are_read_again(folder):
    with Catalog.reading(folder) as catalog:
        postings = Postings(catalog, most=1)
        postings.sync(1)
        first = postings.find("契約")
        assert postings.find("契約") is first
        postings.find("会社")
        assert postings.find("契約") is not first
        assert (postings.find("契約").places() == first.places()).all()


def test_pairs_of_common_words_are_left_out(monkeypatch):
    query = analyser("sudachi").query("日本会社契約解約")
    monkeypatch.setattr(rare, "RANKED", 60)
    held = {"日本": 300, "会社": 300, "契約": 300, "解約": 5}
    assert rare.narrow(query, held) == (("解約",), ("契約 解約",))
    assert rare.narrow(query, {"日本": 30, "解約": 5}) == (query.words, query.pairs)
    assert rare.narrow(query, dict.fromkeys(query.words, 300))[0] != query.words


def test_a_search_is_the_same_where_the_common_words_decide_nothing(folder, models, monkeypatch):
    with open_index(folder, models) as index:
        before = [hit.document for hit in index.search("契約の解約", retriever="lexical", top=5)]
        monkeypatch.setattr(rare, "RANKED", 60)
        assert [hit.document for hit in index.search("契約の解約", retriever="lexical", top=5)] == before
        assert index.search('契約 -会社 "解約"', retriever="lexical", top=50)
