"""Two runs at once into one output: the second is refused, and nothing of the first is touched."""

from __future__ import annotations

import errno
import fcntl
import io
import subprocess
import sys

import numpy as np
import pytest

from jnlp.errors import JnlpError
from jnlp.io import durable, open_writer
from jnlp.io.durable import Lock, open_own, replacing

JOB = {"task": "数える"}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet", "npy"])
@pytest.mark.parametrize("job", [JOB, None])
def test_a_second_run_is_refused(tmp_path, format, job):
    out = tmp_path / f"a.{format}"
    with open_writer(None, out, job=job) as output:
        output.write({"id": "1", "embedding": [1.0]})
        output.flush()
        before = names(tmp_path)
        for resume in (False, job is not None):
            with pytest.raises(JnlpError) as caught:
                open_writer(None, out, job=job, resume=resume)
            assert caught.value.message.startswith(f"{out} is being written")
            assert "-o" in (caught.value.hint or "")
        assert names(tmp_path) == before
    ids = ["a.ids.txt"] if format == "npy" else []
    assert names(tmp_path) == [*ids, f"a.{format}"]


def test_a_run_that_could_not_begin_holds_nothing(tmp_path):
    (tmp_path / "a.jsonl.part").mkdir()
    for _ in range(2):
        with pytest.raises(JnlpError, match="cannot be written: is a directory"):
            open_writer(None, tmp_path / "a.jsonl", job=JOB)
    assert names(tmp_path) == ["a.jsonl.part"]


def test_a_run_that_was_killed_holds_nothing(tmp_path):
    out = tmp_path / "a.jsonl"
    code = (
        "import os, sys; from pathlib import Path; from jnlp.io import open_writer\n"
        "open_writer(None, Path(sys.argv[1]), job={}).__enter__(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, out], check=False)
    assert (tmp_path / "a.jsonl.part.lock").exists()
    with open_writer(None, out, job=JOB) as output:
        output.write({"a": 1})
    assert names(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize("wait", [False, True])
def test_a_lock_file_that_is_removed_before_it_is_held_is_made_again(tmp_path, monkeypatch, wait):
    path, flock, removed = tmp_path / "a.lock", fcntl.flock, []

    def remove_first(handle, operation):
        if not removed:  # the run that held it ends here
            removed.append(path.unlink())
        flock(handle, operation)

    monkeypatch.setattr("fcntl.flock", remove_first)
    with Lock(path, tmp_path / "a", wait=wait):
        assert removed
        assert path.exists()
        with pytest.raises(JnlpError):
            Lock(path, tmp_path / "a")
    assert names(tmp_path) == []


def test_a_lock_whose_name_was_removed_meanwhile_is_taken_anew(tmp_path):
    path = tmp_path / "a.lock"
    first = Lock(path, tmp_path / "a")
    path.unlink()
    second = Lock(path, tmp_path / "a")  # what stands under the name is what counts
    with pytest.raises(JnlpError):
        Lock(path, tmp_path / "a")
    second.release()
    first.release()
    assert names(tmp_path) == []


def test_a_write_that_the_system_takes_in_parts_is_whole(tmp_path, monkeypatch):
    """The system takes 2 GiB at once at most, and of a write to a disk that becomes full what fits."""

    class Short(io.FileIO):
        room = 1_000

        def write(self, data, /):
            part = bytes(data)[: min(3, Short.room)]
            if bytes(data) and not part:
                raise OSError(errno.ENOSPC, "No space left on device")
            Short.room -= len(part)
            return super().write(part)

    class Mixed(durable._Whole, Short):
        pass

    monkeypatch.setattr(durable, "_Whole", Mixed)
    numbers = np.arange(8, dtype=np.float32).reshape(2, 4)
    with open_own(tmp_path / "a") as file:
        assert file.write(b"0123456789") == 10
        assert file.write(numbers) == 32
        assert file.write(b"") == 0
    assert (tmp_path / "a").read_bytes() == b"0123456789" + numbers.tobytes()
    (tmp_path / "b").write_bytes(b"old")
    Short.room = 5
    with pytest.raises(OSError, match="No space left"), replacing(tmp_path / "b") as file:
        file.write(b"0123456789")
    assert {path.name: path.read_bytes()[:3] for path in tmp_path.iterdir()} == {"a": b"012", "b": b"old"}
