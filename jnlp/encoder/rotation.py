"""Rotary position embeddings: the angles of every position, and the rotation for attention in plain torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

SLICE = 1024
"""Tokens rotated at a time, so that the fp32 intermediates stay in the caches."""


def angles(positions: Tensor, head_dim: int, theta: float, /) -> Tensor:
    """Return the rotation angles of a head's components, fp32 `[T, head_dim / 2]`."""
    steps = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    return positions[:, None].float() * (1.0 / theta**steps)


@dataclass(frozen=True, slots=True)
class RotationTable:
    """The rotations of every position within a sequence.

    Args:
        cos: The cosines of the angles, fp32 `[positions, head_dim / 2]`.
        sin: The sines.
        turns: cos + i sin, for queries (divided by the root of the head size) and for keys, complex
            `[positions, 2, 1, head_dim / 2]`.
    """

    cos: Tensor
    sin: Tensor
    turns: Tensor

    @classmethod
    def of(cls, theta: float, head_dim: int, positions: int, /) -> RotationTable:
        """Return the rotations of at least `positions` positions; cached between batches."""
        return _table(theta, head_dim, max(512, 1 << (positions - 1).bit_length()))

    def turn(self, qk: Tensor, positions: Tensor, /) -> Tensor:
        """Rotate queries and keys in fp32, and divide the queries by the square root of the head size.

        Component i is paired with i + head_dim / 2. In the result the two are adjacent. The order is the same for
        queries and keys, so their products equal those of `ModernBert`.

        Args:
            qk: `[T, 2, heads, head_dim]`.
            positions: int64 `[T]`.

        Returns:
            `[2, heads, T, head_dim]`, contiguous, in the dtype of qk.
        """
        total, _, heads, size = qk.shape
        out = torch.empty(2, heads, total, size, dtype=qk.dtype)
        parts = torch.split(qk, SLICE), torch.split(positions, SLICE), torch.split(out, SLICE, dim=2)
        for part, at, to in zip(*parts, strict=True):
            pairs = torch.complex(*part.float().chunk(2, dim=-1)).mul_(self.turns.index_select(0, at))
            to.copy_(torch.view_as_real(pairs).flatten(-2).permute(1, 2, 0, 3))
        return out


@lru_cache(maxsize=8)
def _table(theta: float, head_dim: int, positions: int) -> RotationTable:
    with torch.inference_mode(False):
        turned = angles(torch.arange(positions), head_dim, theta)
        cos, sin = turned.cos(), turned.sin()
        turns = torch.complex(cos, sin)
        return RotationTable(cos, sin, torch.stack((turns * head_dim**-0.5, turns), dim=1).unsqueeze(2))
