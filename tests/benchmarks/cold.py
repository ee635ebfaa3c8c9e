"""Whole commands from a cold start, in turn with the shortest script that does the same by transformers or
sentence-transformers.

Each run is a fresh process; the first of each command is not counted. Both sides answer from the same weights, `tiny`
for masks and `tiny-search` for vectors. The script runs in the project's environment: the same torch, and the same
transformers; jnlp uses its compiled kernels where they are built, and its bytecode, as after an installation. The
searched index is of the files in `docs`, and the peer compares its query's vector with 10,000 stored ones.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.benchmarks.contenders import ROOT

TEXT = "おはようございます、今日の天気は<mask>です。"
TINY, SEARCH = (ROOT / "jnlp" / "models" / "builtin" / name for name in ("tiny", "tiny-search"))

JNLP = "from jnlp.cli import main; main()"
PIPELINE = f"""
import json, sys
from transformers import pipeline
fill = pipeline("fill-mask", model={str(TINY)!r}, tokenizer={str(TINY)!r})
print(json.dumps(fill(sys.argv[1]), ensure_ascii=False))
"""
EMBED = f"""
import sys
import torch
from transformers import AutoModel, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(SEARCH)!r})
model = AutoModel.from_pretrained({str(SEARCH)!r}).eval()
with torch.inference_mode():
    batch = tokenizer([sys.argv[1]], return_tensors="pt")
    states = model(**batch).last_hidden_state
print(states.mean(1)[0].tolist())
"""
ENCODE = f"""
import sys
from sentence_transformers import SentenceTransformer
print(SentenceTransformer({str(SEARCH)!r}, device="cpu").encode([sys.argv[1]])[0].tolist())
"""
QUERY = "カーネルを使わずに動かすには"
COMPARE = f"""
import sys
import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(SEARCH)!r})
model = AutoModel.from_pretrained({str(SEARCH)!r}).eval()
with torch.inference_mode():
    batch = tokenizer([sys.argv[1]], return_tensors="pt")
    vector = model(**batch).last_hidden_state.mean(1)[0].numpy()
scores = np.load(sys.argv[2]) @ (vector / np.linalg.norm(vector))
print(np.argsort(-scores)[:10].tolist())
"""
PEAK = """
import resource, subprocess, sys
subprocess.run([sys.executable, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
INDEX, VECTORS = "INDEX", "VECTORS"
"""Stand for the paths of the searched index and of its vectors."""


@dataclass(frozen=True, slots=True)
class Case:
    """A command of jnlp and the peer that does the same; None where there is no peer."""

    key: str
    name: str
    ours: tuple[str, ...]
    peer: tuple[str, ...] | None
    bar: str


CASES = (
    Case("help", "`jnlp --help`", ("-c", JNLP, "--help"), None, "under 0.25 s"),
    Case(
        "fill-mask",
        "`jnlp fill-mask` on one line, against transformers' fill-mask pipeline",
        ("-c", JNLP, "fill-mask", TEXT),
        ("-c", PIPELINE, TEXT),
        "at most 0.12, and 0.6 s",
    ),
    Case(
        "embed",
        "`jnlp embed` on one line, against AutoModel and a mean",
        ("-c", JNLP, "embed", TEXT),
        ("-c", EMBED, TEXT),
        "at most 0.40",
    ),
    Case(
        "encode",
        "the same, against SentenceTransformer on the same model",
        ("-c", JNLP, "embed", TEXT),
        ("-c", ENCODE, TEXT),
        "",
    ),
    Case(
        "search",
        "`jnlp search` on one line, hybrid, against AutoModel and a comparison of vectors",
        ("-c", JNLP, "search", INDEX, QUERY),
        ("-c", COMPARE, QUERY, VECTORS),
        "at most 0.12, and 0.6 s",
    ),
    Case(
        "toxicity",
        "`jnlp toxicity --rules-only` on one line",
        ("-c", JNLP, "toxicity", "--rules-only", "消えろ、クズ。"),
        None,
        "under 0.25 s",
    ),
)


def environment() -> dict[str, str]:
    """Return the environment of a command: no settings, no download, and no running service that answers for it.

    The first run writes bytecode, which the package has once it is installed.
    """
    left_out = ("JNLP_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, "HF_HUB_OFFLINE": "1", "JNLP_CONFIG": os.devnull, "JNLP_RESIDENT": "off"}


@cache
def searched() -> tempfile.TemporaryDirectory[str]:
    """Index the files in `docs`, and store as many vectors beside the index."""
    import numpy as np

    folder = tempfile.TemporaryDirectory()
    index = Path(folder.name) / INDEX
    command = [sys.executable, "-c", JNLP, "index", str(ROOT / "docs"), "--index", str(index)]
    subprocess.run(command, env=environment(), check=True, capture_output=True)
    vectors = np.random.default_rng(0).standard_normal((10_000, 384)).astype(np.float32)
    np.save(Path(folder.name) / f"{VECTORS}.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return folder


def given(arguments: tuple[str, ...]) -> list[str]:
    """Return arguments with the paths of the index and the vectors."""
    if not {INDEX, VECTORS} & set(arguments):
        return list(arguments)
    folder = Path(searched().name)
    paths = {INDEX: str(folder / INDEX), VECTORS: str(folder / f"{VECTORS}.npy")}
    return [paths.get(argument, argument) for argument in arguments]


def seconds(arguments: list[str]) -> float:
    """Run one command in a fresh process and return its wall time in seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment(), check=True, capture_output=True)
    return time.perf_counter() - start


def peak(arguments: list[str]) -> float:
    """Run one command in a fresh process and return its largest resident memory in MB."""
    command = [sys.executable, "-c", PEAK, *arguments]
    done = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def measure(case: Case, runs: int, /) -> dict[str, float | None]:
    """Return the medians of ours and the peer's seconds, run in turn, and our largest resident memory in MB."""
    commands = [given(command) for command in (case.ours, case.peer) if command is not None]
    times: list[list[float]] = [[] for _ in commands]
    for turn in range(runs + 1):
        for command, kept in zip(commands, times, strict=True):
            taken = seconds(command)
            if turn:
                kept.append(taken)
    medians = [statistics.median(kept) for kept in times]
    return {"ours": medians[0], "peer": medians[1] if len(medians) > 1 else None, "peak": peak(commands[0])}
