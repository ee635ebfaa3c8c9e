"""How well questions are ranked by the hybrid's scores, by a reranker's and by both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.training.retrieval import NOT_FOUND, ndcg_at
from jnlp_family.rerank.material import Asked
from jnlp_search.options import Retriever

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

BEST = 10

KEPT = {Retriever.HYBRID: (0, 1, 2), Retriever.LEXICAL: (0, 1), Retriever.DENSE: (0, 2)}
"""Which of a passage's signals there are, by retriever: the logit, and the shares of BM25 and of the cosine."""

ABSENT = 5, 2
"""Of so many questions, how many are asked without the right passage, for what a score means: as for `search.json`."""


def ndcg(asked: Asked, scores: Floats, /) -> float:
    """Return nDCG@10 of a ranking by scores `[q, c]`; ties count against the right passage."""
    return float(ndcg_at(_ranks(asked, scores), BEST).mean())


def _ranks(asked: Asked, scores: Floats) -> NDArray[np.int64]:
    own = np.take_along_axis(scores, np.maximum(asked.right, 0)[:, None], axis=1)
    ranks = ((scores >= own) & (asked.passages >= 0)).sum(axis=1)
    return np.where(asked.right >= 0, ranks, NOT_FOUND)


def by_rank(asked: Asked, /) -> Floats:
    """Return scores that leave the order as it is."""
    return -np.broadcast_to(np.arange(asked.passages.shape[1], dtype=np.float32), asked.passages.shape)


def signals(asked: Asked, logits: Floats, /) -> Floats:
    """Return the signals of passages, `[q, c, 3]`."""
    return np.concatenate([logits[:, :, None], asked.shares], axis=2)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on development questions.

    Args:
        hybrid, reranked, mixed: nDCG@10; the mixture of each half has the weights of the other half.
        weights: Of the three signals, fitted on all.
    """

    hybrid: float
    reranked: float
    mixed: float
    weights: tuple[float, ...]


def measure(asked: Asked, logits: Floats, /) -> Measured:
    """Measure a reranker's logits `[q, c]`."""
    values = signals(asked, logits)
    half = np.arange(len(asked)) % 2 == 0
    mixed = np.zeros_like(logits)
    for own in (half, ~half):
        mixed[own] = values[own] @ fit_mixture(asked.some(np.flatnonzero(~own)), values[~own])
    weights = fit_mixture(asked, values)
    return Measured(
        ndcg(asked, by_rank(asked)), ndcg(asked, logits), ndcg(asked, mixed), tuple(map(float, weights.round(4)))
    )


def mixtures(asked: Asked, logits: Floats, /) -> dict[str, list[float]]:
    """Return the weights of `jnlp_search.query.relevance.SIGNALS` by retriever, as `rerank.json` has them.

    The mixture ranks the right passages best; its scale and shift make it the logit of the share of first hits that
    are right, where two questions in five have no right passage. Other retrievers than the hybrid are fitted on its
    passages.
    """
    few, values = lacking(asked, signals(asked, logits))
    found: dict[str, list[float]] = {}
    for retriever, kept in KEPT.items():
        weights = fit_mixture(asked, signals(asked, logits)[:, :, kept])
        scale, shift = calibration(*firsts(few, values[:, :, kept] @ weights))
        own = dict(zip(kept, (scale * weights).tolist(), strict=True))
        found[retriever.value] = [round(own.get(at, 0.0), 4) for at in range(3)] + [round(shift, 4)]
    return found


def lacking(asked: Asked, values: Floats, /) -> tuple[Asked, Floats]:
    """Return questions of which some lack the right passage, with the shares scaled to the passages that are left.

    Args:
        asked: The questions.
        values: Their signals, `[q, c, 3]`.
    """
    among, without = ABSENT
    gone = (np.arange(len(asked)) % among < without) & (asked.right >= 0)
    passages, right, changed = asked.passages.copy(), np.where(gone, -1, asked.right), values.copy()
    passages[gone, asked.right[gone]] = -1
    there = passages >= 0
    shares = np.where(there[:, :, None], values[:, :, 1:], 0.0)
    best = np.maximum(shares.max(axis=1, keepdims=True), 1e-6)
    changed[gone, :, 1:] = (shares / best)[gone]
    return Asked(asked.questions, passages, asked.starts, right, changed[:, :, 1:]), changed


def firsts(asked: Asked, logits: Floats, /) -> tuple[Asked, Floats]:
    """Return the questions with the passage of the largest logit alone, and that logit, `[q, 1]`."""
    best = np.where(asked.passages >= 0, logits, -np.inf).argmax(axis=1)
    at = np.arange(len(asked)), best
    passages, starts, shares = (table[at][:, None] for table in (asked.passages, asked.starts, asked.shares))
    right = np.where(best == asked.right, 0, -1)
    return Asked(asked.questions, passages, starts, right, shares), logits[at][:, None]


def fit_mixture(asked: Asked, values: Floats, /) -> Floats:
    """Return the weights of signals `[q, c, s]` with which the right passages are likeliest, by a softmax."""
    known = asked.right >= 0
    mask = torch.from_numpy(asked.passages[known] < 0)
    rows, right = torch.from_numpy(values[known]).double(), torch.from_numpy(asked.right[known])
    weights = torch.zeros(rows.shape[2], dtype=torch.double, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        found = F.cross_entropy((rows @ weights).masked_fill(mask, -1e9), right) + 1e-4 * weights.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach().float().numpy()


def calibration(asked: Asked, logits: Floats, /) -> tuple[float, float]:
    """Return scale and shift with which the sigmoid of a logit `[q, c]` is the share of right ones among such."""
    there = asked.passages >= 0
    right = torch.from_numpy((np.arange(logits.shape[1])[None, :] == asked.right[:, None])[there]).double()
    values = torch.from_numpy(logits[there]).double()
    line = torch.tensor([1.0, 0.0], dtype=torch.double, requires_grad=True)
    solver = torch.optim.LBFGS([line], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        found = F.binary_cross_entropy_with_logits(values * line[0] + line[1], right)
        found.backward()  # type: ignore[no-untyped-call]
        return found

    solver.step(loss)  # type: ignore[no-untyped-call]
    scale, shift = line.detach().tolist()
    return float(scale), float(shift)
