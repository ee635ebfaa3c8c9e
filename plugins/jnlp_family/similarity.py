"""Sentence similarity (STS): human-graded pairs, with one split for selection and for scores."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp_evaluate.direct import correlation
from jnlp_pretrain.corpus import fraction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jnlp.types import Embedder

DEVELOPMENT_SHARE = 0.1
"""The share of a train split that is held out to select embedders, by hash of a key."""


class Split(StrEnum):
    """What rows are used for: training, selection, or only the final table."""

    TRAIN = "train"
    DEVELOPMENT = "development"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class SimilarityPairs:
    """Pairs of sentences with human similarity scores, 0 to 5."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: tuple[float, ...]


def is_development(key: str, /) -> bool:
    """Return whether an article (by its title) or a pair (by its first sentence) of a train split is held out."""
    return fraction(key, "development") < DEVELOPMENT_SHARE


def split_rows(folder: Path, split: Split, /, *, extension: str, key: str) -> Iterator[dict[str, Any]]:
    """Yield a task's rows of a split: of `valid.jsonl` for the final one, else of the train file.

    Args:
        folder: The folder of the files.
        split: Which rows to read.
        extension: The train file's extension: `.jsonl` or `.jsonl.xz`.
        key: The field whose hash splits the train file.

    Raises:
        JnlpError: The data is missing.
    """
    path = folder / ("valid.jsonl" if split is Split.FINAL else f"train{extension}")
    if not path.is_file():
        raise JnlpError(
            f"{path} is not there",
            hint="give the folder of the data listed in the cards",
        )
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if split is Split.FINAL or is_development(row[key]) == (split is Split.DEVELOPMENT):
                yield row


def similarity_pairs(data: Path, split: Split, /) -> SimilarityPairs:
    """Return the pairs of JSTS.

    Raises:
        JnlpError: The data is not there.
    """
    rows = list(split_rows(data / "tasks/jsts", split, extension=".jsonl", key="sentence1"))
    return SimilarityPairs(
        tuple(row["sentence1"] for row in rows),
        tuple(row["sentence2"] for row in rows),
        tuple(float(row["label"]) for row in rows),
    )


def similarity(embedder: Embedder, pairs: SimilarityPairs, /) -> float:
    """Return Spearman's correlation of cosines with the human scores."""
    return correlation(embedder, pairs.first, pairs.second, pairs.scores)
