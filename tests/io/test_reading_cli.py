"""Odd inputs through the command line, on a task that needs no model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jnlp.cli import build_cli
from jnlp.examples import read_examples
from jnlp.io import PassedOver, ReadOptions
from jnlp_pretrain.corpus import files


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run `jnlp toxicity --rules-only --format jsonl` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(build_cli(), ["toxicity", "--rules-only", "--format", "jsonl", *arguments])

    return call


def rows(result: Result) -> list[dict]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def write(name: str, text: str | bytes) -> None:
    write_in(Path(name), text)


def write_in(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_a_key_missing_in_the_first_row_is_its_failure_alone(run) -> None:
    write("a.jsonl", '{"id":1,"body":"一つ目です。"}\n')
    write("b.jsonl", '{"id":2,"title":"本文なし"}\n{"id":3,"body":"消えろ"}\n')
    write("c.jsonl", '{"id":4,"body":"四つ目です。"}\n')
    write("d.csv", "id,title\n5,本文なし\n")
    result = run("a.jsonl", "b.jsonl", "c.jsonl", "d.csv", "--text", "body")
    assert [row["id"] for row in rows(result)] == ["1", "3", "4"]
    assert "b.jsonl:1: no column 'body'" in result.stderr
    assert "d.csv: no column is called 'body'" in result.stderr
    assert run("d.csv", "--text", "body").exit_code == 2  # one file: a wrong call
    assert run("a.jsonl", "b.jsonl", "--text", "body", "--on-error", "fail").exit_code == 1


@pytest.mark.parametrize("target", ["self", "a.txt/x", "nowhere.txt"])
def test_a_broken_link_in_a_folder_does_not_stop_the_rest(target: str, run) -> None:
    write("docs/a.txt", "消えろ\n")
    write("docs/sub/b.txt", "クズ\n")
    Path("docs/self").symlink_to(target)
    result = run("docs", "--rejects", "rejects.jsonl")
    assert [row["id"] for row in rows(result)] == ["docs/a.txt:1", "docs/sub/b.txt:1"]
    (rejected,) = map(json.loads, Path("rejects.jsonl").read_text("utf-8").splitlines())
    assert rejected["path"] == "docs/self"


def test_files_without_a_reader_are_named_by_kind(run) -> None:
    write("docs/a.txt", "よい。\n")
    for name in ("b.doc", "c.doc", "下/d.xls"):
        write(f"docs/{name}", b"PK")
    assert "3 files passed over: 2 doc, 1 xls" in run("docs").stderr
    assert run("docs", "--quiet").stderr == ""
    assert "passed over" not in run("docs/a.txt").stderr
    Path("docs/a.txt").unlink()
    nothing = run("docs")
    assert nothing.exit_code == 1
    assert "3 files passed over" in nothing.stderr


def test_a_log_with_the_escapes_of_a_terminal_is_utf_8(run) -> None:
    write("build.txt", "\x1b[1mBuild\x1b(B\x1b[m 開始しました。\n消えろ、クズ。\n")
    first, second = rows(run("build.txt"))
    assert first["text"].endswith("開始しました。")
    assert (second["text"], second["toxic"]) == ("消えろ、クズ。", True)


def test_a_quote_that_never_closes_fails_alone(run) -> None:
    lines = [f"感想その{number}です。,良い" for number in range(200)]
    write("rows.csv", "\n".join(["text,label", "一行目です。,良い", '"閉じ忘れ,良い', *lines]))
    result = run("rows.csv", "--rejects", "rejects.jsonl")
    assert len(rows(result)) == 201
    (rejected,) = map(json.loads, Path("rejects.jsonl").read_text("utf-8").splitlines())
    assert (rejected["line"], rejected["text"]) == (3, '"閉じ忘れ')


@pytest.mark.parametrize(
    ("name", "text", "flags"),
    [
        ("a.csv", "id,本文\nr1,良い\nr2, \n", ()),
        ("a.csv", "番号,本文\nr1,良い\nr2,\n", ("--id", "番号")),
        ("a.tsv", "id\ttext\nr1\t良い\nr2\t\n", ()),
        ("a.jsonl", '{"id": "r1", "text": "良い"}\n{"id": "r2", "text": null}\n', ()),
        ("a.jsonl", '{"id": "r1", "text": "良い"}\n{"id": "r2"}\n', ()),
        ("a.jsonl", '{"id": "r1", "text": "良い"}\n{"id": "r2", "text": ["悪い"]}\n', ()),
    ],
)
def test_a_row_without_text_is_rejected_by_its_id(name: str, text: str, flags: tuple[str, ...], run) -> None:
    write(name, text)
    result = run(name, "--rejects", "rejects.jsonl", *flags)
    assert [row["id"] for row in rows(result)] == ["r1"]
    (rejected,) = map(json.loads, Path("rejects.jsonl").read_text("utf-8").splitlines())
    line = 2 if name.endswith("jsonl") else 3
    assert (rejected["id"], rejected["path"], rejected["line"]) == ("r2", name, line)
    assert "input.id" not in rejected
    assert f"skipped r2: {name}:{line}: " in result.stderr


def test_a_row_without_text_and_id_is_rejected_by_its_place(run) -> None:
    write("a.csv", "id,本文\nr1,良い\n,\n3,\n")
    assert len(rows(run("a.csv", "--rejects", "rejects.jsonl"))) == 1
    rejected = map(json.loads, Path("rejects.jsonl").read_text("utf-8").splitlines())
    assert [row["id"] for row in rejected] == ["a.csv:3", "3"]


@pytest.mark.parametrize(
    "content", ["sep=;\ntext;評価\n良い;a\n", '"sep=,"\ntext,評価\n良い,a\n', "text;評価\n良い;a\n"]
)
def test_the_separator_line_of_excel(content: str, run) -> None:
    write("e.csv", content)
    (row,) = rows(run("e.csv"))
    assert (row["text"], row["評価"]) == ("良い", "a")


def test_training_counts_the_files_that_have_no_reader(tmp_path: Path) -> None:
    write_in(tmp_path / "data" / "a.csv", "text,label\n" + "よい。,良\nわるい。,悪\n" * 5)
    write_in(tmp_path / "data" / "b.doc", "PK")
    passed_over = PassedOver()
    examples, failed = read_examples([tmp_path / "data"], ReadOptions(label="label"), passed_over=passed_over)
    assert (len(examples), len(failed)) == (10, 0)
    assert str(passed_over) == "1 file passed over: 1 doc"


def test_a_corpus_counts_the_files_that_have_no_reader(tmp_path: Path) -> None:
    write_in(tmp_path / "a.txt", "よい。\n")
    write_in(tmp_path / "下" / "b.doc", "PK")
    (tmp_path / "self").symlink_to("self")
    passed_over = PassedOver()
    assert files([tmp_path], passed_over) == [tmp_path / "a.txt"]
    assert passed_over.kinds == {"doc": 1}


def test_names_that_are_no_unicode(run, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + "/資料".encode("cp932")
    try:
        Path(os.fsdecode(folder)).mkdir()
    except OSError:
        pytest.skip("this file system has Unicode names only")
    for name in ("一.txt", "二.md", "三.csv", "四.doc"):
        Path(os.fsdecode(folder + b"/" + name.encode("cp932"))).write_text("text\nよい文。\n", encoding="utf-8")
    Path(os.fsdecode(folder + b"/" + "五".encode("cp932"))).symlink_to("nowhere")
    result = run(os.fsdecode(folder), "-o", "out.jsonl", "--rejects", "rejects.jsonl")
    assert result.exit_code == 0, result.output
    written = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    assert len(written) == 4
    assert all("\\udc8e\\udc91" in row["id"] for row in written)
    (rejected,) = map(json.loads, Path("rejects.jsonl").read_text("utf-8").splitlines())
    assert "cannot be read" in rejected["error"]
    assert "1 doc" in result.stderr
    missing = run("\udc8e\udc91.txt")
    assert missing.exit_code == 2
    assert "does not exist" in missing.stderr


def test_markdown_that_is_no_front_matter_tag_or_definition(run) -> None:
    write("minutes.md", "---\n\n# 議事録\n\n契約の解約条件を決めた。\n\n---\n\n# 次回\n\n日程を決める。\n")
    write("tags.md", "<A社>の見積と<B案>を比べる。\n\nx<y と y>z である。\n\nList<Item型> を返す。\n")
    write("chat.md", "[田中]: 了解しました。 明日 送ります。\n[鈴木]: よろしく お願いします。\n\n本文。\n")
    minutes, tags, chat = (row["text"] for row in rows(run("minutes.md", "tags.md", "chat.md")))
    assert [
        word for word in ("議事録", "契約の解約条件を決めた。", "次回", "日程を決める。") if word not in minutes
    ] == []
    assert [word for word in ("<A社>", "<B案>", "x<y と y>z", "List<Item型>") if word not in tags] == []
    assert "了解しました。 明日 送ります。" in chat
    assert "よろしく お願いします。" in chat
