"""Nothing in a document, a name or a message is obeyed by the terminal; standard output is never replaced."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from jnlp.errors import JnlpError
from jnlp.io import open_writer
from jnlp.io.durable import Lock, open_own, replacing
from jnlp.terminal import Terminal, printable

if TYPE_CHECKING:
    from pathlib import Path

CLEAR, CLIPBOARD, C1, BIDI = "\x1b[2J", "\x1b]52;c;cm0gLXJm\x07", "\x9b2J", "\u202e"
JNLP = [sys.executable, "-m", "jnlp"]


def at_a_terminal(*arguments: str | Path, cwd: Path) -> str:
    """Run jnlp with standard output and standard error on one terminal; return what that was sent."""
    main, side = pty.openpty()
    with subprocess.Popen([*JNLP, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=side, stderr=side, cwd=cwd):
        os.close(side)
        sent = b""
        while True:
            try:
                more = os.read(main, 1 << 16)
            except OSError:  # the last writer has gone
                break
            if not more:
                break
            sent += more
    os.close(main)
    return sent.decode(errors="surrogateescape")


@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_escape_sequences_do_not_reach_a_terminal(form: str, tmp_path: Path) -> None:
    text = f"消えろ{CLEAR}{CLIPBOARD}{C1}{BIDI}クズ"
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text, f"列{CLEAR}": CLIPBOARD}) + "\n", encoding="utf-8")
    sent = at_a_terminal("toxicity", "a.jsonl", "--text", "text", "--rules-only", "--format", form, cwd=tmp_path)
    assert "消えろ" in sent
    for obeyed in (CLEAR, "\x1b]52", "\x07", C1, BIDI):
        assert obeyed not in sent


@pytest.mark.parametrize(
    "arguments",
    [
        [f"no{CLEAR}command"],
        ["toxicity", f"{CLEAR}{CLIPBOARD}.txt"],
        ["toxicity", "x", f"--no{CLEAR}flag"],
        ["toxicity", "x", "--rules-only", "-o", f"nowhere/{CLEAR}.jsonl"],
        ["classify", "x", "--model", f"{CLEAR}{CLIPBOARD}"],
    ],
)
def test_messages_do_not_reach_a_terminal_raw(arguments: list[str], tmp_path: Path) -> None:
    sent = at_a_terminal(*arguments, cwd=tmp_path)
    assert "[2J" in sent
    assert CLEAR not in sent
    assert "\x1b]52" not in sent


def test_printable_keeps_lengths_but_for_line_breaks() -> None:
    text = "".join(map(chr, range(0x20))) + "\x7f\x85\u200f\ud800日本語🇯🇵"
    assert len(printable(text)) == len(text)
    assert printable("\r\n\t\n") == "\n\t\n"
    assert printable("漢字かな交じり文、ABC 123 ｶﾞ ❤\ufe0f") == "漢字かな交じり文、ABC 123 ｶﾞ ❤\ufe0f"


def test_a_terminal_stream_passes_everything_else_on(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Terminal(sys.stdout)
    stream.writelines([CLEAR, "よい\n"])
    stream.flush()
    assert capsys.readouterr().out == "␛[2Jよい\n"
    assert stream.encoding == sys.stdout.encoding


@pytest.mark.parametrize("out", ["/dev/stdout", "-", "/proc/self/fd/1", "all.log"])
def test_standard_output_is_written_and_not_replaced(out: str, tmp_path: Path) -> None:
    script = 'echo 前; "$@" -o "$OUT"; echo 後'
    with (tmp_path / "all.log").open("wb") as log:
        command = ["sh", "-c", script, "sh", *JNLP, "toxicity", "消えろ", "--rules-only", "-q", "--format", "jsonl"]
        subprocess.run(command, stdout=log, cwd=tmp_path, env={**os.environ, "OUT": out}, check=True)
    lines = (tmp_path / "all.log").read_text(encoding="utf-8").splitlines()
    assert [lines[0], json.loads(lines[1])["toxic"], lines[2]] == ["前", True, "後"]
    assert [path.name for path in tmp_path.iterdir()] == ["all.log"]


@pytest.mark.parametrize("arguments", [["-o", "-", "--resume"], ["-o", "-", "--format", "parquet"]])
def test_what_standard_output_cannot_be(arguments: list[str], tmp_path: Path) -> None:
    command = [*JNLP, "toxicity", "消えろ", "--rules-only", *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "needs a file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["a.jsonl.part", "a.jsonl.part.state.part"])
def test_nothing_is_written_through_a_symbolic_link(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("秘密", encoding="utf-8")
    (tmp_path / name).symlink_to(secret)
    with suppress(JnlpError), open_writer(None, tmp_path / "a.jsonl", job={"task": "x"}) as output:
        output.write({"a": 1})
        output.flush()
    assert secret.read_text(encoding="utf-8") == "秘密"


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with replacing(path) as file:
        file.write(b"1")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:  # noqa: PT012
        file.write(b"2")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(JnlpError):
        open_own(tmp_path / "link")
    with Lock(tmp_path / "lock", path), pytest.raises(JnlpError, match="written by another run"):
        Lock(tmp_path / "lock", path)
