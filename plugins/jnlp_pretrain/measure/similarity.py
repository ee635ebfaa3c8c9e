"""Sentence similarity without fine-tuning: what the mean of a masked LM's states says about JSTS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError
from jnlp.training import metrics
from jnlp.training.corpus import fraction

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp.types import Embedder

_DEVELOPMENT = 0.1  # of the train split, by hash of the first sentence: the pairs that `jnlp_search.jaquad` chooses by


def jsts(embedder: Embedder, data: Path, /, *, final: bool) -> dict[str, float | int | str]:
    """Return Spearman's correlation of cosines with what people said, in JSTS.

    Args:
        embedder: Mean-pooled.
        data: The folder that holds `tasks/jsts`.
        final: Open the valid split; else a tenth of the train split is scored.

    Raises:
        JnlpError: The data is not there.
    """
    path = data / "tasks/jsts" / ("valid.jsonl" if final else "train.jsonl")
    if not path.is_file():
        raise JnlpError(f"{path} is not there", hint="name the folder of the data that the cards list")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if not final:
        rows = [row for row in rows if fraction(row["sentence1"], "development") < _DEVELOPMENT]
    first, second = (unit(embedder.embed([row[name] for row in rows]).vectors) for name in ("sentence1", "sentence2"))
    scores = np.array([float(row["label"]) for row in rows])
    found = metrics.spearman((first * second).sum(axis=1), scores)
    return {"split": "valid" if final else "development", "pairs": len(rows), "spearman": found}
