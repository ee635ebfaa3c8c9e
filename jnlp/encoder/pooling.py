"""Pools token states to one vector for each sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from jnlp.types import Pooling

if TYPE_CHECKING:
    from torch import Tensor

    from jnlp.encoder.packing import Packed


def pool(states: Tensor, packed: Packed, pooling: Pooling, /) -> Tensor:
    """Return one vector for each sequence: states `[T, d]` to `[B, d]`.

    The mean is over all tokens, including special and prefix tokens, computed and returned in fp32. `cls` is the first
    token's state.
    """
    if pooling is Pooling.CLS:
        return states[packed.starts]
    return torch.segment_reduce(states.float(), "mean", lengths=packed.cu_seqlens.diff().long(), unsafe=True)
