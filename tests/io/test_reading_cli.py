"""Odd inputs through the command line, on a task that needs no model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jnlp.cli import build_cli


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
    path = Path(name)
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
    for name in ("b.docx", "c.docx", "下/d.xlsx"):
        write(f"docs/{name}", b"PK")
    assert "3 files passed over: 2 docx, 1 xlsx" in run("docs").stderr
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
    "content", ["sep=;\ntext;評価\n良い;a\n", '"sep=,"\ntext,評価\n良い,a\n', "text;評価\n良い;a\n"]
)
def test_the_separator_line_of_excel(content: str, run) -> None:
    write("e.csv", content)
    (row,) = rows(run("e.csv"))
    assert (row["text"], row["評価"]) == ("良い", "a")
