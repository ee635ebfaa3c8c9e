"""Losses over unit vectors: InfoNCE within a batch, its Matryoshka form, and CoSENT for graded pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def info_nce(
    queries: Tensor, documents: Tensor, owner: Tensor, hidden: Tensor, temperature: float, symmetric: bool, /
) -> Tensor:
    """Return the mean over queries of -log softmax(cosine / temperature) at the query's document (van den Oord 2018).

    Args:
        queries: `[q, d]`, any length.
        documents: `[n, d]`, at least those of the queries; all others are their negatives.
        owner: int64 `[q]`, each query's document.
        hidden: bool `[q, n]`, true where a document is no negative of a query, since it answers it too.
        temperature: What cosines are divided by.
        symmetric: Add the same from documents to queries (a document's other queries are no negatives), halved.
    """
    scores = F.normalize(queries, dim=-1) @ F.normalize(documents, dim=-1).mT / temperature
    scores = scores.masked_fill(hidden, float("-inf"))
    loss = F.cross_entropy(scores, owner)
    if not symmetric:
        return loss
    siblings = owner[:, None] == owner
    siblings.fill_diagonal_(False)
    back = scores.mT[owner].masked_fill(siblings, float("-inf"))  # row i: the document of query i against all queries
    return (loss + F.cross_entropy(back, torch.arange(len(owner), device=owner.device))) / 2


def cosent(first: Tensor, second: Tensor, grades: Tensor, temperature: float, /) -> Tensor:
    """Return log(1 + sum of exp((cos_i - cos_j) / temperature)) over all i, j whose grades say cos_i < cos_j.

    CoSENT (Su 2022), the pairwise ranking loss of sentence-transformers.
    """
    cosines = F.cosine_similarity(first, second, dim=-1) / temperature
    wrong = cosines[:, None] - cosines
    wrong = wrong.masked_fill(grades[:, None] >= grades, float("-inf")).flatten()
    return torch.logsumexp(torch.cat([wrong.new_zeros(1), wrong]), dim=0)


def matryoshka(dimensions: Sequence[int], width: int, /) -> tuple[int, ...]:
    """Return the widths at which a loss is taken: the full one and those asked for, widest first (Kusupati 2022)."""
    return tuple(sorted({width, *(d for d in dimensions if d < width)}, reverse=True))
