"""Worker processes that end, seen through the library."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import jnlp
from jnlp.errors import JnlpError
from jnlp.testing import make_model

if TYPE_CHECKING:
    from collections.abc import Iterator


def workers() -> list[int]:
    """Return the ids of this process's workers."""
    tasks = Path("/proc/self/task")
    children = [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
    return [pid for pid in children if b"jnlp.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


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
