"""Tasks through the real command line and real files, on a model-free task and on tiny random models."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from click.testing import CliRunner, Result

from jnlp.cli import build_cli
from jnlp.cli.task import task_command
from jnlp.errors import JnlpError
from jnlp.plugins import import_candidate, installed, load_plugins
from jnlp.testing import make_model
from jnlp.types import Option, TaskSpec

HELLO = Path(__file__).resolve().parents[2] / "docs" / "examples" / "jnlp-hello"
LINES = [f"{n}行目の文です。二つ目の文も続きます。" for n in range(1, 5001)]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "masked", layers=2, hidden=32)


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "classifier", layers=2, hidden=32, labels=("0", "1"))


@pytest.fixture
def jnlp(monkeypatch: pytest.MonkeyPatch):
    """Call the command line, with the example plugin beside the bundled ones."""
    monkeypatch.syspath_prepend(HELLO)
    cli = build_cli(load_plugins([*installed(), import_candidate("hello", "jnlp_hello")]))

    def call(*arguments: object, **others: object) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments], **others)

    return call


def rows(result: Result) -> list[dict]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def arguments_of(task: str, model: Path, classifier: Path) -> list[str]:
    """Return a task with the options that let it run on random weights."""
    return {
        "hello": ["hello"],
        "embed": ["embed", "--model", str(model)],
        "fill-mask": ["fill-mask", "--mask-token", "文", "--model", str(model), "--top", "1"],
        "classify": ["classify", "--model", str(classifier)],
        "toxicity": ["toxicity", "--model", str(classifier)],
    }[task]


TASKS = ("hello", "embed", "fill-mask", "classify", "toxicity")


def check_all(task: str, count: int, jnlp, tmp_path: Path, model: Path, classifier: Path) -> None:
    """`count` lines by stdin, from a Shift_JIS CSV and from a folder come out complete and in order."""
    base = [*arguments_of(task, model, classifier), "-q"]
    lines = LINES[:count]
    piped = rows(jnlp(*base, input="\n".join(lines)))
    assert [row["text"] for row in piped] == lines
    assert [row["id"] for row in piped] == [f"stdin:{n}" for n in range(1, count + 1)]

    table = tmp_path / "表.csv"
    table.write_bytes("\n".join(["番号,本文", *(f"{n},{line}" for n, line in enumerate(lines))]).encode("cp932"))
    read = rows(jnlp(*base, table, "--text", "本文", "--id", "番号"))
    assert [row["text"] for row in read] == lines
    assert [row["id"] for row in read] == [str(n) for n in range(count)]

    folder = tmp_path / "文書"
    folder.mkdir()
    for part in range(10):
        of_part = lines[part * count // 10 : (part + 1) * count // 10]
        (folder / f"{part}.txt").write_text("\n".join(of_part), encoding="euc_jp" if part % 2 else "utf-8")
    assert [row["text"] for row in rows(jnlp(*base, folder))] == lines
    without_ids = [{key: value for key, value in row.items() if key not in ("id", "番号")} for row in read]
    assert without_ids == [{key: value for key, value in row.items() if key != "id"} for row in piped]


@pytest.mark.parametrize("task", TASKS)
def test_lines_come_out_complete_and_in_order(task: str, jnlp, tmp_path: Path, model: Path, classifier: Path) -> None:
    check_all(task, 200, jnlp, tmp_path, model, classifier)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_5000_lines_come_out_complete_and_in_order(
    task: str, jnlp, tmp_path: Path, model: Path, classifier: Path
) -> None:
    check_all(task, 5000, jnlp, tmp_path, model, classifier)


def test_one_bad_file_among_good_ones_is_told_and_the_others_come_out(jnlp, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("一つ目。\n", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    (tmp_path / "c.txt").write_bytes("これは正しい文です。".encode() + b"\xff\xfe\xff")
    (tmp_path / "d.txt").write_text("四つ目。\n", encoding="utf-8")
    (tmp_path / "e.txt").write_bytes(b"")
    rejects = tmp_path / "rejects.jsonl"
    result = jnlp("hello", *sorted(tmp_path.glob("*.txt")), "--rejects", rejects)
    assert [row["text"] for row in rows(result)] == ["一つ目。", "四つ目。"]
    errors = [line for line in result.stderr.splitlines() if line.startswith("jnlp: skipped")]
    assert len(errors) == 2
    assert "b.txt" in errors[0]
    assert "binary" in errors[0]
    assert "c.txt" in errors[1]
    assert "byte" in errors[1]
    assert [set(json.loads(line)) for line in rejects.read_text().splitlines()] == [{"id", "path", "line", "error"}] * 2
    read = jnlp("hello", *sorted(tmp_path.glob("*.txt")), "--encoding-errors", "replace")
    assert [row["text"] for row in rows(read)] == ["一つ目。", "これは正しい文です。\ufffd\ufffd\ufffd", "四つ目。"]


def test_files_with_and_without_titles_make_one_table(jnlp, tmp_path: Path) -> None:
    for name, text in (("a.txt", "一行目。\n"), ("b.md", "本文。\n"), ("c.md", "# 題\n本文。\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    result = jnlp("hello", tmp_path, "-o", tmp_path / "out.csv")
    assert "3 written" in result.stderr, result.stderr


def test_what_is_left_out_can_be_read_again(jnlp, tmp_path: Path) -> None:
    comments, out, rejects = (tmp_path / name for name in ("comments.csv", "clean.jsonl", "rejects.jsonl"))
    comments.write_text("本文,投稿者\nありがとうございました。,甲\nお前は馬鹿か、消えろ。,乙\n", encoding="utf-8")
    flags = ("toxicity", "--rules-only", "--drop", "-q")
    assert jnlp(*flags, comments, "-o", out, "--rejects", rejects).exit_code == 0
    (kept,), (left,) = ([json.loads(line) for line in file.read_text("utf-8").splitlines()] for file in (out, rejects))
    assert (kept["text"], kept["投稿者"]) == ("ありがとうございました。", "甲")
    assert (left["text"], left["投稿者"], left["line"]) == ("お前は馬鹿か、消えろ。", "乙", 3)
    assert left["error"].startswith("toxic ")
    assert [row["toxic"] for row in rows(jnlp("toxicity", "--rules-only", rejects, "--format", "jsonl", "-q"))] == [
        True
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["hello", "nothing.txt"], 2, "jnlp: error: nothing.txt does not exist"),
        (["hello", "rows.csv", "--text", "本分"], 2, "jnlp: error: rows.csv: no column is called '本分'"),
        (["hello", "文です。", "-o", "out.docx"], 2, "jnlp: error: out.docx: no output format has the ending '.docx'"),
        (
            ["hello", "文です。", "-o", "no/such/out.csv"],
            2,
            "jnlp: error: no/such/out.csv: the folder no/such does not exist",
        ),
        (["hello", "empty.txt"], 1, "jnlp: no text in empty.txt"),
        (["embed", "文です。", "--model", "tniy"], 2, "jnlp: error: no model is called 'tniy'"),
        (
            ["embed", "文です。", "--model", "130m"],
            1,
            "jnlp: error: the model 130m (sbintuitions/modernbert-ja-130m, about 528 MB) is not on this machine",
        ),
        (["embed", "文です。", "--model", "./rows.csv"], 2, "jnlp: error: './rows.csv' is a file; a model is a folder"),
        (["fill-mask", "マスクのない文。", "--model", "{model}"], 1, "jnlp: skipped"),
        (["classify", "文です。", "--model", "{model}"], 1, "jnlp: error:"),
        (
            ["hello", "文です。", "--dtype", "fp8"],
            2,
            "jnlp: error: hello: --dtype cannot be 'fp8'",
        ),
    ],
)
def test_a_wrong_call_is_one_clear_line(
    arguments: list[str], code: int, line: str, jnlp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("番号,本文\n1,あ\n", encoding="utf-8")
    Path("empty.txt").touch()
    result = jnlp(*(argument.replace("{model}", str(model)) for argument in arguments))
    assert result.exit_code == code
    assert line in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_a_classifier_that_is_missing_names_the_training_command(jnlp, model: Path) -> None:
    result = jnlp("classify", "文です。", "--model", model)
    assert "jnlp train classifier" in result.stderr


@pytest.mark.parametrize("broken", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_truncated_model_folder_is_one_clear_line(broken: str, jnlp, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", layers=2, hidden=32)
    file = folder / broken
    file.write_bytes(file.read_bytes()[:100])
    result = jnlp("embed", "文です。", "--model", folder)
    assert result.exit_code == 1
    (line, *_) = result.stderr.splitlines()
    assert line.startswith("jnlp: error:")
    assert broken in line


def test_a_table_for_a_person(jnlp) -> None:
    result = jnlp("hello", "今日は[red]晴れ[/red]。", "--format", "table")
    assert result.stdout == (
        "id      text                      greeting     sentences\n"
        "────────────────────────────────────────────────────────\n"
        "arg:1   今日は[red]晴れ[/red]。   こんにちは           1\n"
    )


@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_resume_gives_what_one_run_would(jnlp, tmp_path: Path, stop: signal.Signals, status: int) -> None:
    """Ctrl-C or SIGTERM in the middle: one line says what is kept, and --resume brings the rest."""
    source, whole, out = tmp_path / "in.txt", tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(LINES), encoding="utf-8")
    assert jnlp("hello", source, "-o", whole).exit_code == 0
    code = (
        "import signal, sys, time, jnlp_hello, jnlp.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a run in the background ignores it
        "whole = jnlp_hello.make\n"
        "def slow(models, options):\n"
        "    apply = whole(models, options)\n"
        "    return lambda texts: (time.sleep(0.15), apply(texts))[1]\n"
        "jnlp_hello.make = slow\n"
        "from jnlp.plugins import load_plugins, import_candidate\n"
        "sys.argv[0] = 'jnlp'\n"
        "jnlp.cli.app.build_cli.__defaults__ = (load_plugins([import_candidate('hello', 'jnlp_hello')]),)\n"
        "jnlp.cli.main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(HELLO)}
    child = subprocess.Popen(
        [sys.executable, "-c", code, "hello", str(source), "-o", str(out)], env=environment, stderr=subprocess.PIPE
    )
    part = tmp_path / "out.jsonl.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 5000) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(stop)
    _, said = child.communicate(timeout=60)
    assert child.returncode == status
    assert said.decode().splitlines()[-1].startswith("jnlp: partial output kept: ")
    assert not out.exists()
    done = len(part.read_bytes().splitlines())
    assert 0 < done < 5000
    result = jnlp("hello", source, "-o", out, "--resume")
    assert result.exit_code == 0, result.output
    assert "were done before" in result.stderr
    assert out.read_bytes() == whole.read_bytes()
    assert not part.exists()


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("\n".join(LINES * 4), encoding="utf-8")
    code = "from jnlp.plugins import *; import jnlp.cli.app as a, sys; sys.argv[0]='jnlp'\n"
    code += "a.build_cli.__defaults__ = (load_plugins([import_candidate('hello', 'jnlp_hello')]),); a.main()"
    script = tmp_path / "run.py"
    script.write_text(code)
    command = f"{sys.executable} {script} hello {source} | head -n 1"
    environment = {**os.environ, "PYTHONPATH": str(HELLO)}
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["id"].endswith("in.txt:1")


def test_a_full_disk_is_one_clear_line(jnlp) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    result = jnlp("hello", "文です。", "-o", "/dev/full", "--format", "jsonl")
    assert result.exit_code == 1
    assert "no space left on the disk" in result.stderr
    assert "Traceback" not in result.output


def test_on_error_fail_stops_at_the_first(jnlp, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    (tmp_path / "b.txt").write_text("文です。", encoding="utf-8")
    result = jnlp("hello", tmp_path, "--on-error", "fail")
    assert result.exit_code == 1
    assert result.stderr.startswith("jnlp: error:")
    assert result.stdout == ""


def test_columns_are_carried_through_and_never_lost(jnlp, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("text,sentences,著者\n一。二。,九,漱石\n", encoding="utf-8")
    (row,) = rows(jnlp("hello", table))
    assert row == {
        "id": f"{table}:2",
        "text": "一。二。",
        "greeting": "こんにちは",
        "sentences": 2,
        "input.sentences": "九",
        "著者": "漱石",
    }


@pytest.mark.parametrize(
    ("codec", "start"), [("cp932", b"id,text"), ("utf-8-sig", b"\xef\xbb\xbfid,text"), ("utf-8", b"id,")]
)
def test_output_for_spreadsheets(codec: str, start: bytes, jnlp, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    result = jnlp("hello", "九〜十時に、会議。", "-o", out, "--output-encoding", codec)
    assert result.exit_code == 0, result.output
    assert out.read_bytes().startswith(start)
    assert "会議" in out.read_bytes().decode(codec)


def test_a_literal_that_looks_like_a_file(jnlp) -> None:
    (row,) = rows(jnlp("hello", "readme.txt", "--literal"))
    assert row["text"] == "readme.txt"


def test_a_folder_without_those_below_it(jnlp, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "a.txt").write_text("上の文。", encoding="utf-8")
    (tmp_path / "below" / "b.txt").write_text("下の文。", encoding="utf-8")
    assert len(rows(jnlp("hello", tmp_path))) == 2
    assert [row["text"] for row in rows(jnlp("hello", tmp_path, "--no-recursive"))] == ["上の文。"]


@pytest.mark.parametrize(("unit", "count"), [("line", 4), ("paragraph", 2), ("document", 1)])
def test_the_unit_of_a_text_file(unit: str, count: int, jnlp, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "　一段落目は長いので折り返され、\n続きの行もある。\n\n　二段落目も折り返されて、\n終わる。\n", encoding="utf-8"
    )
    assert len(rows(jnlp("hello", tmp_path / "a.txt", "--unit", unit))) == count


def test_the_encoding_and_format_of_standard_input(jnlp) -> None:
    data = '{"本文": "標準入力の文。"}\n'.encode("euc_jp")
    (row,) = rows(jnlp("hello", "-", "--input-format", "jsonl", "--encoding", "euc_jp", input=data))
    assert (row["id"], row["text"]) == ("stdin:1", "標準入力の文。")


@dataclass(frozen=True, slots=True)
class Clash:
    format: Annotated[str, Option(help="Clashes with --format.")] = ""


def test_an_option_that_every_task_has_is_refused() -> None:
    with pytest.raises(JnlpError, match="task 'clash' has an option 'format'"):
        task_command(TaskSpec("clash", "", Clash, "x:y", Clash))


def test_an_empty_text_is_told_and_the_others_come_out(jnlp) -> None:
    result = jnlp("hello", "一つ目。", "", "三つ目。")
    assert [row["id"] for row in rows(result)] == ["arg:1", "arg:3"]
    assert result.stderr.splitlines()[0] == "jnlp: skipped arg:2: the text is empty"


def test_a_character_that_the_codec_lacks_is_told_with_the_way_out(jnlp, tmp_path: Path) -> None:
    result = jnlp("hello", "😀です。", "文です。", "-o", tmp_path / "o.csv", "--output-encoding", "cp932")
    for part in ("'😀' (U+1F600)", "cp932", "--output-encoding utf-8-sig"):
        assert part in result.stderr


@pytest.mark.parametrize(
    ("task", "dtype", "near"), [("embed", "fp32", 1e-5), ("embed", "bf16", 3e-2), ("classify", "fp32", 1e-5)]
)
def test_workers_give_what_one_process_gives(
    task: str, dtype: str, near: float, jnlp, tmp_path: Path, model: Path, classifier: Path
) -> None:
    base = [*arguments_of(task, model, classifier), "-q", "--dtype", dtype]
    lines = "\n".join(f"{line}{'長い。' * (n % 7)}" for n, line in enumerate(LINES[:300]))
    alone, shared = (rows(jnlp(*base, "--workers", n, input=lines)) for n in ("1", "2"))
    assert [row["text"] for row in shared] == lines.splitlines()
    for one, other in zip(alone, shared, strict=True):
        if task == "embed":
            assert other.pop("vector") == pytest.approx(one.pop("vector"), rel=near, abs=near)
        else:
            assert other.pop("scores", None) == pytest.approx(one.pop("scores", None), abs=1e-5)
            assert other.pop("score", None) == pytest.approx(one.pop("score", None), abs=1e-5)
        assert one == other


def test_stats_say_what_a_run_cost(jnlp, model: Path) -> None:
    done = jnlp("embed", "--model", model, "--stats", "--threads", "1", input="\n".join(LINES[:100]))
    assert re.search(r"100 texts, [\d,]+ tokens in [\d.,]+ s .*tokens/s", done.stderr), done.stderr
    assert re.search(r"padding 0\.0%; busy: reader [\d.]+%, tokenizer [\d.]+%, encoder [\d.]+%", done.stderr)
    assert "1 thread," in done.stderr
