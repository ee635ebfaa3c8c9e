"""Token embeddings from the corpus's own co-occurrence counts: PPMI and a truncated SVD.

A short run spends much of its compute on learning which pieces are similar. Counts give that in seconds (Levy and
Goldberg 2014, "Neural word embedding as implicit matrix factorization").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from jnlp_pretrain.tokenizer_train import SPECIAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jnlp_pretrain.shards import Shard

_BLOCK = 1 << 21
_SMOOTHING = 0.75  # of context counts: rare contexts would otherwise have the largest PMI


def piece_counts(shards: Sequence[Shard], vocabulary: int) -> NDArray[np.int64]:
    """Return how often each piece occurs in the shards, int64 `[vocabulary]`."""
    counts = np.zeros(vocabulary, np.int64)
    for shard in shards:
        for start in range(0, len(shard.tokens), _BLOCK):  # a count makes int64 of what it is given
            counts += np.bincount(shard.tokens[start : start + _BLOCK], minlength=vocabulary)
    return counts


def log_unigram(counts: NDArray[np.int64]) -> Tensor:
    """Return log frequencies `[vocabulary]` with half a count added to each piece: a decoder's initial bias."""
    smoothed = counts + 0.5
    return torch.from_numpy(np.log(smoothed / smoothed.sum())).float()


def cooccurrence_embeddings(
    shards: Sequence[Shard],
    vocabulary: int,
    width: int,
    *,
    std: float,
    window: int = 4,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return embeddings `[vocabulary, width]` whose rows have the root mean square `std`.

    Rows of pieces that do not occur, and of special tokens, are random. It needs 8 bytes for each pair of pieces
    for a short while (3 GB with 20,000) on `device`, where the sums are computed.
    """
    generator = torch.Generator().manual_seed(seed)
    counts = _pair_counts([np.asarray(shard.tokens) for shard in shards], vocabulary, window, device)
    seen = (counts.sum(1) > 0).cpu()
    vectors = _truncated_svd(_ppmi_(counts), width, generator).cpu()
    seen[: len(SPECIAL)] = False
    noise = torch.randn(vocabulary, width, generator=generator)
    vectors = torch.where(seen[:, None], vectors - vectors[seen].mean(0), noise)
    return vectors * (std / vectors.pow(2).mean(1, keepdim=True).sqrt().clamp(min=1e-8))


def _pair_counts(
    rows: Sequence[NDArray[Any]], vocabulary: int, window: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Count pairs at a distance up to `window`, weighted by 1 / distance, in both directions."""
    counts = torch.zeros(vocabulary * vocabulary, device=device)
    for row in rows:
        for start in range(0, len(row), _BLOCK):
            block = torch.from_numpy(row[start : start + _BLOCK + window].astype(np.int64)).to(device)
            for distance in range(1, window + 1):
                pairs = block[:-distance] * vocabulary + block[distance:]
                counts.index_add_(0, pairs, torch.tensor(1.0 / distance, device=device).expand(len(pairs)))
    table = counts.view(vocabulary, vocabulary)
    return table + table.T


def _ppmi_(counts: Tensor) -> Tensor:
    """Turn counts into positive pointwise mutual information, in place."""
    rows = counts.sum(1, keepdim=True).clamp(min=1e-8)
    contexts = counts.sum(0).pow(_SMOOTHING)
    contexts = (contexts / contexts.sum()).clamp(min=1e-12)
    return counts.div_(rows).div_(contexts).log_().clamp_(min=0)


def _truncated_svd(matrix: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """Return U sqrt(S) of a symmetric matrix, by subspace iteration (Halko et al. 2011, algorithm 4.4)."""
    basis = torch.randn(len(matrix), min(width + 32, len(matrix)), generator=generator).to(matrix.device)
    for _ in range(4):
        basis = torch.linalg.qr(matrix @ basis).Q
    left, values, _ = torch.linalg.svd(basis.T @ matrix @ basis)
    return cast("Tensor", (basis @ left)[:, :width] * values[:width].sqrt())
