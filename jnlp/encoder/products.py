"""The matrix products of a layer for inference: oneDNN's with their epilogues fused where torch has them, else plain.

A fused product adds, multiplies or applies GELU before its result leaves the cache, from the weights as they are
stored: reordering these ahead (`_reorder_linear_weight`) gains under 3 % more from 512 tokens up and would keep them
twice. The operator is private to torch, so that it is tried on a small matrix before it is used.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

if TYPE_CHECKING:
    from torch import Tensor, nn


class Products(Protocol):
    """Products of x `[T, d]` with a linear module's weights."""

    def added(self, x: Tensor, linear: nn.Linear, residual: Tensor, /) -> Tensor:
        """Return `linear(x) + residual`."""
        ...

    def gated(self, x: Tensor, linear: nn.Linear, /) -> Tensor:
        """Return GELU of the first half of `linear(x)` times its second half."""
        ...


class Plain:
    """The products by public operators."""

    def added(self, x: Tensor, linear: nn.Linear, residual: Tensor, /) -> Tensor:
        """Return `linear(x) + residual`."""
        return F.linear(x, linear.weight, linear.bias).add_(residual)

    def gated(self, x: Tensor, linear: nn.Linear, /) -> Tensor:
        """Return GELU of the first half of `linear(x)` times its second half."""
        inner, gate = F.linear(x, linear.weight, linear.bias).chunk(2, dim=-1)
        return F.gelu(inner).mul_(gate)


class Fused:
    """The products by oneDNN with fused epilogues: CPU, no gradients."""

    def added(self, x: Tensor, linear: nn.Linear, residual: Tensor, /) -> Tensor:
        """Return `linear(x) + residual`."""
        return _pointwise(x, residual, linear.weight, linear.bias, "add")

    def gated(self, x: Tensor, linear: nn.Linear, /) -> Tensor:
        """Return GELU of the first half of `linear(x)` times its second half."""
        inner, gate = linear.weight.chunk(2)
        inner_bias, gate_bias = (None, None) if linear.bias is None else linear.bias.chunk(2)
        activated = _pointwise(x, inner, inner_bias, "gelu", [], "none")
        return _pointwise(x, activated, gate, gate_bias, "mul")


def _pointwise(*arguments: Any) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(*arguments)
    return result


@cache
def products(dtype: torch.dtype, /) -> Products:
    """Return the fused products where this torch has them, and they compute what the plain ones do; else the plain."""
    return Fused() if _agree(Fused(), Plain(), dtype) else Plain()


def _agree(one: Products, other: Products, dtype: torch.dtype) -> bool:
    """Compare on a few small numbers that bf16 holds exactly."""
    with torch.inference_mode():
        linear = torch.nn.Linear(32, 32, device="meta")
        linear.weight = torch.nn.Parameter(_numbers(32, 32).to(dtype), requires_grad=False)
        linear.bias = torch.nn.Parameter(_numbers(1, 32)[0].to(dtype), requires_grad=False)
        x, residual = _numbers(16, 32).to(dtype), _numbers(16, 32).flip(0).to(dtype)
        try:
            pairs = [(made.added(x, linear, residual).float(), made.gated(x, linear).float()) for made in (one, other)]
        except (AttributeError, RuntimeError, NotImplementedError, TypeError):
            return False
    tolerance = 4 * torch.finfo(dtype).eps
    return all(torch.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in zip(*pairs, strict=True))


def _numbers(rows: int, columns: int) -> Tensor:
    return ((torch.arange(rows * columns) * 37 % 17 - 8) / 16).view(rows, columns)
