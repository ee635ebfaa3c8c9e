"""Interrupted runs: killed, full, forbidden, interrupted; what is kept, and that --resume makes the same file."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jnlp.errors import JnlpError, RecordError
from jnlp.io import OutputEncoding, open_writer, read
from jnlp.io.writing import journal
from jnlp.types import Failed, Source

ROOT = Path(__file__).resolve().parents[2]
JOB = {"task": "数える", "options": {"top": 5}, "inputs": ["in.txt"]}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def rows_of(number):
    """One record's output: none, one or two rows."""
    return [{"id": f"r{number}", "n": n, "text": f"文{number}、" * (number % 5)} for n in range(number % 3)]


def run(out, records, *, resume=False, rejects=None, job=JOB, fail_at=None, pause=0.0, flush_every=0):
    """Write records, every seventh rejected."""
    with open_writer(None, out, job=job, resume=resume, rejects=rejects) as output:
        for number in islice(range(records), output.skip, None):
            if number == fail_at:
                raise KeyboardInterrupt
            if out.suffix == ".npy":
                output.write({"id": f"文{number}", "embedding": [float(number), 0.5]})
            elif number % 7 == 3:
                output.reject(Failed(f"r{number}", Source("in.txt", number), RecordError("壊れた行")))
            else:
                output.write(*rows_of(number))
            if flush_every and number % flush_every == 0:
                output.flush()
            time.sleep(pause)
        return output.skip


def same(format, one, other):
    if format == "parquet":
        return pq.read_table(one).equals(pq.read_table(other))
    if format == "npy":
        ids = [path.with_suffix(".ids.txt").read_bytes() for path in (one, other)]
        return np.array_equal(np.load(one), np.load(other)) and ids[0] == ids[1]
    return one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("format", ["jsonl", "csv", "tsv", "parquet", "npy"])
def test_resume_makes_the_same_file(tmp_path, format):
    whole, out = tmp_path / f"whole.{format}", tmp_path / f"out.{format}"
    rejects, whole_rejects = tmp_path / "rejects", tmp_path / "whole_rejects"
    run(whole, 100, rejects=whole_rejects)
    for fail_at in (1, 2, 50, 51, 99):
        with pytest.raises(KeyboardInterrupt):
            run(out, 100, resume=True, rejects=rejects, fail_at=fail_at)
        assert not out.exists()
        state = json.loads((tmp_path / f"out.{format}.part.state").read_text(encoding="utf-8"))
        assert state["records"] == fail_at
    assert run(out, 100, resume=True, rejects=rejects) == 99
    assert same(format, whole, out)
    assert rejects.read_bytes() == whole_rejects.read_bytes()
    assert not list(tmp_path.glob("*.part*"))


CHILD = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from test_resume import run
run(Path({out!r}), 3000, resume=True, rejects=Path({rejects!r}), pause=0.0005, flush_every={every})
"""


@pytest.mark.parametrize(("format", "every"), [("jsonl", 0), ("csv", 23), ("parquet", 200), ("npy", 17)])
def test_killed_at_any_moment(tmp_path, format, every):
    whole, out = tmp_path / f"whole.{format}", tmp_path / f"out.{format}"
    run(whole, 3000, rejects=tmp_path / "whole_rejects")
    code = CHILD.format(
        root=str(ROOT), tests=str(Path(__file__).parent), out=str(out), rejects=str(tmp_path / "rejects"), every=every
    )
    state = tmp_path / f"out.{format}.part.state"
    moment = random.Random(7)
    seen = 0
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and child.poll() is None:
                if state.exists() and json.loads(state.read_text(encoding="utf-8"))["records"] > seen:
                    break
                time.sleep(0.01)
            time.sleep(moment.random() * 0.2)
        finally:
            child.kill()
            child.wait()
        assert child.returncode == -signal.SIGKILL
        assert not out.exists()
        now = json.loads(state.read_text(encoding="utf-8"))["records"]
        assert seen < now < 3000
        seen = now
    run(out, 3000, resume=True, rejects=tmp_path / "rejects")
    assert same(format, whole, out)
    assert (tmp_path / "rejects").read_bytes() == (tmp_path / "whole_rejects").read_bytes()


def test_the_part_grows_within_a_second_or_so(tmp_path):
    out = tmp_path / "a.jsonl"
    part = tmp_path / "a.jsonl.part"
    with open_writer(None, out, job=JOB) as output:
        output.write({"a": 1})
        deadline = time.monotonic() + 30
        while not part.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert part.read_bytes() == b'{"a": 1}\n'


def test_a_bug_in_the_thread_that_flushes_is_raised_where_rows_are_written(tmp_path, monkeypatch):
    from jnlp.io.writing.sinks import Growing

    def broken(self, data, at):
        raise RuntimeError("こわれた")

    monkeypatch.setattr(Growing, "write", broken)
    output = open_writer(None, tmp_path / "a.jsonl", job=JOB)
    with pytest.raises(RuntimeError, match="こわれた"), output:  # noqa: PT012
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            output.write({"a": 1})
            time.sleep(0.02)


def test_an_interrupt_in_mid_flush_doubles_nothing(tmp_path, monkeypatch):
    """Ctrl-C after the bytes were written and before that was noted."""
    from jnlp.io.writing.sinks import Growing

    out = tmp_path / "a.jsonl"
    original = Growing.write
    strikes = iter([True])

    def interrupted(self, data, at):
        original(self, data, at)
        if next(strikes, False):
            raise KeyboardInterrupt

    monkeypatch.setattr(Growing, "write", interrupted)
    output = open_writer(None, out, job=JOB)
    with pytest.raises(KeyboardInterrupt), output:  # noqa: PT012
        output.write({"a": 1})
        output.flush()
    assert output.kept == f"partial output kept: {out}.part, 1 records (continue with --resume)"
    with open_writer(None, out, job=JOB, resume=True) as output:
        assert output.skip == 1
        output.write({"a": 2})
    assert out.read_text() == '{"a": 1}\n{"a": 2}\n'


def test_another_job_is_refused_and_the_part_stays(tmp_path):
    out = tmp_path / "a.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(out, 10, fail_at=5)
    part = (tmp_path / "a.jsonl.part").read_bytes()
    for job, difference in [
        ({**JOB, "options": {"top": 7}}, "options.top was 5, is 7"),
        ({**JOB, "inputs": ["別.txt"], "task": "x"}, 'inputs was ["in.txt"], is ["別.txt"]; task was "数える", is "x"'),
        ({**JOB, "model": "130m"}, 'model was nothing, is "130m"'),
    ]:
        with pytest.raises(JnlpError) as caught:
            open_writer(None, out, job=job, resume=True)
        assert caught.value.message.startswith("a.jsonl.part ")
        assert caught.value.message.endswith(f": {difference}")
        assert "without --resume" in (caught.value.hint or "")
    with pytest.raises(JnlpError, match='encoding was "utf-8", is "cp932"'):
        open_writer(None, out, job=JOB, resume=True, encoding=OutputEncoding.CP932)
    assert (tmp_path / "a.jsonl.part").read_bytes() == part
    assert run(out, 10, resume=True) == 5


def test_options_that_differ_are_named_and_those_that_do_not_are_not(tmp_path):
    path = tmp_path / "a.jsonl.part.state"
    many = {name: "同じ" * 40 for name in ("allow", "drop", "lists")}
    journal.save(journal.State({"options": json.dumps(many | {"threshold": 0.5})}, 1, {}), path)
    with pytest.raises(JnlpError) as caught:
        journal.load(path, {"options": json.dumps(many | {"threshold": 0.9})})
    assert caught.value.message == "a.jsonl.part was begun by another job: options.threshold was 0.5, is 0.9"


def test_nothing_to_resume_starts_anew(tmp_path):
    out = tmp_path / "a.jsonl"
    assert run(out, 10, resume=True) == 0
    first = out.read_bytes()
    assert run(out, 10, resume=True) == 0
    with pytest.raises(KeyboardInterrupt):
        run(out, 10, fail_at=5)
    (tmp_path / "a.jsonl.part").unlink()
    assert run(out, 10, resume=True) == 0
    with pytest.raises(KeyboardInterrupt):
        run(out, 10, fail_at=5)
    assert run(out, 10) == 0  # without --resume the part is not used
    assert out.read_bytes() == first


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_a_damaged_part_is_not_continued(tmp_path, format):
    out = tmp_path / f"a.{format}"
    with pytest.raises(KeyboardInterrupt):
        run(out, 10, fail_at=5)
    part = tmp_path / f"a.{format}.part"
    if format == "jsonl":
        part.write_bytes(part.read_bytes()[:-3])
    else:
        (part / "part-00000.parquet").unlink()
    with pytest.raises(JnlpError, match="start again, without --resume"):
        run(out, 10, resume=True)
    (tmp_path / f"a.{format}.part.state").write_text("{", encoding="utf-8")
    with pytest.raises(JnlpError, match="state is damaged"):
        run(out, 10, resume=True)
    (tmp_path / f"a.{format}.part.state").write_bytes(b"\xff\xfe")
    with pytest.raises(JnlpError, match="state is damaged"):
        run(out, 10, resume=True)


def test_a_job_on_a_file_whose_name_is_no_unicode(tmp_path):
    out = tmp_path / "a.jsonl"
    job = {**JOB, "inputs": ["\udc93.txt"]}
    with pytest.raises(KeyboardInterrupt):
        run(out, 10, job=job, fail_at=5)
    assert run(out, 10, job=job, resume=True) == 5


def test_a_half_written_row_is_cut_off(tmp_path):
    out = tmp_path / "a.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(out, 10, fail_at=6)
    with (tmp_path / "a.jsonl.part").open("ab") as file:
        file.write('{"id": "r6", "text": "途中で'.encode()[:-1])
    run(out, 10, resume=True)
    run(tmp_path / "whole.jsonl", 10)
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_an_error_before_the_first_record_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a.jsonl", 10, fail_at=0)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a.parquet", 10, fail_at=0)
    assert names(tmp_path) == []


def test_without_a_job_the_part_is_kept_and_cannot_be_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = open_writer(None, Path("a.jsonl"))
    with pytest.raises(KeyboardInterrupt), output:  # noqa: PT012
        output.write({"a": 1})
        raise KeyboardInterrupt
    assert output.kept == "partial output kept: a.jsonl.part, 1 records"
    assert names(tmp_path) == ["a.jsonl.part"]


def in_child(code, **variables):
    """Run code in a process of its own; it may give up root there. Exit status 77 means that it could not."""
    lines = [f"{name} = {value!r}" for name, value in variables.items()]
    head = f"import os, sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", head + "\n".join(lines) + "\n" + code], capture_output=True, text=True, timeout=120
    )
    if done.returncode == 77:
        pytest.skip(done.stdout.strip() or "cannot be had here")
    assert done.returncode == 0, done.stderr
    return done.stdout


GIVE_UP_ROOT = """
import jnlp.io
from jnlp.io.reading.readers import builtin_readers
from jnlp.io.writing.writers import builtin_writers
import filelock, pyarrow.parquet
for load in (*builtin_readers().values(), *builtin_writers().values()):
    load()  # Python itself may lie where only root may read
if os.getuid() == 0:
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    except OSError as error:
        print(f"root cannot be given up: {error}")
        sys.exit(77)
"""


@pytest.fixture
def open_folder():
    """A folder that any user can reach."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_what_may_not_be_read_is_one_line(open_folder):
    (open_folder / "a.txt").write_text("前。\n", encoding="utf-8")
    (open_folder / "b.txt").write_text("秘密。\n", encoding="utf-8")
    (open_folder / "c").mkdir()
    (open_folder / "c" / "in.txt").write_text("秘密。\n", encoding="utf-8")
    (open_folder / "d.txt").write_text("後。\n", encoding="utf-8")
    (open_folder / "b.txt").chmod(0)
    (open_folder / "c").chmod(0)
    code = (
        GIVE_UP_ROOT
        + """
os.chdir(folder)
for item in jnlp.io.read([".", "c/in.txt", "c"]):
    print(getattr(item, "text", None) or item.error)
"""
    )
    assert in_child(code, folder=str(open_folder)).splitlines() == [
        "前。",
        "b.txt: cannot be read: permission denied",
        "c: cannot be read: permission denied",
        "後。",
        "c/in.txt: cannot be read: permission denied",
        "c: cannot be read: permission denied",
    ]


def test_what_may_not_be_written_is_one_line(open_folder):
    code = (
        GIVE_UP_ROOT
        + """
from pathlib import Path
for name, rejects in (("a.jsonl", None), ("a.parquet", None), ("/dev/null", "r.jsonl")):
    try:
        format = "jsonl" if name == "/dev/null" else None
        jnlp.io.open_writer(format, Path(folder, name), rejects=rejects and Path(folder, rejects))
    except jnlp.io.writing.writers.JnlpError as error:
        print(error)
"""
    )
    assert in_child(code, folder=str(open_folder)).splitlines() == [
        f"{open_folder}/a.jsonl: cannot be written: permission denied",
        f"{open_folder}/a.parquet: cannot be written: permission denied",
        f"{open_folder}/r.jsonl: cannot be written: permission denied",
    ]
    assert names(open_folder) == []


FULL = """
import ctypes
from pathlib import Path
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x00020000) or libc.mount(b"none", b"/", None, 0x44000, None) or libc.mount(
    b"tmpfs", folder.encode(), b"tmpfs", 0, b"size=256k"
):
    print("no small file system can be mounted here")
    sys.exit(77)
from jnlp.io import open_writer
from jnlp.errors import JnlpError
out = Path(folder, "a.jsonl")
try:
    with open_writer(None, out, job={}) as output:
        for n in range(100000):
            output.write({"n": n})
            if n % 500 == 0:
                output.flush()
except JnlpError as error:
    print(error)
    print(output.kept)
filler = Path(folder, "a.jsonl.part").read_bytes()
libc.mount(b"none", folder.encode(), None, 0x20, b"size=8m")  # remounted larger: space was freed
with open_writer(None, out, job={}, resume=True) as output:
    print(0 < output.skip <= filler.count(b"\\n"))
    for n in range(output.skip, 100000):
        output.write({"n": n})
print(out.read_text() == "".join('{"n": %d}\\n' % n for n in range(100000)))
"""


def test_a_full_disk_keeps_what_was_written(tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("mounting is Linux's")
    message, kept, skipped, whole = in_child(FULL, folder=str(tmp_path)).splitlines()
    assert message.startswith(f"{tmp_path}/a.jsonl: no space left on the disk, after ")
    assert message.endswith(" records (free some space first)")
    assert kept.startswith(f"partial output kept: {tmp_path}/a.jsonl.part, ")
    assert kept.endswith(" records (continue with --resume)")
    assert (skipped, whole) == ("True", "True")


MEMORY = """
from itertools import islice
from pathlib import Path
import resource
from jnlp.io import open_writer, read
from jnlp.types import Record

def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

class Endless:
    '''Lines of Japanese that no file holds.'''
    closed = False
    def __init__(self, lines):
        self.left = lines
    def read1(self, size):
        count = min(self.left, 2000)
        self.left -= count
        self.rest = b""
        return ("今日は天気がよいので散歩に行く。\\n" * count).encode() if count else b""
    read = read1

class Stream:
    def __init__(self, lines):
        self.source, self.held = Endless(lines), b""
    def read1(self, size=65536):
        if not self.held:
            self.held = self.source.read1(size)
        data, self.held = self.held[:size], self.held[size:]
        return data
    read = read1

records = read(["-"], stdin=Stream(total))
with open_writer(None, Path(out), job={}) as output:
    for number, record in enumerate(records, start=1):
        output.write({"id": record.id, "text": record.text})
        if number == total // 100:
            first = resident()
assert output.records == total
print(resident() - first)
"""


def test_memory_stays(tmp_path):
    assert int(in_child(MEMORY, total=300_000, out=str(tmp_path / "a.jsonl"))) < 20


@pytest.mark.slow
def test_ten_million_lines(tmp_path):
    code = MEMORY.replace("open_writer(None, Path(out), job={})", 'open_writer("jsonl", Path("/dev/null"))')
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(ROOT)!r})\ntotal = 10_000_000\nout = ''\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 100


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl.gz"])
def test_memory_stays_for_tables(tmp_path, kind):
    import gzip
    import tracemalloc

    path = tmp_path / f"a.{kind}"
    if kind == "jsonl.gz":
        with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
            file.writelines('{"text": "今日は天気がよいので散歩に行く。"}\n' for _ in range(10_000))
    else:
        with open_writer(None, path) as output:
            for _ in range(10_000):
                output.write({"text": "今日は天気がよいので散歩に行く。"})
    records = read([path])
    for _ in islice(records, 2000):
        pass
    tracemalloc.start()
    assert sum(1 for _ in records) == 8_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 << 20
