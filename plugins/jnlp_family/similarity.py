"""Sentence similarity (STS): pairs that people graded, divided once for all who choose by them or score on them."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError
from jnlp.training import metrics
from jnlp_pretrain.corpus import fraction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jnlp.types import Embedder

DEVELOPMENT_SHARE = 0.1
"""The share of a train split, by hash of a key, that embedders are chosen by and not trained on."""


class Split(StrEnum):
    """What rows are for: to learn from, to choose by, or for the final table alone."""

    TRAIN = "train"
    DEVELOPMENT = "development"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Likeness:
    """Pairs of sentences, and how alike people found them, 0 to 5."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: tuple[float, ...]


def is_development(key: str, /) -> bool:
    """Return whether an article (its title) or a pair (its first sentence) of a train split is for choosing by."""
    return fraction(key, "development") < DEVELOPMENT_SHARE


def split_rows(folder: Path, split: Split, /, *, extension: str, key: str) -> Iterator[dict[str, Any]]:
    """Yield a task's rows of a split: of `valid.jsonl` for the final one, else of the train file.

    Args:
        folder: Holds the files.
        split: Which rows.
        extension: Of the train file: `.jsonl`, or `.jsonl.xz`.
        key: The field by which the train file is divided.

    Raises:
        JnlpError: The data is not there.
    """
    path = folder / ("valid.jsonl" if split is Split.FINAL else f"train{extension}")
    if not path.is_file():
        raise JnlpError(
            f"{path} is not there",
            hint="name the folder of the data that the cards list",
        )
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if split is Split.FINAL or is_development(row[key]) == (split is Split.DEVELOPMENT):
                yield row


def likeness(data: Path, split: Split, /) -> Likeness:
    """Return the pairs of JSTS.

    Raises:
        JnlpError: The data is not there.
    """
    rows = list(split_rows(data / "tasks/jsts", split, extension=".jsonl", key="sentence1"))
    return Likeness(
        tuple(row["sentence1"] for row in rows),
        tuple(row["sentence2"] for row in rows),
        tuple(float(row["label"]) for row in rows),
    )


def similarity(embedder: Embedder, pairs: Likeness, /) -> float:
    """Return Spearman's correlation of cosines with what people said."""
    first, second = (unit(embedder.embed(texts).vectors) for texts in (pairs.first, pairs.second))
    return metrics.spearman((first * second).sum(axis=1), np.array(pairs.scores))
