"""Measures `jnlp pii`: `python -m jnlp_family.pii DATA` prints the tables of docs/pii.md.

Recall and precision by category on sentences made by rule; findings on texts of corpora, per 1,000 sentences.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import status_of
from jnlp.text import sentences
from jnlp_family.pii.sentences import harmless, made
from jnlp_family.toxicity.rows import plain_rows
from jnlp_pii.detector import Detector
from jnlp_pii.spec import PiiOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

_CORPORA = {
    "news": "news",
    "encyclopaedia": "encyclopaedia",
    "fiction": "fiction",
    "dialogue": "dialogue",
    "chat": "chat",
    "documentation": "documentation",
    "programming books": "documentation (programming)",
    "blogs": "blogs",
    "surveys": "surveys",
}


def by_rule(detector: Detector, count: int, /) -> Iterator[str]:
    """Yield the lines of the table of sentences made by rule."""
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for row in made(count):
        found = {(span.category, span.text) for span in detector.spans(row.text)}
        for kind, text in row.found:
            wanted = (kind.partition(" ")[0], text)
            total[kind] += 1
            right[kind] += wanted in found
            wrong[kind] += len(found - {wanted})
    yield "| category | sentences | found exactly | other findings |\n|---|---:|---:|---:|"
    for kind in total:
        yield f"| {kind} | {total[kind]} | {right[kind] / total[kind]:.1%} | {wrong[kind]} |"
    texts = harmless(count * 5)
    alarms = sum(bool(detector.spans(text)) for text in texts)
    yield f"| none: what looks like it | {len(texts)} | | {alarms} |"


def on_corpora(detector: Detector, data: Path, most: int, show: int, /) -> Iterator[str]:
    """Yield the lines of the table of corpora, then `show` findings of each category and corpus."""
    yield "| corpus | sentences | with a finding, per 1,000 | names | all others | of these |"
    yield "|---|---:|---:|---:|---:|---|"
    shown: dict[tuple[str, str], list[str]] = {}
    lines: dict[str, list[str]] = {}
    for row in plain_rows(data, most):
        if row.source in _CORPORA:
            lines.setdefault(row.source, []).extend(row.text[start:end].strip() for start, end in sentences(row.text))
    for corpus, title in _CORPORA.items():
        texts = sorted(set(lines[corpus]), key=lambda text: hashlib.sha256(text.encode()).digest())[:most]
        counts: Counter[str] = Counter()
        alarms = 0
        for text in texts:
            spans = detector.spans(text)
            alarms += bool(spans)
            counts.update(span.category for span in spans)
            for span in spans:
                shown.setdefault((corpus, span.category), []).append(
                    f"{span.text} : {text[max(0, span.start - 15) : span.end + 15]}"
                )
        scale = 1000 / len(texts)
        others = {name: count for name, count in counts.most_common() if name != "name"}
        listed = ", ".join(f"{name} {count}" for name, count in others.items())
        figures = (alarms * scale, counts["name"] * scale, sum(others.values()) * scale)
        yield f"| {title} | {len(texts)} | {' | '.join(f'{figure:.1f}' for figure in figures)} | {listed} |"
    for (corpus, category), examples in shown.items() if show else ():
        yield from (f"{corpus} {category}: {example}" for example in examples[:show])


def _run() -> None:
    parser = argparse.ArgumentParser(description="Measure jnlp pii.")
    parser.add_argument("data", type=Path, help="the folder of the shared data")
    parser.add_argument("--made", type=int, default=400, help="sentences made for each category")
    parser.add_argument("--most", type=int, default=3000, help="sentences of each corpus")
    parser.add_argument("--show", type=int, default=0, help="findings to print of each corpus and category")
    given = parser.parse_args()
    detector = Detector(PiiOptions())
    for line in (*by_rule(detector, given.made), "", *on_corpora(detector, given.data, given.most, given.show)):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(status_of(_run))
