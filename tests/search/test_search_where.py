"""Conditions: what parses and what does not, SQL against a plain evaluation of the tree, and filters in a search."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import unicodedata
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jnlp.errors import UsageError
from jnlp.types import Record
from jnlp_search import Index
from jnlp_search.store.schema import TABLES
from jnlp_search.where.parse import parse
from jnlp_search.where.sql import define, documents_where, kind_of, language_of
from jnlp_search.where.tree import (
    All,
    Any,
    Column,
    Compare,
    Missing,
    Moment,
    Not,
    Op,
    read_moment,
    read_number,
    whole_year,
)

from .conftest import FakeEngine, OneModel

YEAR, KIND = Column("year"), Column("kind")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("year >= 2020", Compare(YEAR, Op.GREATER_OR_EQUAL, 2020)),
        ("year≧２０２０", Compare(YEAR, Op.GREATER_OR_EQUAL, 2020)),
        ("year != -1.5e3", Not(Compare(YEAR, Op.EQUAL, -1500.0))),
        ("kind = 'it''s'", Compare(KIND, Op.EQUAL, "it's")),
        ('kind == "say ""so"""', Compare(KIND, Op.EQUAL, 'say "so"')),
        ("[発行 年] < 3", Compare(Column("発行 年"), Op.LESS, 3)),
        ("kind IN ('pdf','md')", Any((Compare(KIND, Op.EQUAL, "pdf"), Compare(KIND, Op.EQUAL, "md")))),
        ("year in (1,2)", Any((Compare(YEAR, Op.EQUAL, 1), Compare(YEAR, Op.EQUAL, 2)))),
        ("kind not like '規程/%'", Not(Compare(KIND, Op.LIKE, "規程/%"))),
        ("kind is null", Missing(KIND)),
        ("kind is not null", Not(Missing(KIND))),
        ("mtime = 2019", Compare(Column("mtime"), Op.EQUAL, whole_year(2019))),
        ("year = true", Compare(YEAR, Op.EQUAL, True)),
        (
            "year = 1 or year = 2 and not kind = 'a'",
            Any(
                (
                    Compare(YEAR, Op.EQUAL, 1),
                    All((Compare(YEAR, Op.EQUAL, 2), Not(Compare(KIND, Op.EQUAL, "a")))),
                )
            ),
        ),
        (
            "(year = 1 or year = 2) and kind='a'",
            All((Any((Compare(YEAR, Op.EQUAL, 1), Compare(YEAR, Op.EQUAL, 2))), Compare(KIND, Op.EQUAL, "a"))),
        ),
        (
            "day = 2024-02",
            Compare(Column("day"), Op.EQUAL, Moment("2024-02-01T00:00:00.000000", "2024-03-01T00:00:00.000000")),
        ),
        (
            "mtime < '2024年5月1日'",
            Compare(Column("mtime"), Op.LESS, Moment("2024-05-01T00:00:00.000000", "2024-05-02T00:00:00.000000")),
        ),
    ],
)
def test_what_parses(text, tree):
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 1, "a column"),
        ("year", 5, "a comparison"),
        ("year >=", 8, "a value"),
        ("year >= and", 9, "a value"),
        ("year = 2020 kind", 13, "'and', 'or' or the end"),
        ("(year = 1", 10, "')'"),
        ("year in 1", 9, "'('"),
        ("year in (1", 11, "')'"),
        ("year not 1", 10, "'in' or 'like'"),
        ("year is 1", 9, "'null'"),
        ("kind like 3", 11, "a pattern in quotes"),
        ("kind < true", 6, "'=' or '!='"),
        ("day = 2024-13-01", 7, "a date that exists"),
        ("mtime > 'yesterday'", 9, "a date"),
        ("kind = 'open", 8, "a value"),
        ("year = 1; drop table documents", 9, "'and', 'or' or the end"),
        ("year = 1e999", 8, "a value"),
        ("= 1", 1, "a column"),
        ("(" * 60 + "year = 1" + ")" * 60, 51, "at most 50 parentheses"),
        ("year = 1 or " * 600 + "year = 1", 12 * 500 + 8, "at most 500 values"),
    ],
)
def test_what_does_not_parse_names_the_place(text, position, expected):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert f"character {position}: expected {expected}" in caught.value.message
    assert caught.value.hint


@given(st.text(max_size=40))
@example("year = '\ud800'")
@example("year = '\0'")
@example("年 like '" + "%a" * 300 + "'")
def test_any_text_parses_or_is_a_usage_error(text):
    try:
        found = parse(text)
    except UsageError:
        return
    with documents() as db:
        define(db)
        db.execute(*astuple(documents_where(found))).fetchall()


# --- SQL against a plain evaluation ---

NAMES = ["年", "a b", 'q"\\', "'; --", "tags", "day", "%"]
CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, 2.0, -1.25]),
    st.sampled_from(
        [
            "",
            "a",
            "A",
            "ab",
            "2",
            "１",
            "1,000",
            "2.50",
            "true",
            "2024-05-01",
            "2024/5/2",
            "x' or 1",
            "%",
            "か\u3099",
            ".5",
        ]
    ),
)
FIELDS = st.dictionaries(st.sampled_from(NAMES), st.one_of(CELLS, st.lists(CELLS, max_size=3)), max_size=5)
TEXTS = st.sampled_from(["", "a", "ab", "2", "2.5", "true", "x' or 1", "2024-05-01", "%'; --", "\\", "が", ".5"])
DATES = st.sampled_from(["2024-05", "2024-05-01", "2024-05-02T00:00"]).map(read_moment)
COLUMNS = st.sampled_from(NAMES).map(Column)
ORDER = st.sampled_from([op for op in Op if op is not Op.LIKE])
ATOMS = st.one_of(
    st.builds(Compare, COLUMNS, ORDER, st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 1000, 2024]), TEXTS, DATES)),
    st.builds(Compare, COLUMNS, st.just(Op.EQUAL), st.booleans()),
    st.builds(
        Compare, COLUMNS, st.just(Op.LIKE), st.sampled_from(["", "a%", "%b", "_", "%", r"\%", "%0%", "A_", "2%-%1"])
    ),
    st.builds(Missing, COLUMNS),
)
TREES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Any, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


def astuple(sql):
    return sql.text, sql.values


def documents(*metadata: dict) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.executescript(TABLES)
    for number, fields in enumerate(metadata, 1):
        row = (number, 0, "", str(number), 1, None, None, None, 0, 0, b"", json.dumps(fields), 0)
        db.execute(f"INSERT INTO documents VALUES ({', '.join('?' * 13)})", row)
    return db


def holds(tree, fields: dict) -> bool:
    if isinstance(tree, Not):
        return not holds(tree.inner, fields)
    if isinstance(tree, All):
        return all(holds(item, fields) for item in tree.items)
    if isinstance(tree, Any):
        return any(holds(item, fields) for item in tree.items)
    cell = fields.get(tree.column.name)
    cells = [item for item in (cell if isinstance(cell, list) else [cell]) if item is not None]
    if isinstance(tree, Missing):
        return not cells
    return any(passes(tree.op, item, tree.value) for item in cells)


def passes(op: Op, cell, value) -> bool:
    if op is Op.LIKE:
        text = unicodedata.normalize("NFC", str(int(cell) if isinstance(cell, bool) else cell))
        return like(value.casefold(), text.casefold())
    if isinstance(value, bool):
        return str(int(cell) if isinstance(cell, bool) else cell).lower() in (
            ("1", "true") if value else ("0", "false")
        )
    if isinstance(value, Moment):
        moment = read_moment(cell) if isinstance(cell, str) else None
        if moment is None:
            return False
        return {
            "=": value.start <= moment.start < value.end,
            "<": moment.start < value.start,
            "<=": moment.start < value.end,
            ">": moment.start >= value.end,
            ">=": moment.start >= value.start,
        }[op.value]
    if isinstance(value, str) and isinstance(cell, str):
        cell = unicodedata.normalize("NFC", cell)
    if isinstance(value, str) and not isinstance(cell, str):
        value = read_number(value)
    elif not isinstance(value, str) and isinstance(cell, str):
        cell = int(cell[:4]) if cell.startswith("2024-") or cell.startswith("2024/") else read_number(cell)
    if value is None or cell is None:
        return False
    return {
        "=": cell == value,
        "<": cell < value,
        "<=": cell <= value,
        ">": cell > value,
        ">=": cell >= value,
    }[op.value]


def like(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(like(pattern[1:], text[at:]) for at in range(len(text) + 1))
    quoted = pattern[0] == "\\" and len(pattern) > 1
    first, rest = (pattern[1], pattern[2:]) if quoted else (pattern[0], pattern[1:])
    return bool(text) and (text[0] == first or (first == "_" and not quoted)) and like(rest, text[1:])


@settings(max_examples=150, deadline=None)
@given(TREES, st.lists(FIELDS, min_size=1, max_size=5))
def test_sql_agrees_with_a_plain_evaluation(tree, fields):
    with documents(*fields) as db:
        define(db)
        found = {row[0] for row in db.execute(*astuple(documents_where(tree)))}
    assert found == {number for number, values in enumerate(fields, 1) if holds(tree, values)}


def written(tree) -> str:
    """Write a tree as a user would."""
    if isinstance(tree, Not):
        return f"not ({written(tree.inner)})"
    if isinstance(tree, All | Any):
        return (" and " if isinstance(tree, All) else " or ").join(f"({written(item)})" for item in tree.items)
    if isinstance(tree, Missing):
        return f"[{tree.column.name}] is null"
    value = tree.value
    if isinstance(value, bool):
        shown = str(value).lower()
    elif isinstance(value, Moment):
        shown = value.start if value.end < "2024-05-02T00:00:01" and "T00:00" not in value.start else value.start[:10]
    else:
        shown = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
    return f"[{tree.column.name}] {tree.op} {shown}"


@settings(deadline=None)
@given(TREES.filter(lambda tree: "Moment" not in repr(tree)))
def test_a_written_tree_is_read_back(tree):
    assert parse(written(tree)) == tree


def test_a_pattern_full_of_wildcards_is_quick():
    with documents({"x": "a" * 5_000}) as db:
        define(db)
        start = time.monotonic()
        tree = parse(f"x like '{'%a_' * 400}b'")
        assert db.execute(*astuple(documents_where(tree))).fetchall() == []
        assert time.monotonic() - start < 2


def test_kinds_and_languages():
    assert [kind_of(path) for path in ("a/b.PDF", "x.htm", "y.markdown", "名前", ".hidden")] == [
        "pdf",
        "html",
        "md",
        None,
        None,
    ]
    texts = ["吾輩は猫である。", "It is a cat.", "고양이입니다", "我是猫。", "1 + 1", "pip install jnlp を実行する。"]
    assert [language_of(text) for text in texts] == ["ja", "en", "ko", "zh", None, "ja"]


# --- in a search ---


@pytest.fixture(scope="module")
def index(tmp_path_factory, embedders):
    folder = tmp_path_factory.mktemp("conditions")
    with contextlib.chdir(folder), Index.open(folder / "my.idx", FakeEngine(OneModel(embedders()))) as opened:
        for name, text in {
            "規程/契約.txt": "契約は三か月前に解約できる。",
            "規程/旧.md": "---\ntitle: 旧い契約\n---\n\n契約は一年前に解約できる。",
            "notes/memo.txt": "The contract 契約 can be ended.",
        }.items():
            path = Path("文書") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        os.utime("文書/規程/旧.md", (0, datetime(2019, 4, 1, 12).timestamp()))
        rows = "id,text,年度,区分\n1,契約の表,2019,甲\n2,契約の新しい表,2021,乙\n"
        Path("表.csv").write_text(rows, encoding="utf-8")
        opened.add(["文書", "表.csv"])
        opened.add([Record("札", "契約の札", {"tags": ["赤", "青"], "年度": 2021})])
        yield opened


@pytest.mark.parametrize("retriever", ["hybrid", "lexical", "dense"])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("path like '文書/規程/%'", {"文書/規程/契約.txt", "文書/規程/旧.md"}),
        ("kind = 'md'", {"文書/規程/旧.md"}),
        ("kind in ('MD', 'pdf') and language = 'JA'", {"文書/規程/旧.md"}),
        ("kind = 'csv' and 年度 >= 2020", {"2"}),
        ("年度 = 2021", {"2", "札"}),
        ("年度 is null and kind != 'md'", {"文書/規程/契約.txt", "文書/notes/memo.txt"}),
        ("title = '旧い契約'", {"文書/規程/旧.md"}),
        ("tags = '青'", {"札"}),
        ("mtime < 2020-01-01", {"文書/規程/旧.md"}),
        ("mtime = 2019-04-01", {"文書/規程/旧.md"}),
        ("mtime = 2019", {"文書/規程/旧.md"}),
        ("mtime > 2019 and kind = 'txt'", {"文書/規程/契約.txt", "文書/notes/memo.txt"}),
        ("mtime >= 2020-01 and kind = 'txt'", {"文書/規程/契約.txt", "文書/notes/memo.txt"}),
        ("language = 'en'", {"文書/notes/memo.txt"}),
        ("kind = 'pdf'", set()),
    ],
)
def test_a_search_is_among_what_passes(index, where, expected, retriever):
    assert {hit.document for hit in index.search("契約", where=where, retriever=retriever)} == expected


@pytest.mark.parametrize("small", [0, 1_000])
def test_the_best_of_what_passes_comes_however_many_are_better(tmp_path, engine, monkeypatch, small):
    monkeypatch.setattr("jnlp_search.store.nearest.EXACT", small)
    with Index.open(tmp_path / "my.idx", engine) as index:
        records = [Record(f"よ{n}", f"契約の解約の条件{n:03}", {"n": n}) for n in range(300)]
        index.add([*records, Record("遠", "まったく別の話で契約。", {"n": 999}), Record("消", "契約", {"n": 1000})])
        index.remove("消")
        for retriever in ("hybrid", "lexical", "dense"):
            assert [
                hit.document for hit in index.search("契約の解約の条件", where="n >= 999", retriever=retriever)
            ] == ["遠"]
        assert len(index.search("契約", where="n < 20", top=50)) == 20
        index.add([Record("新", "契約の新", {"n": 1001})])
        assert {hit.document for hit in index.search("契約", where="n >= 999")} == {"遠", "新"}


def test_an_unknown_column_is_named_with_those_there_are(index):
    with pytest.raises(UsageError, match="character 16: no document has a column '年渡'") as caught:
        index.search("契約", where="kind = 'a' and 年渡 > 1")
    assert "年度" in str(caught.value.hint)
    assert len(index.search("契約", where="kind = 'md'")) == 1  # the index goes on working
