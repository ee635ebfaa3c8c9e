"""`make bench`: whole commands from a cold start, interleaved, medians, beside a named peer; writes docs/benchmarks.md.

Each run is a fresh process. The first run of each command is not counted. Ratios hold for this machine and this run.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
START, END = "<!-- start-up -->\n", "<!-- end start-up -->"
RUNS = 7
TEXT = "おはようございます、今日の天気は<mask>です。"
TINY = ROOT / "jnlp" / "models" / "builtin" / "tiny"

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
tokenizer = AutoTokenizer.from_pretrained({str(TINY)!r})
model = AutoModel.from_pretrained({str(TINY)!r}).eval()
with torch.inference_mode():
    batch = tokenizer([sys.argv[1]], return_tensors="pt")
    states = model(**batch).last_hidden_state
print(states.mean(1)[0].tolist())
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A command of jnlp and the peer that does the same; None where there is no peer."""

    name: str
    ours: tuple[str, ...]
    peer: tuple[str, ...] | None
    bar: str


CASES = (
    Case("`jnlp --help`", ("-c", JNLP, "--help"), None, "under 0.25 s"),
    Case(
        "`jnlp fill-mask` on one line, against transformers' fill-mask pipeline",
        ("-c", JNLP, "fill-mask", TEXT),
        ("-c", PIPELINE, TEXT),
        "at most 0.40",
    ),
    Case(
        "`jnlp embed` on one line, against AutoModel and a mean",
        ("-c", JNLP, "embed", TEXT),
        ("-c", EMBED, TEXT),
        "at most 0.40",
    ),
)


def seconds(arguments: tuple[str, ...]) -> float:
    """Run one command in a fresh process and return its wall time in seconds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JNLP_")}
    environment = {**kept, "HF_HUB_OFFLINE": "1", "JNLP_CONFIG": os.devnull}
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def measure(case: Case) -> tuple[float, float | None]:
    """Return the medians of ours and the peer's time, run in turn."""
    commands = [command for command in (case.ours, case.peer) if command is not None]
    times: list[list[float]] = [[] for _ in commands]
    for turn in range(RUNS + 1):
        for command, kept in zip(commands, times, strict=True):
            taken = seconds(command)
            if turn:
                kept.append(taken)
    medians = [statistics.median(kept) for kept in times]
    return medians[0], medians[1] if len(medians) > 1 else None


def main() -> None:
    """Measure, print, and write the table."""
    rows = ["| command, cold | jnlp (s) | peer (s) | ratio | bar |", "|---|---|---|---|---|"]
    for case in CASES:
        ours, peer = measure(case)
        ratio = "" if peer is None else f"{ours / peer:.2f}"
        rows.append(f"| {case.name} | {ours:.2f} | {'' if peer is None else f'{peer:.2f}'} | {ratio} | {case.bar} |")
        print(rows[-1], flush=True)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; medians of {RUNS}."
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(START)
    tail = rest.partition(END)[2]
    PAGE.write_text(head + START + "\n".join([*rows, "", machine, ""]) + END + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
