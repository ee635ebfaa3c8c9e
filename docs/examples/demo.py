"""The demo (`make demo`): the main jobs on the built-in models, each result shown and checked.

Runs the real command line on the sample documents next to this file; exits 1 where a result is not what it should be.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOCUMENTS = HERE / "documents"

SEARCHES = (
    ("契約を途中で解約する条件", "contract.txt", "utf-8"),
    ("時計塔が止まった四時十七分", "story.txt", "cp932"),
    ("軽便鉄道の通票", "railway-memoir.txt", "euc_jp"),
)
"""A query, the document that must come first, and the codec that document is written in."""


class Checks:
    """Counts what is not as it should be, and says so at once."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, what: str, holds: bool) -> None:
        """Count one check and print it."""
        self.passed += holds
        self.failed += not holds
        print(f"  {'ok' if holds else 'FAILED'}: {what}", flush=True)


def jnlp(*arguments: str, show: bool = True) -> str:
    """Run one command, print it and its output, and return the output."""
    if show:
        print(f"\n$ jnlp {shlex.join(arguments)}", flush=True)
    environment = {**os.environ, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"}
    for name in list(environment):
        if name.startswith("JNLP_"):
            del environment[name]
    environment["JNLP_CONFIG"] = os.devnull
    command = [sys.executable, "-c", "from jnlp.cli import main; main()", *arguments]
    stderr = None if show else subprocess.PIPE  # progress and remarks as they come
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8", env=environment)
    if show or done.returncode:
        print(done.stdout, end="", flush=True)
        print(done.stderr or "", end="", flush=True)
    if done.returncode:
        sys.exit(f"jnlp {arguments[0]} failed with status {done.returncode}")
    return done.stdout


def records(*arguments: str) -> list[dict]:
    """Run one command and return its JSONL records."""
    return [json.loads(line) for line in jnlp(*arguments, "--format", "jsonl", show=False).splitlines()]


def search(checks: Checks, index: Path) -> None:
    """Index the sample documents and search them."""
    jnlp("index", str(DOCUMENTS), "--index", str(index))
    for query, expected, codec in SEARCHES:
        jnlp("search", str(index), query, "--top", "1", "--format", "table")
        first = records("search", str(index), query, "--top", "1")[0]
        checks.check(f"{expected} comes first", Path(first["document"]).name == expected)
        original = (DOCUMENTS / expected).read_bytes().decode(codec)
        passage = original[first["start"] : first["end"]]
        checks.check(f"the offsets open to the passage, which is right ({codec})", passage.strip() == first["text"])


def fill_mask(checks: Checks) -> None:
    """Fill a mask."""
    text = "おはようございます、今日の天気は<mask>です。"
    jnlp("fill-mask", text, "--format", "table")
    (record,) = records("fill-mask", text)
    scores = [fill["score"] for fill in record["fills"]]
    checks.check("five fills, best first", len(scores) == 5 and scores == sorted(scores, reverse=True))
    whole = all(fill["sequence"] == text.replace("<mask>", "".join(fill["tokens"])) for fill in record["fills"])
    checks.check("each is found in the text", whole)


def classify(checks: Checks, model: Path) -> None:
    """Train a classifier on the sample reviews, and classify two new ones."""
    flags = ("--text", "本文", "--label", "評価", "--method", "linear", "-o", str(model))
    print("\n(the training below takes some seconds)", flush=True)
    shown = jnlp("train", "classifier", str(HERE / "reviews.csv"), *flags)
    figures = dict(line.split() for line in shown.splitlines() if len(line.split()) == 2)
    better = float(figures["accuracy"]) > float(figures["majority_baseline"])
    checks.check("on held-out reviews it is better than always guessing the commonest label", better)
    texts = ("軽くて使いやすく、気に入っています。", "期待外れで、二度と買いません。")
    jnlp("classify", *texts, "--model", str(model), "--format", "table")
    found = [record["label"] for record in records("classify", *texts, "--model", str(model))]
    checks.check("the labels are 良い and 悪い", found == ["良い", "悪い"])


def screen(checks: Checks) -> None:
    """Screen two comments."""
    texts = ("とても参考になりました。ありがとうございます。", "お前は馬鹿か、二度と書き込むな、消えろ。")
    jnlp("toxicity", *texts, "--format", "table")
    clean, toxic = records("toxicity", *texts)
    checks.check("the friendly comment passes", not clean["toxic"])
    spans = [texts[1][span["start"] : span["end"]] for span in toxic["spans"]]
    checks.check("the insulting one is flagged, and 馬鹿 is named", toxic["toxic"] and "馬鹿" in spans)


def main() -> None:
    """Run everything and say how it went."""
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        search(checks, Path(folder) / "demo.idx")
        fill_mask(checks)
        classify(checks, Path(folder) / "reviews-model")
        screen(checks)
    print(f"\n{checks.passed} checks passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
