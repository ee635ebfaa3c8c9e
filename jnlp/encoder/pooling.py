"""Token states to one vector a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from jnlp.types import Pooling

if TYPE_CHECKING:
    from torch import Tensor

    from jnlp.encoder.packing import Packed


def pool(states: Tensor, packed: Packed, pooling: Pooling, /) -> Tensor:
    """Return one row a sequence: states `[T, d]` to `[B, d]`.

    The mean is over all tokens, special and prefix tokens included, summed and returned in fp32; `cls` is the first
    token's state as it is.
    """
    if pooling is Pooling.CLS:
        return states[packed.starts]
    return torch.segment_reduce(states.float(), "mean", lengths=packed.cu_seqlens.diff().long(), unsafe=True)
