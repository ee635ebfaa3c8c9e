"""The other end of `crashing.py`: a process whose forks change indexes, and end where a test wants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class Changer:
    """The process. A change takes milliseconds, since a fork has imported everything.

    Args:
        library: What is loaded before libc, so that steps can be calls of the system: `failing_writes.c`, compiled.
    """

    def __init__(self, library: Path | None = None) -> None:
        here = Path(__file__).parent
        command = [sys.executable, str(here / "crashing.py"), str(here)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        if library is not None:
            env["LD_PRELOAD"] = str(library)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def __call__(self, how: str, folder: Path, stop: int = 0, fault: str = "kill", docs: str = "") -> dict[str, Any]:
        """Change an index; return the exit status, the steps that were done, and the error.

        Args:
            how: The change, as `crashing.change` knows it.
            folder: The index.
            stop: The step at which it ends; 0 lets it end by itself.
            fault: `kill`, or the error that the step meets.
            docs: The folder that `watch` follows.
        """
        order = {"how": how, "folder": str(folder), "stop": stop, "fault": fault, "docs": docs}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "bug" not in answer, answer
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
