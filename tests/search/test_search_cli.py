"""`jnlp index` and `jnlp search` as a user types them; the vectors are the tests' own."""

from __future__ import annotations

import csv
import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from jnlp.cli import build_cli
from jnlp.engine import Engine
from jnlp.plugins import import_candidate, load_plugins
from jnlp.testing import make_model
from jnlp.types import Hit
from jnlp_search import Index
from jnlp_search.render import SHORT, snippet

FIELDS = [
    "rank",
    "score",
    "document",
    "chunk",
    "start",
    "end",
    "text",
    "highlights",
    "metadata",
    "path",
    "line",
    "headings",
    "count",
    "also",
]


@pytest.fixture
def jnlp(runner, models, monkeypatch, tmp_path):
    """Run `jnlp …` in a folder of its own; gives what was printed, or fails with it."""
    monkeypatch.setattr(Engine, "models", lambda *_: models)
    monkeypatch.chdir(tmp_path)
    cli = build_cli(load_plugins([import_candidate("search", "jnlp_search")]))

    def run(*words: str, status: int = 0, stdin: str | bytes | None = None) -> tuple[str, str]:
        done = runner.invoke(cli, words, prog_name="jnlp", catch_exceptions=False, input=stdin)
        assert done.exit_code == status, done.output
        return done.stdout, done.stderr

    return run


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "文書"
    folder.mkdir()
    (folder / "契約.txt").write_bytes("第1条　三か月前までに予告して、契約を解約することができる。\r\n".encode("cp932"))
    (folder / "猫.md").write_text("# 猫\n\n吾輩は猫である。\n", encoding="utf-8")
    (folder / "問答.csv").write_text("問,答,番号\n休みは?,日曜です。,7\n", encoding="utf-8")
    return folder


def test_index_then_search(jnlp, folder):
    out, err = jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    assert out.startswith("my.idx: 3 documents added, 0 updated, 0 unchanged, 0 removed, 0 failed; 3 new passages in ")
    assert err == ""
    out, _ = jnlp("search", "my.idx", "契約を途中で解約する条件", "--top", "1")
    (hit,) = map(json.loads, out.splitlines())
    text = (folder / "契約.txt").read_bytes().decode("cp932")
    assert list(hit) == FIELDS
    assert (hit["rank"], hit["document"], hit["chunk"]) == (1, "文書/契約.txt", 0)
    assert hit["text"] == text[hit["start"] : hit["end"]] == text.strip()
    assert [hit["text"][a:b] for a, b in hit["highlights"]] == ["契約", "解約"]
    assert hit["metadata"]["path"] == "文書/契約.txt"
    row = json.loads(jnlp("search", "my.idx", "日曜", "--retriever", "lexical")[0])
    assert (row["document"], row["text"], row["metadata"]["問"]) == ("文書/問答.csv:2", "日曜です。", "休みは?")


def test_queries_from_standard_input_are_answered_in_turn(jnlp, folder):
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    asked = "吾輩は猫である\n\n契約を解約する条件\n"
    for stdin in (asked, asked.encode("cp932")):
        out, _ = jnlp("search", "my.idx", "-", "--top", "1", stdin=stdin)
        hits = [json.loads(line) for line in out.splitlines()]
        assert [(hit["query"], hit["document"]) for hit in hits] == [
            ("吾輩は猫である", "文書/猫.md"),
            ("契約を解約する条件", "文書/契約.txt"),
        ]
    out, _ = jnlp("search", "my.idx", "-", "--top", "1", "--format", "table", stdin="猫\n解約\n")
    assert [line for line in out.splitlines() if line.startswith("■")] == ["■ 猫", "■ 解約"]


def test_a_file_with_bad_bytes_is_indexed_where_that_is_asked_for(jnlp, folder):
    (folder / "古い.txt").write_bytes("古い契約書の写しである。".encode("cp932") + b"\xff\r\n")
    _, err = jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    assert "古い.txt: byte" in err
    assert "--encoding-errors replace" in err
    out, _ = jnlp("index", "文書", "--index", "my.idx", "--text", "答", "--encoding-errors", "replace")
    assert ": 1 document added, 0 updated, 3 unchanged" in out
    assert "写しである。\ufffd" in json.loads(jnlp("search", "my.idx", "写し", "--top", "1")[0])["text"]


def test_only_what_changed(jnlp, folder, embedder):
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    embedder.embedded.clear()
    (folder / "猫.md").write_text("# 猫\n\n名前はまだ無い。\n", encoding="utf-8")
    (folder / "契約.txt").unlink()
    out, _ = jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    assert out.startswith("my.idx: 0 documents added, 1 updated, 1 unchanged, 1 removed, 0 failed; 1 new passage in ")
    assert len(embedder.embedded) == 1


def test_a_document_that_cannot_be_read_is_named(jnlp, folder):
    (folder / "壊.txt").write_bytes(b"\x81\x00\xff\xfe\xfd\x80")
    out, err = jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    assert out.startswith("my.idx: 3 documents added, 0 updated, 0 unchanged, 0 removed, 1 failed; ")
    assert err.startswith("jnlp: skipped ")
    assert err.count("\n") == 1
    assert "文書/壊.txt" in err
    jnlp("index", "文書/壊.txt", "--index", "other.idx", status=1)


def test_people_see_the_sentence_that_answers(jnlp, folder):
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    out, _ = jnlp("search", "my.idx", "猫", "--retriever", "lexical", "--format", "table")
    assert out.splitlines()[0].startswith("1. 文書/猫.md:1 2–")
    assert "吾輩は猫である。" in out
    assert jnlp("search", "my.idx", "犬", "--retriever", "lexical", "--format", "table") == (
        "",
        "jnlp: nothing was found\n",
    )


def test_what_was_not_found_is_said(jnlp, folder):
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    told = "; these passages have no word of the query; they are the nearest by their vectors\n"
    out, err = jnlp("search", "my.idx", "xyzzy")
    assert out
    assert err.startswith("jnlp: no good match: the best score is ")
    assert err.endswith(told)
    assert jnlp("search", "my.idx", "xyzzy", "-q")[1] == ""
    assert "no good match" in jnlp("search", "my.idx", "xyzzy", "--retriever", "dense")[1]
    assert jnlp("search", "my.idx", "xyzzy", "--retriever", "dense", "-q")[1] == ""
    assert jnlp("search", "my.idx", "猫")[1] == ""
    Path("空").mkdir()
    assert jnlp("index", "空", "--index", "empty.idx")[1] == "jnlp: no document was found there\n"


def test_a_person_sees_no_passage_where_none_is_good(jnlp, folder):
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    out, err = jnlp("search", "my.idx", "🏠🏠", "--format", "table")
    assert out == ""
    assert re.fullmatch(r"jnlp: no good match: the best score is \S+; --min-score 0 shows the nearest passages\n", err)
    out, err = jnlp("search", "my.idx", "🏠🏠", "--format", "table", "--min-score", "0")
    assert out.startswith("1. 文書/")
    assert "these passages have no word of the query; they are the nearest by their vectors" in err
    assert json.loads(jnlp("search", "my.idx", "🏠🏠")[0].splitlines()[0])["score"] < 0.1  # a program reads the score
    out, err = jnlp("search", "my.idx", "🏠🏠", "--format", "table", "-q")
    assert (out, err.count("\n")) == ("", 1), "an empty table alone would say that nothing was searched"
    assert "no good match" in err


def test_a_line_is_that_of_the_sentence_that_answers(jnlp, tmp_path):
    Path("規程.md").write_text("# 規程\n\n猫を飼うことはできない。\n\n家賃は月末に払う。\n", encoding="utf-8")
    Path("問答.csv").write_text('text\n"一行目。\n家賃の支払い。"\n', encoding="utf-8")
    jnlp("index", ".", "--index", "my.idx")
    query = ("search", "my.idx", "家賃の支払い", "--retriever", "lexical")
    for more in ((), ("--evidence",)):
        hits = {hit["path"]: hit for hit in map(json.loads, jnlp(*query, *more)[0].splitlines())}
        assert hits["規程.md"]["line"] == 5, "the first line of the evidence"
        assert hits["問答.csv"]["line"] == 2, "of a row, the row's own"
    assert "規程.md:5 2–" in jnlp(*query, "--format", "table")[0]
    rows = map(json.loads, jnlp("index", "export", "my.idx", "--format", "jsonl")[0].splitlines())
    assert {row["path"]: row["line"] for row in rows} == {"規程.md": 1, "問答.csv": 2}, "a passage alone has its own"


def test_other_indexes_in_a_folder_are_no_files_of_it(jnlp, folder):
    jnlp("index", "文書", "--index", "文書/my.idx", "--text", "答")
    jnlp("index", "文書", "--index", "文書/shards.idx", "--text", "答", "--shards", "2")
    jnlp("index", "文書", "--index", "文書/shards.idx", "--rebuild")
    for index in ("文書/my.idx", "文書/shards.idx", "other.idx"):
        assert jnlp("index", "文書", "--index", index, "--text", "答")[1] == ""


def test_a_quiet_search_does_not_ask_if_the_index_is_outdated(jnlp, folder, monkeypatch):
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    asked = []
    monkeypatch.setattr(Index, "is_outdated", lambda index: asked.append(index) or False)
    jnlp("search", "my.idx", "猫", "-q")
    assert asked == []
    jnlp("search", "my.idx", "猫")
    assert len(asked) == 1


def test_sheets_have_the_path_once_and_times_as_dates(jnlp, folder):
    jnlp("index", "文書", "--index", "my.idx")
    jnlp("search", "my.idx", "契約を解約する", "-o", "hits.csv")
    with Path("hits.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert "metadata.path" not in rows[0]
    assert rows[0]["path"] == "文書/契約.txt"
    written = datetime.fromisoformat(rows[0]["metadata.mtime"]).timestamp()
    assert written == pytest.approx(Path("文書/契約.txt").stat().st_mtime, abs=1)
    record = json.loads(jnlp("search", "my.idx", "契約を解約する")[0].splitlines()[0])
    assert record["metadata"]["path"] == record["path"]  # programs get all of it, as numbers
    assert isinstance(record["metadata"]["mtime"], float)


def test_an_explanation_leads_to_the_score(jnlp, folder):
    jnlp("index", "文書", "--index", "my.idx")
    out, _ = jnlp("search", "my.idx", "契約を解約する", "--explain", "--format", "table", "--dense-weight", "0.25")
    lines = " ".join(out.split())
    first = re.search(
        r"BM25 \S+ \(rank 1, share 1.000\), cosine \S+ \(rank \d, share (\S+)\) 0.75 × 1.000 \+ 0.25 × (\S+) = "
        r"(\S+) fused, (\d+)% of the best; the best passages have \d+% of the query's words → score (\S+)",
        lines,
    )
    assert first is not None, out
    assert first[1] == first[2]
    assert float(first[3]) == pytest.approx(0.75 + 0.25 * float(first[2]), abs=0.002)
    assert first[4] == "100"
    assert f"  {first[5]}" in out.splitlines()[0]
    alone, _ = jnlp("search", "my.idx", "契約", "--explain", "--format", "table", "--retriever", "lexical")
    assert "1.00 × 1.000 = 1.000 fused" in " ".join(alone.split())


def test_an_emoji_has_no_good_match(jnlp, folder):
    jnlp("index", "文書", "--index", "my.idx")
    _, err = jnlp("search", "my.idx", "🎉")
    assert "no good match: the best score is" in err
    assert "these passages have no word of the query" in err


def test_a_query_without_an_index_says_how_to_make_one(jnlp, folder):
    _, err = jnlp("search", "休暇は何日か", status=2)
    assert "no index, folder or file is named" in err
    assert "jnlp search FOLDER '休暇は何日か'" in err
    assert "jnlp index FOLDER --index my.idx" in err


def test_files_without_text_are_counted(jnlp, folder):
    (folder / "空.txt").write_text("", encoding="utf-8")
    (folder / "空白.md").write_text(" \n\n", encoding="utf-8")
    _, err = jnlp("index", "文書", "--index", "my.idx")
    assert "2 files without text" in err


def test_subcommands_have_their_whole_summaries(jnlp):
    out, _ = jnlp("index", "--help")
    assert "..." not in out.partition("Commands:")[2]
    assert "until Ctrl-C." in out


def test_wrong_calls_are_one_line(jnlp, folder):
    for words, named in [
        (("search", "無い.idx", "猫"), "無い.idx"),
        (("index", "無い/", "--index", "my.idx"), "無い"),
        (("index", "文書", "--index", "文書/猫.md"), "文書/猫.md"),
    ]:
        _, err = jnlp(*words, status=2)
        assert err.startswith("jnlp: error: ")
        assert err.count("\n") <= 2
        assert named in err
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    assert "the query is empty" in jnlp("search", "my.idx", " ", status=2)[1]


def test_a_snippet_is_the_best_sentence_with_its_highlights():
    first, second = "雨" * SHORT + "。", "解約の条件を定める。"
    start = len(first)
    hit = Hit(1, 1.0, "文書", 0, 0, start + 10, first + second, ((start, start + 2), (start + 3, start + 5)))
    assert snippet(hit) == (second, [(0, 2), (3, 5)])
    short = Hit(1, 1.0, "文書", 0, 0, 10, second, ((0, 2),))
    assert snippet(short) == (second, [(0, 2)])


def test_the_weight_of_the_vectors_decides_between_the_legs(jnlp, folder):
    jnlp("index", "文書", "--index", "my.idx")
    query = ("search", "my.idx", "契約を途中で解約する条件", "--top", "5")

    def found(*flags):
        return [(hit["document"], hit["chunk"]) for hit in map(json.loads, jnlp(*query, *flags)[0].splitlines())]

    assert found("--dense-weight", "1") == found("--retriever", "dense")
    lexical = found("--retriever", "lexical")
    assert found("--dense-weight", "0")[: len(lexical)] == lexical


def test_a_folder_of_documents_is_not_taken_for_an_index(jnlp, folder):
    before = sorted(path.name for path in folder.iterdir())
    _, err = jnlp("index", "文書", "--index", "文書", status=2)
    assert "文書 has other files and is not an index" in err
    assert sorted(path.name for path in folder.iterdir()) == before


def lines(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def test_two_files_may_number_their_rows_alike(jnlp):
    Path("faq").mkdir()
    Path("faq/a.csv").write_text("id,問,答\n1,定休日は,水曜日\n2,送料は,五百円\n2,送料は,千円\n", encoding="utf-8")
    Path("faq/b.csv").write_text("id,問,答\n1,営業時間は,九時から\n2,定休日は,水曜日\n", encoding="utf-8")
    out, err = jnlp("index", "faq", "--index", "idx")
    assert out.startswith("idx: 4 documents added, 0 updated, 0 unchanged, 0 removed, 1 failed; ")
    assert err.startswith("jnlp: skipped faq/a.csv:4: line 3 has the id '2' already")
    hit = lines(jnlp("search", "idx", "定休日", "--legs", "lexical", "-q")[0])[0]
    assert (hit["count"], hit["path"], hit["also"]) == (
        2,
        "faq/a.csv",
        [{"document": "2", "path": "faq/b.csv", "line": 3}],
    )
    apart = lines(jnlp("search", "idx", "定休日", "--retriever", "lexical", "--no-group", "-q")[0])
    assert [(hit["document"], hit["path"], hit["count"]) for hit in apart] == [
        ("1", "faq/a.csv", 1),
        ("2", "faq/b.csv", 1),
    ]
    table = jnlp("search", "idx", "定休日", "--retriever", "lexical", "--format", "table")[0].splitlines()
    assert table[0].startswith("1. 1 (faq/a.csv) 0–")
    assert table[-1].strip() == "also in 2 (faq/b.csv)"


@pytest.mark.parametrize(
    "spelling",
    ["{here}/文書", "./文書", "文書/", "文書/../文書", "{link}/文書", "../{name}/文書", "文書/*", "./文書/猫.md"],
)
def test_a_folder_is_the_same_however_it_is_written(jnlp, folder, embedder, tmp_path, tmp_path_factory, spelling):
    link = tmp_path_factory.mktemp("links") / "link"
    link.symlink_to(tmp_path)
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    names = [row["document"] for row in lines(jnlp("index", "list", "my.idx")[0])]
    embedder.embedded.clear()
    path = spelling.format(here=tmp_path, link=link, name=tmp_path.name)
    paths = sorted(str(found) for found in Path().glob(path)) if "*" in path else [path]
    out, _ = jnlp("index", *paths, "--index", "my.idx", "--text", "答")
    unchanged = 1 if path.endswith(".md") else 3
    assert out.startswith(f"my.idx: 0 documents added, 0 updated, {unchanged} unchanged, 0 removed, 0 failed; ")
    assert embedder.embedded == []
    assert [row["document"] for row in lines(jnlp("index", "list", "my.idx")[0])] == names


def test_a_folder_within_an_indexed_one_and_around_it(jnlp, folder, embedder):
    (folder / "下").mkdir()
    (folder / "下" / "犬.txt").write_text("犬も歩く。", encoding="utf-8")
    jnlp("index", "文書/下", "--index", "my.idx")
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    embedder.embedded.clear()
    out, _ = jnlp("index", "文書/下", "文書", "文書/猫.md", "--index", "my.idx", "--text", "答")
    assert out.startswith("my.idx: 0 documents added, 0 updated, 4 unchanged, 0 removed, 0 failed; ")
    assert embedder.embedded == []
    (folder / "下" / "犬.txt").unlink()
    assert ", 1 removed, " in jnlp("index", "文書", "--index", "my.idx", "--text", "答")[0]


def test_base_says_where_the_folders_are_now(jnlp, folder, embedder, tmp_path, monkeypatch):
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    elsewhere = tmp_path / "移転先"
    elsewhere.mkdir()
    folder.rename(elsewhere / "文書")
    embedder.embedded.clear()
    for base in ("移転先", "移転先/文書", str(elsewhere)):
        out, _ = jnlp("index", "移転先/文書", "--index", "my.idx", "--base", base, "--text", "答")
        assert out.startswith("my.idx: 0 documents added, 0 updated, 3 unchanged, 0 removed, 0 failed; ")
        assert embedder.embedded == []
    hit = lines(jnlp("search", "my.idx", "猫", "--retriever", "lexical")[0])[0]
    assert hit["document"] == hit["metadata"]["path"] == f"{elsewhere}/文書/猫.md"
    (elsewhere / "文書" / "猫.md").unlink()
    out, _ = jnlp("index", "移転先/文書", "--index", "my.idx", "--text", "答")
    assert ", 1 removed, " in out
    _, err = jnlp("index", "移転先", "--index", "my.idx", "--base", "無い", status=2)
    assert "無い has no folder '文書'" in err


def test_documents_are_removed_by_name_file_or_folder(jnlp, folder):
    (folder / "下").mkdir()
    (folder / "下" / "犬.txt").write_text("犬も歩く。", encoding="utf-8")
    Path("a.csv").write_text("id,text\n1,送料\n2,休み\n", encoding="utf-8")
    Path("b.csv").write_text("id,text\n1,支払い\n", encoding="utf-8")
    jnlp("index", "文書", "a.csv", "b.csv", "--index", "my.idx")
    removed = [jnlp("index", "remove", "my.idx", name)[0] for name in ("文書/猫.md", "./文書/下", "2", "a.csv#1")]
    assert removed == ["my.idx: 1 removed\n"] * 4
    _, err = jnlp("index", "remove", "my.idx", "無い", status=2)
    assert "無い is not in my.idx" in err
    assert jnlp("index", "remove", "my.idx", "文書/問答.csv:2", "1")[0] == "my.idx: 2 removed\n"
    assert [row["document"] for row in lines(jnlp("index", "list", "my.idx")[0])] == ["文書/契約.txt"]
    assert "all whole" in jnlp("index", "verify", "my.idx")[0]


def test_an_id_of_several_files_is_removed_by_its_file(jnlp):
    for name in ("a", "b"):
        Path(f"{name}.csv").write_text(f"id,text\n1,{name}の送料\n", encoding="utf-8")
    jnlp("index", "a.csv", "b.csv", "--index", "my.idx")
    _, err = jnlp("index", "remove", "my.idx", "1", status=2)
    assert "2 documents have the id '1'" in err
    assert "a.csv#1, b.csv#1" in err
    jnlp("index", "remove", "my.idx", "b.csv#1")
    assert [row["path"] for row in lines(jnlp("index", "list", "my.idx")[0])] == ["a.csv"]


def test_list_gives_the_names_that_remove_takes(jnlp, folder):
    Path("a.csv").write_text("id,text\n1,送料\n2,休み\n", encoding="utf-8")
    Path("b.csv").write_text("id,text\n1,支払い\n", encoding="utf-8")
    jnlp("index", "文書", "a.csv", "b.csv", "--index", "my.idx")
    names = [row["name"] for row in lines(jnlp("index", "list", "my.idx")[0])]
    assert names == ["文書/問答.csv:2", "文書/契約.txt", "文書/猫.md", "a.csv#1", "a.csv#2", "b.csv#1"]
    for name in names:
        assert jnlp("index", "remove", "my.idx", name)[0] == "my.idx: 1 removed\n"
    assert jnlp("index", "list", "my.idx")[0] == ""


def test_remove_names_the_files_that_come_back(jnlp, folder, monkeypatch):
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    _, err = jnlp("index", "remove", "my.idx", "文書/猫.md", "文書/問答.csv:2")
    assert "the next jnlp index of the folder adds it again" in err
    assert err.strip().endswith("文書/猫.md, 文書/問答.csv") or err.strip().endswith("文書/問答.csv, 文書/猫.md")
    assert ": 2 documents added, " in jnlp("index", "文書", "--index", "my.idx", "--text", "答")[0]
    assert jnlp("index", "remove", "my.idx", "文書/猫.md", "--quiet")[1] == ""
    (folder / "契約.txt").unlink()
    assert jnlp("index", "remove", "my.idx", "文書/契約.txt")[1] == ""
    monkeypatch.chdir(folder)  # the files are looked for where they were indexed, not below the current folder
    assert "文書/問答.csv" in jnlp("index", "remove", "../my.idx", "問答.csv")[1]


@pytest.mark.parametrize("place", ["/proc/x/my.idx", "file/x/my.idx"])
def test_a_folder_that_cannot_be_made_is_named(jnlp, folder, place):
    if place.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("no /proc here")
    Path("file").write_text("x", encoding="utf-8")
    _, err = jnlp("index", "文書", "--index", place, status=1)
    assert place in err
    assert "no folder can be made in " + ("/proc" if "proc" in place else str(Path("file").absolute())) in err
    assert "--index" in err
    assert "No such file" not in err
    assert "committed" not in err


def test_a_folder_called_as_a_command_is_indexed(jnlp):
    Path("verify").mkdir()
    Path("verify/猫.txt").write_text("吾輩は猫である。", encoding="utf-8")
    assert jnlp("index", "verify", "--index", "my.idx")[0].startswith("my.idx: 1 document added")
    assert "1 document and 1 passage, all whole" in jnlp("index", "verify", "my.idx")[0]
    assert json.loads(jnlp("index", "info", "my.idx")[0])["documents"] == 1
    for words in (("index", "--help"), ("index", "-h")):
        out, _ = jnlp(*words)
        assert "--chunker NAME" in out
        assert "Commands:\n  compact" in out
    for words in (("index", "verify"), ("index",), ("index", "無い")):
        jnlp(*words, status=2)


def test_the_chunker_is_chosen(jnlp):
    Path("a.txt").write_text("第1条は目的です。\n\n第2条は定義です。\n", encoding="utf-8")
    jnlp("index", "a.txt", "--index", "my.idx", "--chunker", "paragraphs")
    hits = lines(jnlp("search", "my.idx", "目的", "--retriever", "lexical")[0])
    assert [hit["text"] for hit in hits] == ["第1条は目的です。"]
    assert json.loads(jnlp("index", "info", "my.idx")[0])["made_with"]["chunker"] == "paragraphs"
    _, err = jnlp("index", "a.txt", "--index", "my.idx", "--chunker", "words", "--rebuild", status=2)
    assert "no chunker is called 'words'" in err


def test_names_that_are_no_utf8(jnlp, tmp_path):
    folder = tmp_path / "古い\udcff"
    (folder / "下\udcfe").mkdir(parents=True)
    (folder / "下\udcfe" / "猫\udcfd.txt").write_text("吾輩は猫である。", encoding="utf-8")
    jnlp("index", "古い\udcff", "--index", "索引\udcff")
    assert jnlp("index", str(folder), "--index", "索引\udcff")[0].count("1 unchanged") == 1
    hit = lines(jnlp("search", "索引\udcff", "吾輩は猫である")[0])[0]
    assert hit["document"] == "古い\\udcff/下\\udcfe/猫\\udcfd.txt"
    assert "all whole" in jnlp("index", "verify", "索引\udcff")[0]
    assert lines(jnlp("index", "list", "索引\udcff")[0])[0]["path"] == hit["document"]
    assert json.loads(jnlp("index", "info", "索引\udcff")[0])["documents"] == 1
    (folder / "下\udcfe" / "猫\udcfd.txt").unlink()
    assert "1 removed" in jnlp("index", "古い\udcff", "--index", "索引\udcff")[0]


def test_vectors_that_are_not_finite_are_an_error(jnlp, folder, embedder, monkeypatch):
    jnlp("index", "文書", "--index", "my.idx")
    embed = type(embedder).embed

    def broken(self, texts, /, **options):
        made = embed(self, texts, **options)
        made.vectors[0, 0] = float("nan")
        return made

    monkeypatch.setattr(type(embedder), "embed", broken)
    assert "not finite" in jnlp("search", "my.idx", "猫", status=1)[1]
    assert "not finite" in jnlp("index", "文書", "--index", "other.idx", status=1)[1]


def test_a_bar_shows_the_total(jnlp, folder, monkeypatch):
    """Text files count as one document each, tables by their rows."""
    import contextlib

    from jnlp.cli import console

    bars: list[tuple[int | None, int]] = []

    @contextlib.contextmanager
    def progress(label, /, *, total=None, quiet=False):
        done = 0

        def advance(more):
            nonlocal done
            done += more

        yield advance
        bars.append((total, done))

    monkeypatch.setattr(console, "progress", progress)
    monkeypatch.setattr("jnlp_search.cli.index._is_terminal", lambda: True)
    (folder / "長い.txt").write_text("一行目。\n二行目。\n三行目。\n", encoding="utf-8")
    (folder / "問答.csv").write_text("問,答\n休みは?,日曜です。\n送料は?,五百円です。\n", encoding="utf-8")
    for _ in range(2):  # all new, then nothing new
        jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    assert bars == [(6, 5), (6, 5)]


def test_rerank_scores_the_rows_of_a_table(runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = make_model(tmp_path / "reranker", head="classifier", labels=("relevant",))
    Path("組.csv").write_text(
        "問い,本文\n解約の条件,契約は解約できる。\n解約の条件,\n天気,猫がいる。\n", encoding="utf-8"
    )
    cli = build_cli(load_plugins([import_candidate("search", "jnlp_search")]))
    words = ["rerank", "組.csv", "--text", "問い", "--text-pair", "本文", "--model", str(model)]
    done = runner.invoke(cli, words, prog_name="jnlp", catch_exceptions=False)
    assert done.exit_code == 0, done.output
    scores = [row["score"] for row in lines(done.stdout)]
    assert len(scores) == 2
    assert all(0 < score < 1 for score in scores)


def test_compact_prints_the_bytes_before_and_after(jnlp, folder):
    jnlp("index", "文書", "--index", "my.idx", "--text", "答")
    jnlp("index", "remove", "my.idx", "文書/猫.md")
    found = jnlp("search", "my.idx", "契約を解約する")[0]
    out, err = jnlp("index", "compact", "my.idx")
    before, after = (int(number.replace(",", "")) for number in re.findall(r"([\d,]+)(?: bytes before| after)", out))
    assert (out.startswith("my.idx: "), err, after <= before) == (True, "", True)
    assert jnlp("search", "my.idx", "契約を解約する")[0] == found
    assert json.loads(jnlp("index", "info", "my.idx")[0])["bytes"] == after
    jnlp("index", "compact", "無", status=2)


def test_the_usage_of_a_subcommand_has_its_own_arguments_only(jnlp):
    assert jnlp("index", "info", "--help")[0].splitlines()[0] == "Usage: jnlp index info [OPTIONS] DIR"
    assert "PATH…" in jnlp("index", "--help")[0].splitlines()[0]
