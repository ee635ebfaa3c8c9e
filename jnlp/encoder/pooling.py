"""Pools token states to one vector for each sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from jnlp.encoder.packing import send
from jnlp.types import Pooling

if TYPE_CHECKING:
    from torch import Tensor

    from jnlp.encoder.packing import Packed

PIECE = 128
"""Tokens that a GPU adds up one after another, so that a long sequence keeps many of its threads busy."""


def pool(states: Tensor, packed: Packed, pooling: Pooling, /) -> Tensor:
    """Return one vector for each sequence: states `[T, d]` to `[B, d]`.

    The mean is over all tokens, including special and prefix tokens, computed and returned in fp32. `cls` is the first
    token's state.
    """
    if pooling is Pooling.CLS:
        return states[packed.starts]
    if states.is_cuda and max(packed.lengths) > PIECE:
        return mean_of_pieces(states, packed)
    return torch.segment_reduce(states.float(), "mean", lengths=packed.cu_seqlens.diff().long(), unsafe=True)


def mean_of_pieces(states: Tensor, packed: Packed, /) -> Tensor:
    """Return the mean state of each sequence, added up in pieces first: `segment_reduce` has one thread for a sum."""
    lengths = np.asarray(packed.lengths)
    counts = -(-lengths // PIECE)
    pieces = np.full(counts.sum(), PIECE)
    pieces[counts.cumsum() - 1] = lengths - (counts - 1) * PIECE
    sums = states.float()
    for parts in (pieces, counts):
        sums = torch.segment_reduce(sums, "sum", lengths=send(torch.from_numpy(parts), states.device), unsafe=True)
    return sums / packed.cu_seqlens.diff()[:, None]
