"""Who runs: jnlp in the project's environment, peers in theirs. Each is a process of its own."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "benchmarks"
BENCH_PYTHON = Path(os.environ.get("BENCH_VENV", ROOT / ".venv-bench")) / "bin" / "python"
THREADS = 2
COSINE = {"fp32": 0.999, "bf16": 0.999, "int8": 0.98}
"""The least cosine to the reference's vectors, by precision."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to run a model.

    Args:
        name: What the server process is told.
        label: What the tables say.
        precision: `fp32`, `bf16` or `int8`: whose peak it is held against.
        ours: It is jnlp.
        kernel: It may use the compiled kernels.
    """

    name: str
    label: str
    precision: str
    ours: bool = False
    kernel: bool = False

    def command(self, folder: Path, /) -> list[str]:
        """Return the command of the server process."""
        python = sys.executable if self.ours else str(BENCH_PYTHON)
        return [python, "-m", "tests.benchmarks.serve", self.name, self.precision, str(folder)]

    def environment(self) -> dict[str, str]:
        """Return its environment: two threads, no network, and kernels only where asked for."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JNLP_", "OMP_"))}
        count = str(THREADS)
        fixed = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "HF_HUB_OFFLINE": "1", "JNLP_CONFIG": os.devnull}
        plain = {"JNLP_KERNELS": "off"} if self.ours and not self.kernel else {}
        return {**kept, **fixed, **plain}


PEERS = (
    Contender("transformers", "transformers fp32", "fp32"),
    Contender("transformers", "transformers bf16", "bf16"),
    Contender("sentence-transformers", "sentence-transformers bf16", "bf16"),
    Contender("onnxruntime", "ONNX Runtime fp32", "fp32"),
    Contender("onnxruntime", "ONNX Runtime int8", "int8"),
    Contender("openvino", "OpenVINO bf16", "bf16"),
)
OURS = (
    Contender("jnlp", "jnlp fp32", "fp32", ours=True),
    Contender("jnlp", "jnlp bf16", "bf16", ours=True),
    Contender("jnlp", "jnlp fp32, kernel", "fp32", ours=True, kernel=True),
    Contender("jnlp", "jnlp bf16, kernel", "bf16", ours=True, kernel=True),
    Contender("jnlp", "jnlp int8, kernel", "int8", ours=True, kernel=True),
)
CONTENDERS = PEERS + OURS
REFERENCE = PEERS[0]
