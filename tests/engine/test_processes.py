"""Worker processes that end, seen through the library."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import jnlp
from jnlp.encoder.forms.kernels import functions
from jnlp.errors import JnlpError
from jnlp.testing import make_model

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = [f"{number}番目の文です。" for number in range(400)]


def workers() -> list[int]:
    """Return the ids of this process's workers."""
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread may end while it is read
            found.extend(int(pid) for pid in (thread / "children").read_text().split())
    return [pid for pid in found if _is_worker(pid)]


def _is_worker(pid: int) -> bool:
    try:
        return b"jnlp.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it ended since
        return False


def libraries(pid: int) -> set[str]:
    """Return the names of the files that a process has mapped."""
    return {Path(line.split()[-1]).name for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}


def mapped(name: str) -> list[set[str]]:
    """Return what each worker has mapped, once all have a file: the second may still load when the first answers."""
    end = time.monotonic() + 30
    while True:
        found = [libraries(pid) for pid in workers()]
        if (len(found) > 1 and all(name in names for names in found)) or time.monotonic() > end:
            return found
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_run_without_torch_and_map_one_copy_of_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    if functions() is None:
        pytest.skip("needs the compiled kernels")
    monkeypatch.delenv("JNLP_BACKEND", raising=False)
    alone = jnlp.load("tiny-search", device="cpu").run("embed", TEXTS)
    found: list[set[str]] = []
    results = []
    for result in jnlp.load("tiny-search", device="cpu", workers=2).stream("embed", (text for text in TEXTS)):
        results.append(result)
        found = found or mapped("0.qkv.weight.npy")
    for one, other in zip(alone, results, strict=True):
        np.testing.assert_allclose(one.vector, other.vector, atol=2e-2)
    assert len(found) == 2
    assert not any("torch" in name for names in found for name in names)
    assert all("0.qkv.weight.npy" in names for names in found)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_that_is_killed_is_told_and_leaves_none_behind(tmp_path: Path) -> None:
    nlp = jnlp.load(str(make_model(tmp_path / "m", layers=1, hidden=32)), workers=2, device="cpu", dtype="fp32")
    answered: list[object] = []

    def texts() -> Iterator[str]:
        for number in range(50_000):
            if number == 3_000:
                os.kill(workers()[0], signal.SIGKILL)
            yield f"{number}番目の文です。"

    with pytest.raises(JnlpError, match=r"worker process \d+ was ended by SIGKILL \(the system may be short of memory"):
        answered.extend(nlp.stream("embed", texts()))
    assert len(answered) < 50_000
    assert workers() == []
