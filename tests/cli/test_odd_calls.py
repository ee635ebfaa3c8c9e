"""Odd surroundings of the real process: closed streams, other codecs, full disks, two runs at once, strange input."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.plugins import import_candidate, load_plugins

HELLO = Path(__file__).resolve().parents[2] / "docs" / "examples" / "jnlp-hello"

PROCESS = """
import sys, time, jnlp_hello, jnlp.cli.app
from jnlp.plugins import import_candidate, load_plugins
whole = jnlp_hello.make
def make(models, options):
    apply = whole(models, options)
    return lambda texts: (time.sleep(0.3 * (options.greeting == "ゆっくり")), apply(texts))[1]
jnlp_hello.make = make
sys.argv[0] = "jnlp"
jnlp.cli.app.build_cli.__defaults__ = (load_plugins([import_candidate("hello", "jnlp_hello")]),)
jnlp.cli.app.main()
"""


def start(*arguments: object, shell: str = "", cwd: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start `jnlp` with the example plugin alone; `shell` follows it on its line: a redirection."""
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-c", PROCESS, *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HELLO), **environment},
    )


def run(*arguments: object, shell: str = "", cwd: Path, **environment: str) -> tuple[int, str, list[str]]:
    process = start(*arguments, shell=shell, cwd=cwd, **environment)
    out, err = process.communicate(timeout=120)
    return process.returncode, out.decode(), err.decode().splitlines()


@pytest.mark.parametrize(
    ("arguments", "shell", "code", "said"),
    [
        (["hello"], "<&-", 1, ["jnlp: no text in standard input"]),
        (["hello", "文。"], ">&-", 0, []),
        (["hello", "文。"], "2>&-", 0, []),
        (["plugins"], ">/dev/full", 1, ["jnlp: error: standard output: no space left on the disk"]),
        (["--help"], ">/dev/full", 1, ["jnlp: error: standard output: no space left on the disk"]),
        (
            ["hello", "文。"],
            ">/dev/full",
            1,
            [
                "jnlp: error: standard output: no space left on the disk, after 0 records",
                "      hint: free some space first",
            ],
        ),
    ],
)
def test_closed_and_full_streams(arguments: list[str], shell: str, code: int, said: list[str], tmp_path: Path) -> None:
    if "/dev/full" in shell and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    got, _, err = run(*arguments, shell=shell, cwd=tmp_path)
    assert (got, err) == (code, said)


def test_no_bar_runs_through_the_rows_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("文。\n" * 300, encoding="utf-8")
    master, slave = pty.openpty()
    command = [sys.executable, "-c", PROCESS, "hello", "in.txt", "--format", "jsonl", "--greeting", "ゆっくり"]
    environment = {**os.environ, "PYTHONPATH": str(HELLO), "TERM": "xterm"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=slave, stdout=slave, stderr=slave):
        os.close(slave)
        shown = b""
        with suppress(OSError):  # how Linux says that the other end is closed
            while block := os.read(master, 1 << 16):
                shown += block
    os.close(master)
    assert len([json.loads(line) for line in shown.splitlines()]) == 300


def test_a_character_that_the_terminal_lacks_is_escaped(tmp_path: Path) -> None:
    code, out, err = run("hello", "文。", "--format", "table", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert (code, err) == (0, [])
    assert "\\u6587\\u3002" in out


def test_the_plain_locale_is_read_as_utf_8(tmp_path: Path) -> None:
    code, out, _ = run("hello", "文。", cwd=tmp_path, LC_ALL="C", LANG="C")
    assert (code, json.loads(out)["text"]) == (0, "文。")


def test_no_home(tmp_path: Path) -> None:
    code, out, err = run("hello", "文。", cwd=tmp_path, HOME="/nowhere", XDG_CONFIG_HOME="/nowhere/at/all")
    assert (code, json.loads(out)["sentences"], err) == (0, 1, [])


def test_the_second_of_two_runs_into_one_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("".join(f"{n}行目。\n" for n in range(60_000)), encoding="utf-8")
    first = start("hello", "in.txt", "-o", "out.jsonl", "--greeting", "ゆっくり", cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out.jsonl.part").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    code, _, err = run("hello", "in.txt", "-o", "out.jsonl", cwd=tmp_path)
    assert (code, err[0]) == (1, "jnlp: error: out.jsonl is being written by another run")
    first.communicate(timeout=240)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows] == [f"{n}行目。" for n in range(60_000)]
    assert {row["greeting"] for row in rows} == {"ゆっくり"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.jsonl"]


@pytest.fixture
def hello(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.syspath_prepend(HELLO)
    monkeypatch.chdir(tmp_path)
    cli = build_cli(load_plugins([import_candidate("hello", "jnlp_hello")]))
    return lambda *arguments, **others: CliRunner().invoke(cli, ["hello", *arguments], **others)


@pytest.mark.parametrize("wrong", [["nothing.txt"], ["文。", "--input-format", "doc"], ["文。", "--encoding", "x"]])
def test_a_wrong_call_leaves_what_an_earlier_run_kept(wrong: list[str], hello) -> None:
    kept = Path("out.jsonl.part")
    kept.write_text("earlier\n")
    result = hello(*wrong, "-o", "out.jsonl")
    assert result.exit_code == 2
    assert [path.name for path in Path().iterdir()] == [kept.name]
    assert kept.read_text() == "earlier\n"


def test_a_column_that_clashes_twice_is_not_lost(hello) -> None:
    row = {"input.sentences": "一", "text": "文。", "sentences": "二", "input.input.sentences": "三"}
    result = hello("-", "--input-format", "jsonl", input=json.dumps(row))
    found = json.loads(result.stdout)
    assert found["sentences"] == 1
    assert {found.pop(name) for name in list(found) if name.startswith("input.")} == {"一", "二", "三"}


def test_a_table_of_rows_with_different_keys_keeps_each_in_its_column(hello) -> None:
    data = '{"text": "一", "a": "あ"}\n{"text": "二", "b": "い", "a": "う"}\n{"text": "三"}\n'
    result = hello("-", "--input-format", "jsonl", "--format", "table", input=data)
    head, _, *lines = result.stdout.splitlines()
    assert head.split() == ["id", "text", "greeting", "sentences", "a", "b"]
    assert [line.split()[4:] for line in lines] == [["あ"], ["う", "い"], []]


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", 1, "jnlp: no text in standard input"),
        (b" \n\n\t\n", 1, "jnlp: no text in standard input"),
        ("文。\0\n".encode(), 1, "jnlp: skipped stdin: looks binary (byte 6 is NUL)"),
        (b"\xff\xff\xff\xff\xff\xff", 1, "jnlp: skipped stdin: byte"),
    ],
)
def test_input_that_is_no_text(data: bytes, code: int, said: str, hello) -> None:
    result = hello(input=data)
    assert result.exit_code == code
    assert result.stderr.startswith(said)
    assert result.stdout == ""


def test_ids_that_repeat_and_a_cell_of_megabytes(hello) -> None:
    Path("t.csv").write_text('id,text\n1,"' + "長" * 3_000_000 + '"\n1,二。\n', encoding="utf-8")
    found = [json.loads(line) for line in hello("t.csv").stdout.splitlines()]
    assert [(row["id"], len(row["text"])) for row in found] == [("1", 3_000_000), ("1", 2)]


def test_a_named_pipe(hello) -> None:
    os.mkfifo("pipe.txt")
    with subprocess.Popen(["sh", "-c", "echo 管。 > pipe.txt"]):
        assert json.loads(hello("pipe.txt").stdout)["text"] == "管。"


INTERRUPTED = [f"{n}行目。" for n in range(10)]


@pytest.fixture
def interrupted(hello, monkeypatch: pytest.MonkeyPatch):
    """A run that stopped after five of ten lines."""
    Path("in.txt").write_text("\n".join(INTERRUPTED), encoding="utf-8")
    from jnlp.io.writing.output import Output

    write = Output.write

    def stop(self, *rows, **others) -> None:
        if self.records == 5:
            raise KeyboardInterrupt
        write(self, *rows, **others)

    with monkeypatch.context() as patch:
        patch.setattr(Output, "write", stop)
        assert hello("in.txt", "-o", "out.jsonl").exit_code == 130
    assert len(Path("out.jsonl.part").read_text(encoding="utf-8").splitlines()) == 5
    return lambda: hello("in.txt", "-o", "out.jsonl", "--resume")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["新しい行。", *INTERRUPTED], "a record up to in.txt:5 has changed"),
        ([*INTERRUPTED[:4], "直した行。", *INTERRUPTED[5:]], "a record up to in.txt:5 has changed"),
        (["直した行。", *INTERRUPTED[1:]], "a record up to in.txt:5 has changed"),
        (["", *INTERRUPTED], "record 5 is in.txt:6"),
        (INTERRUPTED[:3], "it ends at 3"),
    ],
)
def test_an_input_that_changed_is_not_resumed(lines: list[str], found: str, interrupted) -> None:
    part = Path("out.jsonl.part").read_bytes()
    Path("in.txt").write_text("\n".join(lines), encoding="utf-8")
    result = interrupted()
    assert result.exit_code == 1
    error, hint, kept = result.stderr.splitlines()
    assert error.startswith("jnlp: error: ")
    assert error.endswith(f": {found}")
    assert "hint: " in hint
    assert "without --resume" in hint
    assert "out.jsonl.part, 5 records" in kept
    assert Path("out.jsonl.part").read_bytes() == part


def test_an_input_that_only_grew_is_resumed(interrupted) -> None:
    Path("in.txt").write_text("\n".join([*INTERRUPTED, "追加。"]), encoding="utf-8")
    assert interrupted().exit_code == 0
    texts = [json.loads(line)["text"] for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert texts == [*INTERRUPTED, "追加。"]


def test_what_failed_is_told_in_one_line_whatever_its_id(hello) -> None:
    Path("t.csv").write_text('id,text\n"甲\r\n乙",絵文字😀\n丙,文。\n', encoding="utf-8")
    result = hello("t.csv", "-o", "out.csv", "--output-encoding", "cp932")
    assert result.stderr.splitlines() == [
        "jnlp: skipped 甲 乙: '😀' (U+1F600) cannot be written in cp932 (use --output-encoding utf-8-sig)",
        "jnlp: out.csv: 1 written, 1 failed",
    ]


C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("locale", [{}, C_LOCALE])
@pytest.mark.parametrize(
    "arguments",
    [
        ["classify", "あ", "--labels", b"\x8e\xa1,b"],
        ["classify", "あ", "--labels", "良い,悪い", "--template", b"\x8e\xa1{}"],
        ["fill-mask", "<mask>です", "--candidates", b"\x8e\xa1,b"],
        ["toxicity", "あ", "--text", b"\x8e\xa1"],
        ["classify", "あ", "--model", b"\x8e\xa1"],
    ],
)
def test_an_option_that_is_no_text_is_one_line(locale, arguments, tmp_path):
    command = [sys.executable, "-m", "jnlp", *arguments]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env={**os.environ, **locale})
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"is not text in UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_c_locale_reads_and_names_japanese(tmp_path):
    (tmp_path / "文書").mkdir()
    (tmp_path / "文書" / "苦情.txt").write_text("消えろ\n", encoding="utf-8")
    command = [sys.executable, "-m", "jnlp", "toxicity", "文書/苦情.txt", "--rules-only", "-o", "結果.jsonl"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env={**os.environ, **C_LOCALE})
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "結果.jsonl").read_text(encoding="utf-8"))["id"] == "文書/苦情.txt:1"


def test_a_line_into_a_pipe_is_answered_before_the_next(tmp_path):
    command = [sys.executable, "-m", "jnlp", "toxicity", "--rules-only", "--format", "jsonl", "-q"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for text, toxic in (("消えろ", True), ("ありがとう", False), ("クズ", True)):
            child.stdin.write(f"{text}\n".encode())
            child.stdin.flush()
            ready, _, _ = select.select([child.stdout], [], [], 60)
            if not ready:
                child.kill()
            assert ready, f"no answer to {text}"
            assert json.loads(child.stdout.readline())["toxic"] is toxic
        child.stdin.close()
        assert child.wait(60) == 0
