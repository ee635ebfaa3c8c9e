"""The end of a script that left a stream early."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from jnlp.testing import make_model

LEFT_EARLY = """
import sys
import jnlp
nlp = jnlp.load(sys.argv[1])
for _ in nlp.stream("embed", ("長い文章です。" * 200 for _ in range(200))):
    break
"""

ENDED = """
from jnlp.shutdown import stop_at_exit

class Part:
    def stop(self):
        print("stop")
    def join(self):
        print("join")

one, other = Part(), Part()
stop_at_exit(one)
stop_at_exit(Part())  # gone before the end
stop_at_exit(other)
"""


def test_a_script_that_leaves_a_stream_early_ends_well(tmp_path: Path) -> None:
    """Threads that came back from native code to an interpreter that was gone aborted a quarter of such scripts."""
    model = make_model(tmp_path / "model", layers=4, hidden=128)
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", LEFT_EARLY, str(model)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_all_parts_are_stopped_before_any_is_joined() -> None:
    done = subprocess.run([sys.executable, "-c", ENDED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["stop", "stop", "join", "join"]


LATE = """
from jnlp.shutdown import stop_at_exit

late = []

class Late:
    def stop(self):
        print("late stop")
    def join(self):
        print("late join")

class Part:
    def stop(self):
        print("stop")
    def join(self):
        late.append(Late())
        stop_at_exit(late[-1])
        print("join")

part = Part()
stop_at_exit(part)
"""


def test_a_part_that_comes_while_others_are_joined_is_stopped_and_joined_too() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["stop", "late stop", "join", "late join"]
