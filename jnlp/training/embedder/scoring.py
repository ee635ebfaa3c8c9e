"""The scores of an embedder during training, which select the best epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp.encoder.vectors import unit
from jnlp.training.epochs import SCORE
from jnlp.training.metrics import spearman
from jnlp.training.retrieval import ranks, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jnlp.training.embedder.pair_batches import GradedIds, Ids, PairIds, TextIds
    from jnlp.training.embedder.sequences import SequenceEncoder

MOST_COMPARED = 500
"""Held-out texts whose similarities are compared with the teacher's."""


@dataclass(frozen=True, slots=True)
class Held:
    """The held-out data that selects the epoch.

    Args:
        pairs: Scored by nDCG@10.
        graded: Scored by Spearman's coefficient.
        texts: Scored by Spearman's coefficient between the similarities of all pairs and the teacher's.
    """

    pairs: Sequence[PairIds] = ()
    graded: Sequence[GradedIds] = ()
    texts: Sequence[TextIds] = ()


def evaluate(encoder: SequenceEncoder, held: Held, /) -> dict[str, float]:
    """Return retrieval and rank-correlation figures by set, and `score`, the mean of their main ones."""
    encoder.module.eval()
    figures: dict[str, float] = {}
    main: list[float] = []

    def vectors(sequences: Sequence[Ids]) -> NDArray[np.float32]:
        return unit(encoder.all(sequences).cpu().numpy())

    for data in held.pairs:
        found = summary(_best_ranks(vectors(data.queries), vectors(data.documents), data))
        main.append(found["ndcg@10"])
        figures |= found if len(held.pairs) == 1 else {f"{data.name}/{name}": value for name, value in found.items()}
    for pairs in held.graded:
        main.append(spearman((vectors(pairs.first) * vectors(pairs.second)).sum(axis=1), pairs.grades))
        figures[f"{pairs.name}/spearman"] = main[-1]
    for texts in held.texts:
        main.append(_agreement(vectors(texts.texts[:MOST_COMPARED]), texts.taught[:MOST_COMPARED]))
        figures[f"{texts.name}/agreement"] = main[-1]
    return figures | {SCORE: float(np.mean(main))} if main else {}


def _agreement(ours: NDArray[np.float32], taught: NDArray[np.float32]) -> float:
    """Return Spearman's coefficient between the cosines of all pairs of texts and the teacher's."""
    upper = np.triu_indices(len(ours), 1)
    return spearman((ours @ ours.T)[upper], (taught @ taught.T)[upper])


def _best_ranks(queries: NDArray[np.float32], documents: NDArray[np.float32], data: PairIds) -> NDArray[np.int64]:
    """Return the rank of each query's best document: several may answer it."""
    found = ranks(queries, documents, data.owner)
    for row, positives in enumerate(data.positives):
        for other in positives - {int(data.owner[row])}:
            found[row] = min(found[row], int(ranks(queries[row : row + 1], documents, np.array([other]))[0]))
    return found
