"""JaQuAD and JSTS as they are read here: which articles are for training, which for choosing, which for the table.

Nothing is chosen on `FINAL`: weights of a fusion, epochs and options are chosen on `DEVELOPMENT`, a tenth of the train
split that `TRAIN` leaves out, by article for JaQuAD and by pair for JSTS.
"""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.training.corpus import fraction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEVELOPMENT_SHARE = 0.1
"""The share of the train split's articles, by hash of the title, that nothing is trained on."""


class Split(StrEnum):
    """What rows are for: to learn from, to choose by, or for the final table alone."""

    TRAIN = "train"
    DEVELOPMENT = "development"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Retrieval:
    """A collection, queries, and for each query the number of the one passage that answers it.

    Args:
        passages: Each passage once, in the order of the file.
        queries: The questions.
        relevant: Numbers of passages, one a question.
    """

    passages: tuple[str, ...]
    queries: tuple[str, ...]
    relevant: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Likeness:
    """Pairs of sentences, and how alike people found them, 0 to 5."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: tuple[float, ...]


def is_development(key: str, /) -> bool:
    """Return whether an article (its title) or a pair (its first sentence) of a train split is for choosing by."""
    return fraction(key, "development") < DEVELOPMENT_SHARE


def questions(data: Path, split: Split, /) -> Retrieval:
    """Return JaQuAD's questions of a split over all contexts of that split.

    Raises:
        JnlpError: The data is not there.
    """
    passages: dict[str, int] = {}
    asked: list[tuple[str, int]] = []
    for row in _rows(data / "tasks/jaquad", split, ".jsonl.xz", "title"):
        asked.append((row["question"], passages.setdefault(row["context"], len(passages))))
    queries, relevant = zip(*asked, strict=True) if asked else ((), ())
    return Retrieval(tuple(passages), queries, relevant)


def likeness(data: Path, split: Split, /) -> Likeness:
    """Return the pairs of JSTS.

    Raises:
        JnlpError: The data is not there.
    """
    rows = list(_rows(data / "tasks/jsts", split, ".jsonl", "sentence1"))
    return Likeness(
        tuple(row["sentence1"] for row in rows),
        tuple(row["sentence2"] for row in rows),
        tuple(float(row["label"]) for row in rows),
    )


def _rows(folder: Path, split: Split, extension: str, key: str) -> Iterator[dict[str, Any]]:
    path = folder / ("valid.jsonl" if split is Split.FINAL else f"train{extension}")
    if not path.is_file():
        raise JnlpError(f"{path} is not there", hint="name the folder of the data that the cards list")
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if split is Split.FINAL or is_development(row[key]) == (split is Split.DEVELOPMENT):
                yield row
