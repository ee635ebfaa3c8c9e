"""The sets on which `jnlp train classifier` is measured, and how few rows of each are drawn."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import JnlpError
from jnlp.types import Example

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Set:
    """Rows of a task.

    Args:
        task: Its folder.
        train: Its file of training rows.
        test: Its file of test rows.
        text: The field of the text.
        pair: The field of the second text, or none.
        rows: Training rows in all, or 0.
        each: Training rows of each label, or 0.
        numbers: The labels are numbers.
        most: Test rows; of more, as many are drawn, the same for every seed.
    """

    task: str
    train: str
    test: str
    text: str
    pair: str = ""
    rows: int = 0
    each: int = 0
    numbers: bool = False
    most: int = 1600


_LIVEDOOR = ("livedoor", "train.jsonl.xz", "test.jsonl", "text")

SETS = {
    "livedoor, 8 a class": Set(*_LIVEDOOR, each=8, most=400),
    "livedoor, 16 a class": Set(*_LIVEDOOR, each=16, most=400),
    "livedoor, 600": Set(*_LIVEDOOR, rows=600, most=400),
    "JSTS, 600": Set("jsts", "train.jsonl", "test.jsonl", "sentence1", "sentence2", rows=600, numbers=True),
    "commonsense_moral, 600": Set("commonsense_moral", "train.jsonl", "test.jsonl", "sentence", rows=600),
    "jcola, 600": Set("jcola", "train.jsonl", "valid.jsonl", "sentence", rows=600),
    "RTP-LX, 16 a class": Set("rtplx_toxicity", "train.jsonl", "test.jsonl", "text", each=16),
}
"""By their names in the table."""


def draw(data: Path, one: Set, seed: int, /) -> tuple[list[Example], list[Example]]:
    """Return training rows, drawn by the seed, and test rows.

    Raises:
        JnlpError: The data is missing.
    """
    train, test = (_read(data / "tasks" / one.task / file, one) for file in (one.train, one.test))
    order = np.random.default_rng(seed).permutation(len(train)).tolist()
    if not one.each:
        chosen = order[: one.rows]
    else:
        counts: dict[str, int] = {}
        chosen = []
        for row in order:
            label = str(train[row].target)
            counts[label] = counts.get(label, 0) + 1
            if counts[label] <= one.each:
                chosen.append(row)
    kept = np.sort(np.random.default_rng(0).permutation(len(test))[: one.most]).tolist()
    return [train[row] for row in chosen], [test[row] for row in kept]


def _read(path: Path, one: Set) -> list[Example]:
    if not path.is_file():
        raise JnlpError(f"{path} is not there", hint="give the folder of the data listed in the cards")
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Example(
            (row[one.text], row[one.pair]) if one.pair else row[one.text],
            float(row["label"]) if one.numbers else str(row["label"]),
        )
        for row in rows
        if row["label"] is not None
    ]
