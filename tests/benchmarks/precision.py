"""What bf16 and int8 lose, and what stands beside a text: `python -m tests.benchmarks.precision DATA --write`.

The built-in models, since they have real weights: the vectors of the sample documents' sentences beside those in fp32,
alone and in batches with others; and the scores that people look at, Spearman's correlation on JSTS and the area under
the curve on RTP-LX, in each precision, in plain torch and, where they are built, by the compiled kernels.
"""

from __future__ import annotations

import argparse
import itertools
import json
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast
from unittest.mock import patch

import numpy as np

from jnlp.encoder.forms import kernels
from jnlp.encoder.load import load_classifier, load_embedder
from jnlp.encoder.runtime import Runtime
from jnlp.encoder.vectors import unit
from jnlp.io import documents
from jnlp.models.resolve import BUILTIN
from jnlp.text.sentences import sentences
from jnlp.training import metrics
from jnlp.types import Embedder, Failed, Overflow
from jnlp_family.similarity import Split, similarity, similarity_pairs
from tests.benchmarks.contenders import ROOT
from tests.benchmarks.report import PAGE, between

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp.types import FloatArray
    from jnlp_family.similarity import SimilarityPairs

DTYPES = ("fp32", "bf16", "int8")
ALONE = 200
"""Texts that are embedded one by one too."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a precision gives.

    Args:
        mean, least: Cosine of the vectors to those in fp32, over all texts.
        beside: The largest relative difference between a text's vector alone and in a batch.
        likeness: Spearman on JSTS.
        toxicity: Area under the curve on RTP-LX.
    """

    mean: float
    least: float
    beside: float
    similarity: float | None
    toxicity: float | None


def sample() -> list[str]:
    """Return the sentences of the sample documents, short and long, and the documents themselves."""
    texts = [
        str(document.text)
        for document in documents([ROOT / "docs/examples/documents"])
        if not isinstance(document, Failed)
    ]
    parts = [text[start:stop] for text in texts for start, stop in sentences(text)]
    return [part for part in [*parts, *texts] if part.strip()]


@contextmanager
def by_torch() -> Iterator[None]:
    """Load models without the compiled kernels."""
    with patch.object(kernels, "load", lambda: None):
        yield


def measure(data: Path | None) -> dict[str, Row]:
    """Return a row for each precision, in plain torch and by the kernels; all beside plain torch in fp32."""
    texts = sample()
    pairs = similarity_pairs(data, Split.FINAL) if data else None
    judged = (
        [row for row in _rows(data / "tasks/rtplx_toxicity/test.jsonl") if row["label"] is not None] if data else []
    )
    exact: FloatArray | None = None
    found: dict[str, Row] = {}
    ways = {"plain torch": by_torch, **({"kernels": nullcontext} if kernels.load() else {})}
    for (way, within), dtype in itertools.product(ways.items(), DTYPES):
        runtime = Runtime(device="cpu", dtype=dtype)
        with within():
            found[f"{dtype}, {way}"], exact = _row(runtime, texts, pairs, judged, exact)
    return found


def _row(
    runtime: Runtime,
    texts: list[str],
    pairs: SimilarityPairs | None,
    judged: Sequence[dict[str, object]],
    exact: FloatArray | None,
) -> tuple[Row, FloatArray]:
    """Return the row of a runtime, and the vectors that it and the next ones are held against."""
    embedder = cast("Embedder", load_embedder(BUILTIN / "tiny-search", runtime=runtime))
    vectors = embedder.embed(texts).vectors
    exact = vectors if exact is None else exact
    cosines = (unit(vectors) * unit(exact)).sum(axis=1)
    chosen = np.linspace(0, len(texts) - 1, ALONE).astype(int)
    alone = np.concatenate([embedder.embed([texts[i]]).vectors for i in chosen])
    beside = np.linalg.norm(alone - vectors[chosen], axis=1) / np.linalg.norm(vectors[chosen], axis=1)
    likely = similarity(embedder, pairs) if pairs else None
    toxic = _toxicity(runtime, judged) if judged else None
    return Row(float(cosines.mean()), float(cosines.min()), float(beside.max()), likely, toxic), exact


def _toxicity(runtime: Runtime, rows: Sequence[dict[str, object]]) -> float:
    classifier = load_classifier(BUILTIN / "tiny-toxicity", runtime=runtime)
    toxic = classifier.labels.index("toxic")
    logits = classifier.logits([str(row["text"]) for row in rows], overflow=Overflow.TRUNCATE).values
    return metrics.roc_auc(logits[:, toxic] - logits[:, 1 - toxic], np.array([row["label"] == 1 for row in rows]))


def _rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(found: dict[str, Row], texts: int) -> str:
    """Return the table as Markdown."""
    lines = [
        "| | mean cosine to fp32 | least | alone and in a batch, relative | JSTS, Spearman | RTP-LX, AUC |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        scores = [f"{score:.4f}" if score is not None else "–" for score in (row.similarity, row.toxicity)]
        lines.append(f"| {name} | {row.mean:.6f} | {row.least:.4f} | {row.beside:.1e} | {' | '.join(scores)} |")
    lines += ["", f"`tiny-search` and `tiny-toxicity`, {texts:,} texts of the sample documents."]
    return "\n".join(lines)


def main() -> None:
    """Print the table; write it into the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="the folder that holds tasks/jsts and tasks/rtplx_toxicity")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    given = parser.parse_args()
    made = table(measure(given.data), len(sample()))
    print(made)
    if given.write:
        PAGE.write_text(between(PAGE.read_text(encoding="utf-8"), "precision", made), encoding="utf-8")


if __name__ == "__main__":
    main()
