"""Losses over vectors: InfoNCE within a batch, CoSENT for graded pairs, and those of learning from a teacher."""

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
        hidden: bool `[q, n]`, true where a document is not a negative of a query, since it answers it too.
        temperature: The divisor of cosines.
        symmetric: Average with the same loss from documents to queries; a document's other queries are not negatives.
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


def match_vectors(vectors: Tensor, taught: Tensor, projection: Tensor, /) -> Tensor:
    """Return the mean of 1 - cosine between projected vectors and a teacher's.

    Args:
        vectors: `[n, w]`, the first numbers of vectors of width d, w <= d.
        taught: `[n, t]`, the teacher's.
        projection: `[t, d]`; its first w columns are used, so that one serves all widths.
    """
    projected = F.linear(vectors, projection[:, : vectors.shape[1]])
    return 1 - F.cosine_similarity(projected, taught, dim=-1).mean()


def match_similarities(vectors: Tensor, taught: Tensor, temperature: float, taught_temperature: float, /) -> Tensor:
    """Return how far the similarities within a batch are from a teacher's: the mean KL divergence over texts.

    Of each text, the cosines to the others are a distribution by softmax, at the teacher's temperature and at the
    model's: the cosines themselves may lie in another range (Fang et al. 2021, "SEED").

    Args:
        vectors: `[n, w]`.
        taught: `[n, t]`, the teacher's.
        temperature: What the model's cosines are divided by.
        taught_temperature: What the teacher's are divided by.
    """
    if len(vectors) < 3:  # one other text: nothing to choose between
        return vectors.sum() * 0.0
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    return _divergence(_cosines(vectors, vectors) / temperature, _cosines(taught, taught) / taught_temperature, itself)


def match_rankings(
    queries: Tensor,
    documents: Tensor,
    taught: tuple[Tensor, Tensor],
    hidden: Tensor,
    temperature: float,
    taught_temperature: float,
    /,
) -> Tensor:
    """Return the mean KL divergence of each query's distribution over documents from a teacher's: soft labels.

    Args:
        queries: `[q, w]`.
        documents: `[n, w]`.
        taught: The teacher's vectors of queries and documents, `[q, t]` and `[n, t]`.
        hidden: bool `[q, n]`, documents that are left out of a query's distribution.
        temperature: What the model's cosines are divided by.
        taught_temperature: What the teacher's are divided by.
    """
    return _divergence(_cosines(queries, documents) / temperature, _cosines(*taught) / taught_temperature, hidden)


def also_answers(taught: tuple[Tensor, Tensor], owner: Tensor, margin: float, /) -> Tensor:
    """Return bool `[q, n]`: documents that a teacher finds as near to a query as `margin` times its own, or nearer.

    Args:
        taught: The teacher's vectors of queries and documents.
        owner: int64 `[q]`, each query's document, which is never among them.
        margin: Share of the cosine of the query's own document.
    """
    cosines = _cosines(*taught)
    own = cosines.gather(1, owner[:, None])
    near = cosines >= own * margin
    return near.scatter(1, owner[:, None], False)


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    return F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).mT


def _divergence(scores: Tensor, taught: Tensor, hidden: Tensor) -> Tensor:
    """Return the mean over rows of KL(softmax(taught) || softmax(scores)); what is hidden is in neither."""
    lowest = torch.finfo(scores.dtype).min
    goal = F.softmax(taught.masked_fill(hidden, lowest), dim=-1)
    return F.kl_div(F.log_softmax(scores.masked_fill(hidden, lowest), dim=-1), goal, reduction="batchmean")
