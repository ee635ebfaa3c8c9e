"""An index in shards answers as one index of the same documents does, and is changed, checked and repaired like it."""

from __future__ import annotations

import csv
import json
import random
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from generations import content

from jnlp.cli import build_cli
from jnlp.engine import Engine
from jnlp.errors import JnlpError, UsageError
from jnlp.plugins import import_candidate, load_plugins
from jnlp.types import Record
from jnlp_search import Index, builder, search_all
from jnlp_search.store.catalog import Catalog
from jnlp_search.store.shards import Layout, folders_of, read_layout, shard_of, write_layout

WORDS = ["契約", "解約", "更新", "会社", "休暇", "猫", "犬", "海", "山", "鉄道", "気象", "法律", "データ", "C++"]

QUERIES = [
    "契約の解約",
    "会社の休暇は何日か",
    "猫",
    "海と山の鉄道",
    "法律 データ C++",
    '"契約の解約" 会社',
    "会社 -猫",
    '休暇 -"海の山"',
    "どこにも無い語",
    "気象データの更新と会社の法律と犬",
]

OPTIONS = [
    {},
    {"retriever": "lexical"},
    {"retriever": "dense"},
    {"top": 50, "explain": True, "evidence": True},
    {"where": "year >= 2010 and kind = 'csv'", "explain": True},
    {"where": "not year < 2010", "retriever": "lexical", "top": 40},
    {"where": "title like '%1%' or path like '%3.md'", "context": 1},
    {"group_by": "document", "top": 4, "offset": 1},
    {"group": False, "per_document": 0, "merge": False, "top": 100},
    {"offset": 7, "top": 5, "explain": True},
    {"dense_weight": 0.5, "min_score": 0.2},
]


def fill(docs: Path) -> None:
    """Write files whose sentences come again and again, so that passages and scores are equal in many places."""
    chance = random.Random(5)
    sentences = [f"{'の'.join(chance.choices(WORDS, k=chance.randint(2, 4)))}について書く。" for _ in range(60)]

    def text(count: int) -> str:
        return "".join(chance.choices(sentences, k=count))

    docs.mkdir()
    for number in range(30):
        (docs / f"{number}.txt").write_text(text(chance.randint(1, 30)), encoding="utf-8")
    for number in range(10):
        body = "\n\n".join(f"## 第{part}条\n\n{text(4)}" for part in range(3))
        (docs / f"{number}.md").write_text(f"# 規程 {number}\n\n{body}\n", encoding="utf-8")
    with (docs / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "year"])
        writer.writerows([f"row-{number}", text(2), 2000 + number] for number in range(25))


@pytest.fixture(scope="module")
def docs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "docs"
    fill(folder)
    return folder


@pytest.fixture
def place(docs, tmp_path, monkeypatch):
    """A folder of its own with the documents, to be changed."""
    shutil.copytree(docs, tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pair(place, engine):
    """An index, and one of the same documents in four shards."""
    with Index.open(place / "one.idx", engine) as one, Index.open(place / "four.idx", engine) as four:
        for index, shards in ((one, None), (four, 4)):
            index.add(["docs"], chunk_tokens=64, overlap=16, shards=shards)
        yield one, four


def rows(index: Index) -> dict:
    return content(index.path)


def same(one: Index, four: Index) -> None:
    """Compare all that both answer."""
    for query in QUERIES:
        for options in OPTIONS:
            assert four.search(query, **options) == one.search(query, **options), (query, options)
    assert four.search_many(QUERIES, top=3) == one.search_many(QUERIES, top=3)
    assert list(four.documents()) == list(one.documents())
    assert four.verify().problems == ()


def test_the_answers_are_those_of_one_index(pair):
    one, four = pair
    same(one, four)
    held = [len(content(folder)) for folder in folders_of(four.path)]
    assert len(held) == 4
    assert min(held) > 5
    assert sum(held) == 65
    for name in ("docs/3.txt", "row-7", "docs/3.md"):
        assert four.document(name) == one.document(name)
    with pytest.raises(UsageError, match="no document has this name"):
        four.document("docs/none.txt")
    with pytest.raises(UsageError, match="no document has a column 'author'") as error:
        four.search("猫", where="author = 'a'")
    with pytest.raises(UsageError) as other:
        one.search("猫", where="author = 'a'")
    assert {*error.value.hint.split(", ")} == {*other.value.hint.split(", ")}


def test_with_bigrams(place, engine):
    with Index.open(place / "one.idx", engine) as one, Index.open(place / "four.idx", engine) as four:
        for index, shards in ((one, 1), (four, 3)):
            index.add(["docs"], chunk_tokens=64, overlap=16, analyser="bigram", shards=shards)
        for query in [*QUERIES, "山"]:
            assert four.search(query, explain=True) == one.search(query, explain=True)


def test_changes_reach_their_shards(pair, place):
    one, four = pair
    (place / "docs" / "3.txt").write_text("休暇は十日ある。", encoding="utf-8")
    (place / "docs" / "4.txt").unlink()
    (place / "docs" / "new.txt").write_text("猫の休暇は無い。", encoding="utf-8")
    reports = [replace(index.update(), seconds=0) for index in (one, four)]
    assert reports[0] == reports[1]
    assert (reports[1].added, reports[1].updated, reports[1].removed) == (1, 1, 1)
    same(one, four)
    for names in (["docs/5.txt", "row-3"], ["docs/0.md"]):
        assert four.remove(names) == one.remove(names) == len(names)
    with pytest.raises(UsageError, match=r"gone\.txt is not in .*four\.idx"):
        four.remove(["docs/6.txt", "gone.txt"])
    same(one, four)
    assert four.compact().tombstones == one.compact().tombstones > 0
    same(one, four)


def test_a_shard_that_did_not_change_is_not_written(pair, place):
    _, four = pair
    before = [Catalog.reading(folder).state()[0] for folder in folders_of(four.path)]
    (place / "docs" / "3.txt").write_text("休暇は十日ある。", encoding="utf-8")
    assert four.update().updated == 1
    after = [Catalog.reading(folder).state()[0] for folder in folders_of(four.path)]
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_moved_documents(pair, place):
    one, four = pair
    (place / "docs").rename(place / "moved")
    for index in (one, four):
        assert index.add(["moved"], base="moved").unchanged == 65
    same(one, four)
    assert four.search("猫", top=1)[0].path.startswith("moved/")


def test_rebuilding_changes_the_number_of_shards(pair):
    one, four = pair
    with pytest.raises(JnlpError, match="was made with --shards 4, not 2") as error:
        four.add(["docs"], shards=2)
    assert "--rebuild" in error.value.hint
    with pytest.raises(JnlpError, match="was made with --shards 1, not 2"):
        one.add(["docs"], shards=2)
    for shards in (2, None, 1, 1, 3):
        four.search("猫")  # it is open, and notices the rebuild
        report = four.add(["docs"], rebuild=True, shards=shards)
        assert report.added == 65
        layout = read_layout(four.path)
        assert (layout.shards if layout else 1) == (2 if shards is None else shards)
        same(one, four)
        assert four.verify().leftovers == ()


def test_one_that_is_open_sees_another_ones_rebuild(pair, engine):
    one, four = pair
    before = four.search("契約の解約")
    with Index.open(four.path, engine) as other:
        other.add(["docs"], rebuild=True, shards=2)
    assert four.search("契約の解約") == before
    same(one, four)


def test_several_indexes(pair):
    one, four = pair
    hits = search_all([one, four], "契約の解約", group=False, top=20)
    assert {hit.index for hit in hits} == {str(one.path), str(four.path)}
    assert len(hits) == 20
    by_index = [[replace(hit, rank=0, index=None) for hit in hits if hit.index == str(of.path)] for of in (one, four)]
    assert by_index[0] == by_index[1]


def test_damage_is_found_and_repaired_in_its_shard(pair):
    one, four = pair
    shard = folders_of(four.path)[2]
    with Catalog.writing(shard) as catalog:
        number = catalog.db.execute("SELECT min(id) FROM chunks").fetchone()[0]
        catalog.db.execute("UPDATE chunks SET text = 'x' WHERE id = ?", (number,))
    problems = four.verify().problems
    assert problems
    assert all(problem.startswith("shard-002: ") for problem in problems)
    report = four.repair()
    assert len(report.dropped) == 1
    assert report.documents == 64
    assert four.verify().problems == ()
    assert four.update().added == 1
    assert rows(four) == rows(one)
    assert {hit.document for hit in four.search("猫", top=50)} == {hit.document for hit in one.search("猫", top=50)}


def test_a_lost_shard_is_indexed_again(pair):
    one, four = pair
    four.close()
    shutil.rmtree(folders_of(four.path)[1])
    with pytest.raises(JnlpError, match=r"shard-001 is damaged: catalog\.sqlite is missing") as error:
        four.search("猫")
    assert f"jnlp index repair {four.path} " in error.value.hint
    assert four.repair().dropped == ("all documents of shard-001",)
    assert four.verify().problems == ()
    assert four.update().added > 0
    assert rows(four) == rows(one)


def test_an_end_between_two_shards_commits(pair, place, engine, monkeypatch):
    """The first shard has its documents, the others do not; the same command again adds them."""
    one, _ = pair

    class EndError(BaseException):
        pass

    def end(_catalog):
        raise EndError

    with Index.open(place / "new.idx", engine) as index:
        with monkeypatch.context() as patched:
            patched.setattr(builder.segments, "gather", end)
            with pytest.raises(EndError):
                index.add(["docs"], chunk_tokens=64, overlap=16, shards=4)
        assert [bool(content(folder)) for folder in folders_of(index.path)] == [True, False, False, False]
        assert index.verify().problems == ()
        assert {hit.document for hit in index.search("猫", top=100)} <= {*content(folders_of(index.path)[0])} | {
            f"docs/{name}" for name in content(folders_of(index.path)[0])
        }
        report = index.add(["docs"])
        assert report.unchanged > 0
        assert report.added + report.unchanged == 65
        assert rows(index) == rows(one)
        assert index.verify().leftovers == ()


def test_a_document_in_a_wrong_shard_is_found(pair):
    _, four = pair
    write_layout(four.path, Layout(3))
    assert any("belongs to another shard" in problem for problem in four.verify().problems)
    (four.path / "shards.json").write_text("{}", encoding="utf-8")
    with pytest.raises(JnlpError, match=r"shards\.json cannot be read"):
        four.search("猫")


def test_roots_that_a_kill_kept_from_a_shard(pair, place, engine):
    one, four = pair
    (place / "more").mkdir()
    for number in range(8):
        (place / "more" / f"{number}.txt").write_text(f"第{number}の猫。", encoding="utf-8")
    with Catalog.writing(folders_of(four.path)[0]) as catalog, catalog.transaction():
        catalog.add_root(str(place / "more"), "more")
    for index in (one, four):
        assert index.add(["more"]).added == 8
    assert [Catalog.reading(folder).roots() for folder in folders_of(four.path)] == 4 * [
        Catalog.reading(one.path).roots()
    ]
    same(one, four)


def test_export_and_info(pair, place):
    one, four = pair
    for name in ("a.jsonl", "b.jsonl"):
        assert (one if name == "a.jsonl" else four).export(place / name, vectors=True) > 65
    assert (place / "a.jsonl").read_bytes() == (place / "b.jsonl").read_bytes()
    found, plain = four.info(), one.info()
    assert (found.documents, found.chunks, found.characters) == (plain.documents, plain.chunks, plain.characters)
    assert found.made_with == {**plain.made_with, "shards": 4}


def test_records_without_files(tmp_path, engine):
    with Index.open(tmp_path / "i", engine) as index:
        made = [Record(f"faq-{number}", f"質問{number}の答え。") for number in range(20)]
        assert index.add(made, shards=3).added == 20
        assert index.add(made[:5]).unchanged == 5
        assert index.remove("faq-3") == 1
        assert len(list(index.documents())) == 19


def test_watching(place, engine):
    pytest.importorskip("watchfiles")
    stop, seen = threading.Event(), [0, 0]
    with Index.open(place / "i", engine) as index:
        for report in index.watch("docs", debounce=0.01, stop=stop, shards=3):
            seen = [seen[0] + report.added, seen[1] + report.removed]
            if seen == [65, 0]:
                (place / "docs" / "new.txt").write_text("猫の休暇は無い。", encoding="utf-8")
                (place / "docs" / "3.txt").unlink()
            elif seen == [66, 1]:
                stop.set()
        assert len(folders_of(index.path)) == 3
        assert index.verify().problems == ()


def test_the_shard_of_a_document_stays():
    """A change of the hash would lose every index in shards."""
    assert [shard_of((1, f"{number}.txt", ""), 8) for number in range(8)] == [0, 1, 5, 0, 0, 3, 0, 4]
    assert shard_of((0, "", "faq-1"), 1) == 0


def test_the_commands(place, runner, models, monkeypatch):
    monkeypatch.setattr(Engine, "models", lambda *_: models)
    cli = build_cli(load_plugins([import_candidate("search", "jnlp_search")]))

    def run(*words, status=0):
        done = runner.invoke(cli, words, prog_name="jnlp", catch_exceptions=False)
        assert done.exit_code == status, done.output
        return done.stdout

    assert "65 documents added" in run("index", "docs", "--index", "my.idx", "--shards", "4")
    assert "65 documents added" in run("index", "docs", "--index", "one.idx")
    asked = ("契約の解約", "--explain", "--where", "year >= 2010")
    assert run("search", "my.idx", *asked) == run("search", "one.idx", *asked)
    assert "65 unchanged" in run("index", "--index", "my.idx")
    assert "65 documents" in run("index", "verify", "my.idx")
    assert json.loads(run("index", "info", "my.idx"))["made_with"]["shards"] == 4
    assert run("index", "list", "my.idx") == run("index", "list", "one.idx")
    assert "1 removed" in run("index", "remove", "my.idx", "docs/3.txt")
    assert "bytes before" in run("index", "compact", "my.idx")
    assert "64 documents kept" in run("index", "repair", "my.idx")
    assert "64 documents" in run("index", "upgrade", "my.idx")
    for how in ((), ("--rebuild", "--shards", "2")):
        run("index", "docs", "--index", "my.idx", *how)
        assert run("search", "my.idx", *asked) == run("search", "one.idx", *asked)
    assert len(folders_of(Path("my.idx"))) == 2
