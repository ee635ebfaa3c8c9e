"""Runs in the peers' environment: the plot of tokens a second against length, as SVG."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

SHOWN = {
    "transformers bf16": ("#9aa0a6", "o", "-"),
    "ONNX Runtime int8": ("#5f6368", "s", "-"),
    "OpenVINO bf16": ("#e8710a", "^", "-"),
    "jnlp bf16": ("#8ab4f8", "o", "--"),
    "jnlp bf16, kernel": ("#1a73e8", "o", "-"),
    "jnlp int8, kernel": ("#188038", "o", "-"),
}


def plot(results: Path, out: Path, model: str = "30m") -> None:
    """Draw one line a contender over the works whose texts are all of one length."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "jnlp"  # the same file for the same figures
    works = json.loads(results.read_text(encoding="utf-8"))["models"][model]["works"].values()
    by_length = {work["lengths"][0]: work for work in works if len(set(work["lengths"])) == 1}
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for label, (colour, marker, style) in SHOWN.items():
        points = [
            (length, sum(work["lengths"]) / statistics.median(work["runs"][label]["seconds"]))
            for length, work in sorted(by_length.items())
            if label in work["runs"]
        ]
        if points:
            axes.plot(*zip(*points, strict=True), style, marker=marker, color=colour, label=label, markersize=4)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(by_length), [f"{length:,}" for length in sorted(by_length)])
    axes.set(xlabel="tokens a text", ylabel="tokens/s, two cores", title=f"ModernBERT-Ja {model}")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    plot(Path(sys.argv[1]), Path(sys.argv[2]))
