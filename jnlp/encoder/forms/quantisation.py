"""Weights and activations in int8: a scale for each output of a layer, and one for each token.

The products are exact in int32. `forms.int8` and the compiled kernels both quantise by these functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

LARGEST = 127
"""The largest quantised number; -128 is not used, so that a vector and its negative quantise symmetrically."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """A linear layer in int8.

    Args:
        weight: int8 `[outputs, inputs]`.
        scale: fp32 `[outputs]`, the value of a quantised 1.
        bias: fp32 `[outputs]`, or None.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None = None

    @classmethod
    def of(cls, linear: nn.Linear, /) -> Quantised:
        """Quantise a layer's weights, with a scale for each output."""
        weight, scale = quantise(linear.weight.float())
        return cls(weight, scale[:, 0], None if linear.bias is None else linear.bias.float())

    @classmethod
    def from_parts(cls, held: dict[str, Tensor], name: str, /) -> Quantised:
        """Return the layer whose parts are stored under a name."""
        return cls(held[f"{name}.weight"], held[f"{name}.scale"], held.get(f"{name}.bias"))

    def __call__(self, x: Tensor, /) -> Tensor:
        """Return the layer's output for x `[T, inputs]`, quantised token by token, in fp32."""
        tokens, scale = quantise(x.float())
        y = _product()(tokens, self.weight.T) * scale * self.scale
        return y if self.bias is None else y + self.bias


def quantise(x: Tensor, /) -> tuple[Tensor, Tensor]:
    """Return an fp32 matrix in int8, and the scale of each row, `[rows, 1]`."""
    scale = x.abs().amax(dim=1, keepdim=True).clamp_(min=1e-20) / LARGEST
    return (x / scale).round_().to(torch.int8), scale


@cache
def _product() -> Callable[[Tensor, Tensor], Tensor]:
    """Return torch's int8 product if this torch has it and it is correct; else a product in fp32.

    The operator is private to torch, so it is tested on a small matrix first.
    """
    numbers = (torch.arange(32 * 32) * 37 % 255 - LARGEST).view(32, 32)
    one, other = numbers.to(torch.int8), numbers.flip(0).to(torch.int8)
    try:
        agree = torch.equal(_exact(one, other.T), _product_in_fp32(one, other.T))
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):
        agree = False
    return _exact if agree else _product_in_fp32


def _exact(a: Tensor, b: Tensor) -> Tensor:
    """Multiply two int8 matrices, sums in int32; the product in fp32."""
    return torch._int_mm(a, b).float()


def _product_in_fp32(a: Tensor, b: Tensor) -> Tensor:
    """Multiply two int8 matrices in fp32, exact as long as sums stay under 2^24."""
    return a.float() @ b.float()
