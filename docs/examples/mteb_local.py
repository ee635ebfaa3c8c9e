"""Measures a model of jnlp with MTEB, on a task of your own: pairs of sentences with scores from 0 to 5.

Needs `pip install mteb`. With `mteb.get_tasks(tasks=["JSTS"])` instead of `LocalPairs()`, MTEB fetches its own data.
"""

from __future__ import annotations

import sys

import mteb
from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata

import jnlp

PAIRS = [
    ("犬が公園を走っている。", "公園で犬が走っています。", 5.0),
    ("男性がギターを弾いている。", "男の人が楽器を演奏している。", 3.5),
    ("女性が料理をしている。", "女性が台所に立っている。", 2.5),
    ("電車が駅に着いた。", "子供が本を読んでいる。", 0.0),
]


class LocalPairs(AbsTaskSTS):
    """Pairs that lie in this file; yours may come from anywhere."""

    metadata = TaskMetadata(
        name="LocalPairs",
        description="Pairs of sentences with scores",
        dataset={"path": "local", "revision": "1"},
        type="STS",
        eval_splits=["test"],
        eval_langs=["jpn-Jpan"],
        main_score="cosine_spearman",
    )
    min_score, max_score = 0, 5

    def load_data(self, **_: object) -> None:
        """Put the pairs where MTEB looks for them."""
        first, second, scores = zip(*PAIRS, strict=True)
        rows = Dataset.from_dict({"sentence1": first, "sentence2": second, "score": scores})
        self.dataset, self.data_loaded = DatasetDict({"test": rows}), True


if __name__ == "__main__":
    model = jnlp.sentence_transformer(sys.argv[1] if len(sys.argv) > 1 else "tiny-search")
    found = mteb.evaluate(model, LocalPairs(), cache=None, show_progress_bar=False)
    for result in found.task_results:
        sys.stdout.write(f"{result.task_name} {result.get_score():.4f}\n")
