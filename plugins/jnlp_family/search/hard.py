"""JaQuAD's training questions with the passages that full text ranks high for them but that do not answer."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from jnlp.training.embedder.pairs import Pair
from jnlp_family.search.jaquad import questions
from jnlp_family.search.material import rows
from jnlp_family.search.measure import full_text, limit_questions
from jnlp_family.similarity import Split

if TYPE_CHECKING:
    from pathlib import Path

BEST, KEPT = 12, 4
"""Passages by full text that are looked at, and negatives of a question at most."""


def asked(data: Path, /, *, most: int = 0) -> list[Pair]:
    """Return pairs of question and passage; negatives contain none of the question's answers.

    Args:
        data: The data folder.
        most: Maximum number of questions, for a trial; 0 is all.
    """
    task = limit_questions(questions(data, Split.TRAIN), most)
    answers: dict[str, set[str]] = defaultdict(set)
    for row in rows(data / "tasks/jaquad/train.jsonl.xz"):
        answers[row["question"]].update(answer["text"] for answer in row["answers"])
    found = []
    for query, relevant, scores in zip(task.queries, task.relevant, full_text(task)[1], strict=True):
        best = sorted(scores, key=lambda passage: -scores[passage])[:BEST]
        wrong = [
            task.passages[at]
            for at in best
            if at != relevant and not any(answer in task.passages[at] for answer in answers[query])
        ]
        found.append(Pair(query, task.passages[relevant], tuple(wrong[:KEPT])))
    return found
