"""A contender's process: loads a model, then answers requests, one JSON object a line, until its input ends.

`{"do": "vectors", "work": …, "batch": n, "out": file}` saves mean-pooled vectors; `{"do": "time", "work": …, "batch":
n}` answers seconds, and the largest resident size meanwhile in bytes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tests.benchmarks.works import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Runs(Protocol):
    """A loaded model."""

    def __call__(self, texts: Sequence[NDArray[np.int64]], batch: int, /) -> NDArray[np.float32]:
        """Return one mean-pooled vector a text, in order."""
        ...


def load(name: str, precision: str, folder: Path) -> Runs:
    """Load a contender's model."""
    if name == "jnlp":
        from tests.benchmarks.ours import load as load_ours

        return load_ours(precision, folder)
    from tests.benchmarks import peers

    return peers.LOADERS[name](precision, folder)


def answer(request: dict[str, Any], runs: Runs, vocabulary: int) -> dict[str, Any]:
    """Do what a request asks."""
    work = Work(request["work"]["name"], tuple(request["work"]["lengths"]))
    texts = work.texts(vocabulary)
    reset_peak()
    start = time.perf_counter()
    vectors = runs(texts, request["batch"])
    seconds = time.perf_counter() - start
    if request["do"] == "vectors":
        np.save(request["out"], vectors)
    return {"seconds": seconds, "peak": resident("VmHWM"), "resident": resident("VmRSS")}


def reset_peak() -> None:
    """Let the largest resident size count from now on, where Linux allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def resident(field: str) -> int:
    """Return a field of /proc/self/status in bytes; 0 where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def main() -> None:
    """Serve; what libraries print goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def reply(value: dict[str, Any]) -> None:
        replies.write(json.dumps(value) + "\n")
        replies.flush()

    try:
        folder = Path(sys.argv[3])
        vocabulary = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
        start = time.perf_counter()
        runs = load(sys.argv[1], sys.argv[2], folder)
        reply({"loaded": time.perf_counter() - start})
    except Exception as error:  # the parent reports it, and does without
        reply({"error": f"{type(error).__name__}: {error}"})
        raise
    for line in sys.stdin:
        try:
            reply(answer(json.loads(line), runs, vocabulary))
        except Exception as error:  # the parent reports it, and does without
            reply({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
