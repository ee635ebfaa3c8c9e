"""Offsets of words are kept in the index: answers are those of an index without them, which is searched as it was."""

from __future__ import annotations

import json
import lzma
import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from generations import make_five
from hypothesis import given
from hypothesis import strategies as st

from jnlp.errors import JnlpError
from jnlp.types import Record, Source
from jnlp_search import Index
from jnlp_search.analyse import analyser, index_words
from jnlp_search.build import build, repair_index
from jnlp_search.offsets import packed, spans_at
from jnlp_search.options import IndexOptions
from jnlp_search.query.view import View
from jnlp_search.search import open_index
from jnlp_search.store.catalog import NAME, Catalog
from jnlp_search.store.shards import folders_of
from jnlp_search.store.tokens import tokens
from jnlp_search.store.verify import verify_all

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = (
    "契約は三か月前に予告して解約できる。家主は契約の更新を拒めない。",
    "二〇二四年三月に１，２００円を支払う。㍻元年、㍿桜商事は㌔あたり㌦で払った。",
    "打合せはコンピュータで行う。ｺﾝﾋﾟｭｰﾀの打ち合わせ。",
    "C++とＣ＃、そして.NETを説明する。ＤＯＣＵＭＥＮＴＡＴＩＯＮ",
    "ソフト\u00adウェアの更新。契\u200b約を解\u00ad除する。か\u3099っこう。",
    "葛\U000e0100城市の歴史を調べ、\n契約を調べる人が長い一行を書いて手で折り返し\n改行した文である。",
    "契約🎉🫨👩‍👩‍👧‍👦の解約❤\ufe0f！！！！！！！！　　　　　　　　　　　　　　解約",
    "シーアイイーの" + "あ" * 40 + "契約",
    "𠮷野家で契約書に署名した。straße と ΑΒΓ と İstanbul の契約",
    "契約" + " " * 200 + "解約" + "http://example.com/" + "x" * 300 + " 打ち合わせ",
)
QUERIES = (
    "契約を途中で解約する条件",
    "打合せ コンピューター",
    "1200円 平成 株式会社",
    "C++",
    "ソフトウェア",
    "ソフト\u00adウェアの解除",
    "葛城市の歴史",
    "🎉",
    "🫨",
    "の",
    '契約 "解約" -家主',
    "strasse αβγ istanbul",
    "吉野家",
    "猫がいない",
)
OPTIONS: tuple[dict[str, Any], ...] = (
    {"explain": True},
    {"retriever": "lexical", "top": 50},
    {"retriever": "dense"},
    {"evidence": True, "offset": 2},
    {"merge": False, "group_by": "document", "context": 1},
)


def records() -> list[Record]:
    mixed = ["\n\n".join(TEXTS[(n + step) % len(TEXTS)] for step in range(1 + n % 4)) for n in range(24)]
    return [Record(f"{n:02}", text, {"n": n}, Source(f"/文書/{n:02}.md")) for n, text in enumerate(mixed)]


def answers(folder: Path, models: Any) -> list[Any]:
    with open_index(folder, models) as index:
        return [index.search(query, **how) for query in QUERIES for how in OPTIONS]


def kept(folder: Path) -> list[bool]:
    """Whether the offsets of each passage are kept."""
    found: list[bool] = []
    for shard in folders_of(folder):
        with Catalog.reading(shard) as catalog, catalog.snapshot():
            passages = catalog.passages(catalog.chunk_numbers().tolist())
            found += [passage.offsets is not None for passage in passages.values()]
    return found


def expected_spans(text: str, name: str = "sudachi") -> list[tuple[str, tuple[int, int] | None]]:
    """The tokens of a text with the spans of the words that they are; None for a part of a word."""
    return [
        (token, (word.start, word.end) if tokens(word.form) == (word.form,) else None)
        for word in analyser(name).words(text)
        for token in tokens(word.form)
    ]


def check(text: str) -> None:
    made, expected = index_words(analyser("sudachi"), text), expected_spans(text)
    assert made.words == " ".join(word.form for word in analyser("sudachi").words(text))
    assert tokens(made.words) == tuple(token for token, _ in expected)
    assert made.offsets is not None
    found = [spans_at(made.offsets, [place]) for place in range(len(expected))]
    assert found == [[span] if span else [] for _, span in expected]


def test_the_offsets_are_those_of_the_words(shared):
    for text in TEXTS:
        check(text)
    for name in ("wikinews-000", "board-000", "laws-000", "techbooks-000", "blog-000"):
        with lzma.open(shared / f"corpus/{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
            for _ in range(12):
                check(json.loads(next(lines))["text"][:2_000])


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 3_000)), max_size=40))
def test_offsets_are_read_as_they_were_written(steps):
    spans, at = [], 0
    for gap, length in steps:
        spans.append((at + gap, at + gap + length))
        at = spans[-1][1]
    made = packed(spans)
    assert made is not None
    assert spans_at(made, range(len(spans))) == [(start, end) for start, end in spans if start < end]


def test_what_cannot_be_kept_is_none():
    assert packed([(0, 5), (0, 5)]) is None  # two words in the same five characters
    assert packed([(0, 5_000)]) is None
    assert packed([(0, 1), (0, 1), (1, 2)]) == bytes([1, 33, 1, 33])  # ㍿ is 株式 and 会社
    assert packed([]) == b"\1"
    with pytest.raises(IndexError):
        spans_at(b"\1", [0])


@pytest.mark.parametrize("shards", [1, 3])
def test_an_index_without_offsets_answers_alike_and_gets_them(tmp_path, embedder, models, monkeypatch, shards):
    new, old = tmp_path / "new", tmp_path / "old"
    build(new, records(), embedder, IndexOptions(chunk_tokens=64, overlap=16, shards=shards), model="pairs")
    shutil.copytree(new, old)
    make_five(old)
    wanted = answers(new, models)
    assert sum(len(hit.highlights) for hits in wanted for hit in hits) > 200
    assert (all(kept(new)), any(kept(old)), verify_all(old).problems) == (True, False, ())
    assert answers(old, models) == wanted
    assert {catalog_format(shard) for shard in folders_of(old)} == {5}
    with open_index(old, models) as before:  # it goes on while the index changes
        assert before.search(QUERIES[0], **OPTIONS[0]) == wanted[0]
        embedder.embedded.clear()
        for _ in range(2):
            assert repair_index(old, upgrade=True).documents == 24
            assert (kept(old), verify_all(old).problems, verify_all(old).leftovers) == (kept(new), (), ())
        assert embedder.embedded == []
        assert [before.search(query, **how) for query in QUERIES for how in OPTIONS] == wanted
    assert answers(old, models) == wanted
    analysed: list[str] = []
    words = type(analyser("sudachi")).words
    monkeypatch.setattr(
        type(analyser("sudachi")), "words", lambda self, text, *only: analysed.append(text) or words(self, text, *only)
    )
    with open_index(old, models) as index:
        index.search(QUERIES[0], merge=False)
    assert analysed == [QUERIES[0]]


def catalog_format(shard: Path) -> int:
    with Catalog.reading(shard) as catalog:
        return catalog.format


MARKDOWN = (
    "# 契約の**解約**\n\n- 家主は*三か月前*に`予告`する。\n- 打合せは[コンピュータ](http://例.jp/keiyaku)で行う。\n",
    "## C++とC#\n\n| 名 | 値 |\n|---|---|\n| 契約 | 1200円 |\n\n**平成**元年の***株式会社***、＃と#。\n",
    "契約の条件\n====\n\n> 途中で解約する\n> 条件を、\\*印で示す。&amp;と&lt;契約&gt;。\n\n1. 猫\n2. 歴史\n",
    "* 葛城市の歴史\n* 契\u200b約の**打**ち合わせ\n\n```\nprint('契約 解約')\n```\n",
    "契約を途中で解約する条件。吉野家の契約を調べた。\n",
)


@pytest.mark.parametrize("shards", [1, 2])
def test_the_offsets_of_markdown_are_those_in_what_is_shown(tmp_path, engine, models, monkeypatch, shards):
    for number, text in enumerate(MARKDOWN):
        (tmp_path / "文書").mkdir(exist_ok=True)
        (tmp_path / "文書" / f"{number}.md").write_text(text, encoding="utf-8")
    folder, old = tmp_path / "my.idx", tmp_path / "old.idx"
    asked = (*QUERIES, "#", "*", "| 契約", "http", "keiyaku 打合せ", "amp", "print")
    with Index.open(folder, engine) as index:
        index.add(tmp_path / "文書", chunker="headings", shards=shards)
        found = [index.search(query, **how) for query in asked for how in OPTIONS]
    shutil.copytree(folder, old)
    make_five(old)
    with Index.open(old, engine) as index:
        assert [index.search(query, **how) for query in asked for how in OPTIONS] == found
        index.upgrade()
    assert sorted(kept(old)) == sorted(kept(folder))
    assert {True, False} == set(kept(folder))  # a link's address has words that are not in the full text
    assert index.repair().documents == len(MARKDOWN)
    assert sorted(kept(old)) == sorted(kept(folder))
    with Index.open(folder, engine) as index:
        monkeypatch.setattr(View, "marks", lambda *_: {})
        assert [index.search(query, **how) for query in asked for how in OPTIONS] == found
    shown = {hit.text[start:end] for hits in found for hit in hits for start, end in hit.highlights}
    assert {"解約", "契約", "打合せ", "歴史"} <= shown


def test_a_change_of_an_index_without_offsets(tmp_path, embedder, models):
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        build(folder, records()[:20], embedder, model="pairs")
    make_five(old)
    with open_index(old, models) as opened:  # before the change
        opened.search("契約")
        for folder in (new, old):
            build(folder, records()[4:], embedder, model="pairs", sources=["/文書"])
        assert [opened.search(query, **how) for query in QUERIES for how in OPTIONS] == answers(new, models)
    assert verify_all(old).problems == ()
    assert {True, False} == set(kept(old))
    repair_index(old)
    assert (all(kept(old)), verify_all(old).problems) == (True, ())
    assert answers(old, models) == answers(new, models)


def test_changed_offsets_are_damage(tmp_path, embedder, models):
    build(tmp_path, records(), embedder, model="pairs")
    db = sqlite3.connect(tmp_path / NAME)
    with db:
        db.execute("UPDATE chunks SET offsets = zeroblob(length(offsets)) WHERE id = 3")
    db.close()
    problem = "the offsets of words of passage 3 were changed"
    assert problem in verify_all(tmp_path).problems
    with open_index(tmp_path, models) as index, pytest.raises(JnlpError, match=problem):
        index.search("契約", retriever="lexical", top=50)
    assert repair_index(tmp_path).dropped == ()  # they are made again from the text
    assert verify_all(tmp_path).problems == ()


def test_another_dictionary_makes_them_again(tmp_path, embedder, models, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr(analyser("sudachi"), "version", "older")
        older.setattr("jnlp_search.builder.index_words", lambda _, *texts: index_words(analyser("bigram"), *texts))
        build(tmp_path, records(), embedder, model="pairs")
    assert not any(kept(tmp_path))
    build(tmp_path, [], embedder, model="pairs")
    assert all(kept(tmp_path))
    build(tmp_path / "new", records(), embedder, model="pairs")
    assert answers(tmp_path, models) == answers(tmp_path / "new", models)


def test_pairs_keep_none(tmp_path, engine):
    with Index.open(tmp_path / "my.idx", engine) as index:
        index.add(records(), analyser="bigram")
        found = index.search("契約")
        assert index.upgrade().documents == 24
        assert index.search("契約") == found
    assert not any(kept(tmp_path / "my.idx"))
