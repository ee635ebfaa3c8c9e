"""The splits of JaQuAD: articles for training, for selection, and for the final table.

Fusion weights, epochs and options are selected on `DEVELOPMENT`, a tenth of the train split's articles that `TRAIN`
excludes; never on `FINAL`. The pre-training text of `tiny` contains all train articles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp_family.similarity import split_rows

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp_family.similarity import Split


@dataclass(frozen=True, slots=True)
class Retrieval:
    """A retrieval task: passages, queries, and for each query the index of its one relevant passage.

    Args:
        passages: Each passage once, in the order of the file.
        queries: The questions.
        relevant: Numbers of passages, one a question.
    """

    passages: tuple[str, ...]
    queries: tuple[str, ...]
    relevant: tuple[int, ...]


def questions(data: Path, split: Split, /) -> Retrieval:
    """Return JaQuAD's questions of a split over all contexts of that split.

    Raises:
        JnlpError: The data is not there.
    """
    passages: dict[str, int] = {}
    asked: list[tuple[str, int]] = []
    for row in split_rows(data / "tasks/jaquad", split, extension=".jsonl.xz", key="title"):
        asked.append((row["question"], passages.setdefault(row["context"], len(passages))))
    queries, relevant = zip(*asked, strict=True) if asked else ((), ())
    return Retrieval(tuple(passages), queries, relevant)
