"""The matrix products of a layer for inference: oneDNN's if torch has them, else plain ones.

oneDNN's products use weights that were reordered once, while a plain product reorders them in each call. They also add,
multiply or apply GELU before the result leaves the cache. This gives a tenth more tokens per second in batches of short
texts, up to a quarter more for a single text, and no change for long ones (docs/log.md). The operators are private to
torch, so they are tested on small matrices before use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from jnlp.encoder.modernbert import Layer

TOKENS = 1024
"""The number of tokens that oneDNN optimises the weights' order for; other numbers work too."""


@dataclass(frozen=True, slots=True)
class Linears:
    """The linear modules of a layer: to queries, keys and values, back from attention, up to the gated MLP, down."""

    project: nn.Linear
    out: nn.Linear
    up: nn.Linear
    down: nn.Linear

    @classmethod
    def of(cls, layer: Layer, /) -> Self:
        """Return those of a layer."""
        return cls(layer.attn.Wqkv, layer.attn.Wo, layer.mlp.Wi, layer.mlp.Wo)


class Products(Protocol):
    """The products of tokens `[T, …]` with a layer's weights."""

    def project(self, x: Tensor, /) -> Tensor:
        """Return queries, keys and values `[T, 3 d]`."""
        ...

    def out(self, attended: Tensor, residual: Tensor, /) -> Tensor:
        """Return the projection of the attention's output, plus the residual stream `[T, d]`."""
        ...

    def gated(self, x: Tensor, /) -> Tensor:
        """Return GELU of the first half of the up projection times its second half `[T, intermediate]`."""
        ...

    def down(self, inner: Tensor, residual: Tensor, /) -> Tensor:
        """Return the down projection, plus the residual stream `[T, d]`."""
        ...


class DirectProducts:
    """The products by public operators, with the model's own weights."""

    def __init__(self, linears: Linears, /) -> None:
        self._linears = linears

    def project(self, x: Tensor, /) -> Tensor:
        """See `Products`."""
        linear = self._linears.project
        return F.linear(x, linear.weight, linear.bias)

    def out(self, attended: Tensor, residual: Tensor, /) -> Tensor:
        """See `Products`."""
        linear = self._linears.out
        return F.linear(attended, linear.weight, linear.bias).add_(residual)

    def gated(self, x: Tensor, /) -> Tensor:
        """See `Products`."""
        linear = self._linears.up
        inner, gate = F.linear(x, linear.weight, linear.bias).chunk(2, dim=-1)
        return F.gelu(inner).mul_(gate)

    def down(self, inner: Tensor, residual: Tensor, /) -> Tensor:
        """See `Products`."""
        linear = self._linears.down
        return F.linear(inner, linear.weight, linear.bias).add_(residual)


class ReorderedProducts:
    """The products by oneDNN, on a CPU without gradients; it holds reordered copies of the weights."""

    def __init__(self, linears: Linears, /) -> None:
        (self._project,), (self._out,), (self._down,) = map(_reorder, (linears.project, linears.out, linears.down))
        self._inner, self._gate = _reorder(linears.up, parts=2)

    def project(self, x: Tensor, /) -> Tensor:
        """See `Products`."""
        return _pointwise(x, *self._project, "none", [], "")

    def out(self, attended: Tensor, residual: Tensor, /) -> Tensor:
        """See `Products`."""
        return _pointwise(attended, residual, *self._out, "add")

    def gated(self, x: Tensor, /) -> Tensor:
        """See `Products`."""
        return _pointwise(x, _pointwise(x, *self._inner, "gelu", [], "none"), *self._gate, "mul")

    def down(self, inner: Tensor, residual: Tensor, /) -> Tensor:
        """See `Products`."""
        return _pointwise(inner, residual, *self._down, "add")


def _reorder(linear: nn.Linear, parts: int = 1) -> list[tuple[Tensor, Tensor | None]]:
    """Return a linear module's weights, in parts by its outputs, in oneDNN's order; with the biases."""
    biases = [None] * parts if linear.bias is None else [bias.contiguous() for bias in linear.bias.chunk(parts)]
    order = torch.ops.mkldnn._reorder_linear_weight
    return [
        (order(part.contiguous(), TOKENS), bias) for part, bias in zip(linear.weight.chunk(parts), biases, strict=True)
    ]


def _pointwise(*arguments: Any) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(*arguments)
    return result


@cache
def reorders(dtype: torch.dtype, /) -> bool:
    """Return True if this torch has oneDNN's products, and they give the same results as plain ones."""
    with torch.inference_mode():
        linears = Linears(*(_linear(outputs, 32, dtype) for outputs in (96, 32, 64, 32)))
        x, residual = _numbers(16, 32).to(dtype), _numbers(16, 32).flip(0).to(dtype)
        try:
            found = _all(ReorderedProducts(linears), x, residual)
        except (AttributeError, RuntimeError, NotImplementedError, TypeError):
            return False
        wanted = _all(DirectProducts(linears), x, residual)
    tolerance = 4 * torch.finfo(dtype).eps
    return all(torch.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in zip(found, wanted, strict=True))


def _all(products: Products, x: Tensor, residual: Tensor) -> list[Tensor]:
    made = products.project(x), products.out(x, residual), products.gated(x), products.down(x, residual)
    return [each.float() for each in made]


def _linear(outputs: int, inputs: int, dtype: torch.dtype) -> nn.Linear:
    """Return a linear module of a few small numbers that bf16 holds exactly."""
    linear = nn.Linear(inputs, outputs, device="meta")
    linear.weight = nn.Parameter(_numbers(outputs, inputs).to(dtype), requires_grad=False)
    linear.bias = nn.Parameter(_numbers(1, outputs)[0].to(dtype), requires_grad=False)
    return linear


def _numbers(count: int, width: int) -> Tensor:
    return ((torch.arange(count * width) * 37 % 17 - 8) / 16).view(count, width)
