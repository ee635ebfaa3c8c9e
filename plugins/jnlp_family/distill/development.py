"""What shows how far a student is: questions of the development articles, and graded pairs of the development part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.encoder.vectors import unit
from jnlp.training.metrics import spearman
from jnlp.training.retrieval import ndcg_at, ranks
from jnlp_family.distill.states import LONGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Floats = NDArray[np.float32]

_FILE = "development.npz"
PARTS = ("queries", "passages", "first", "second")
"""The texts."""


@dataclass(frozen=True, slots=True)
class Development:
    """Texts as ids, with special tokens, and what is right.

    Args:
        texts: The ids of `queries`, `passages`, and the `first` and `second` sentences of pairs.
        relevant: The passage of each query.
        grades: Of the pairs.
    """

    texts: dict[str, list[Ids]]
    relevant: Ids
    grades: Floats

    def scores(self, embed: Callable[[Sequence[Ids]], Floats], /) -> dict[str, float]:
        """Return nDCG@10 of the questions over the passages, and Spearman's correlation of the pairs' cosines."""
        found = {name: unit(embed(ids)) for name, ids in self.texts.items()}
        ranked = ranks(found["queries"], found["passages"], self.relevant)
        cosines = (found["first"] * found["second"]).sum(axis=1)
        return {"ndcg@10": float(ndcg_at(ranked, 10).mean()), "spearman": spearman(cosines, self.grades)}


def write(data: Path, encode: Callable[[Sequence[str]], list[Ids]], out: Path, /, *, most: int | None) -> None:
    """Write the development questions and pairs into a folder.

    Args:
        data: The data folder.
        encode: Turns texts into ids without special tokens.
        out: The folder.
        most: Maximum number of questions and of pairs; None is all.
    """
    from jnlp_family.search.jaquad import questions
    from jnlp_family.search.train import graded_pairs
    from jnlp_family.similarity import Split

    task, pairs = questions(data, Split.DEVELOPMENT), graded_pairs(data, Split.DEVELOPMENT)[:most]
    sides = ([pair.first for pair in pairs], [pair.second for pair in pairs])
    ids = {
        name: [np.concatenate([[1], own[: LONGEST - 2], [2]]) for own in encode(texts)]
        for name, texts in zip(PARTS, (task.queries[:most], task.passages, *sides), strict=True)
    }
    save(out, ids, np.array(task.relevant[:most]), np.array([pair.score for pair in pairs], np.float32))


def save(out: Path, texts: Mapping[str, Sequence[Ids]], relevant: Ids, grades: Floats, /) -> None:
    """Write a `Development` into a folder; its arguments are described there."""
    content: dict[str, Any] = {"relevant": relevant, "grades": grades}
    for name, ids in texts.items():
        content[name] = np.concatenate(ids).astype(np.uint16)
        content[f"{name}_lengths"] = np.array([len(own) for own in ids], np.int64)
    np.savez(out / _FILE, **content)


def read(folder: Path, /) -> Development:
    """Return what `write` wrote."""
    with np.load(folder / _FILE) as stored:
        texts = {
            name: np.split(stored[name].astype(np.int64), np.cumsum(stored[f"{name}_lengths"])[:-1]) for name in PARTS
        }
        return Development(texts, stored["relevant"], stored["grades"])
