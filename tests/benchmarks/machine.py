"""What the machine can do: matrix multiplication by precision, memory reads; and what it is."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders import ROOT, THREADS

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = ((1024, 1024, 1024), (2048, 1024, 1024), (4096, 512, 2048), (2048, 2048, 2048))
"""Rows, inner and columns of the products tried; the best counts."""


def peaks(seconds: float = 1.0, /) -> dict[str, float]:
    """Return operations a second by `fp32`, `bf16` and `int8`, and bytes a second by `memory`.

    Args:
        seconds: Time for each size and precision.
    """
    import torch

    torch.set_num_threads(THREADS)
    found: dict[str, float] = {}
    for rows, inner, columns in SIZES:
        a, b = torch.randn(rows, inner), torch.randn(columns, inner).t()
        x, y = (torch.randint(-9, 9, m.shape, dtype=torch.int8) for m in (a, b.t()))
        products: dict[str, Callable[[], object]] = {
            "fp32": partial(torch.matmul, a, b),
            "bf16": partial(torch.matmul, a.bfloat16(), b.bfloat16()),
            "int8": partial(torch._int_mm, x, y.t()),
        }
        for name, product in products.items():
            rate = 2 * rows * inner * columns / best(product, seconds)
            found[name] = max(rate, found.get(name, 0.0))
    row = torch.ones(1 << 27)
    found["memory"] = row.nbytes / best(row.sum, seconds)
    return found


def best(call: Callable[[], object], seconds: float, /) -> float:
    """Return the shortest time of a call among as many as fit in some seconds, at least three."""
    call()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def measured(seconds: float, /) -> dict[str, float]:
    """Return `peaks` of a fresh process with the contenders' threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "MKL_NUM_THREADS": str(THREADS)}
    command = [sys.executable, "-m", "tests.benchmarks.machine", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def describe(python: Path, /) -> dict[str, Any]:
    """Return the machine, the two environments' versions, and the commit."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "jnlp": _versions(Path(sys.executable), ("torch",)),
        "peers": _versions(python, ("torch", "transformers", "sentence-transformers", "onnxruntime", "openvino")),
        "commit": _output("git", "describe", "--always", "--dirty"),
        "date": time.strftime("%Y-%m-%d"),
    }


def _versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    code = (
        "import json, sys, importlib.metadata as m\n"
        "print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
    )
    found = json.loads(_output(str(python), "-c", code) or "{}")
    return {name: found[name] for name in packages if name in found}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    print(json.dumps(peaks(float(sys.argv[1]))))
