"""Whole commands from a cold start, in turn with the shortest script that does the same by transformers or
sentence-transformers.

Each run is a fresh process; the first of each command is not counted. Both sides answer from the same weights, `tiny`
for masks and `tiny-search` for vectors. The script runs in the project's environment: the same torch, and the same
transformers; jnlp uses its compiled kernels where they are built.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

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
        "at most 0.40",
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
)


def seconds(arguments: tuple[str, ...]) -> float:
    """Run one command in a fresh process and return its wall time in seconds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JNLP_")}
    environment = {**kept, "HF_HUB_OFFLINE": "1", "JNLP_CONFIG": os.devnull}
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def measure(case: Case, runs: int, /) -> dict[str, float | None]:
    """Return the medians of ours and the peer's seconds, run in turn."""
    commands = [command for command in (case.ours, case.peer) if command is not None]
    times: list[list[float]] = [[] for _ in commands]
    for turn in range(runs + 1):
        for command, kept in zip(commands, times, strict=True):
            taken = seconds(command)
            if turn:
                kept.append(taken)
    medians = [statistics.median(kept) for kept in times]
    return {"ours": medians[0], "peer": medians[1] if len(medians) > 1 else None}
