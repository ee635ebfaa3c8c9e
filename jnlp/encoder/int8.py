"""The encoder in int8 on a CPU: weights with a scale for each output, activations quantised token by token.

What enters a projection is scaled so that its largest component is 127 and rounded; the products are exact in int32.
Norms, the residual row and GELU stay in fp32, attention, embeddings and heads in the model's dtype. The compiled kernel
(`kernels/int8.cpp`) does all that lies between two attentions in one pass; `Plain` does the same by torch's own int8
product, for a machine without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder import kernels
from jnlp.encoder.attention import attend_qkv
from jnlp.encoder.modernbert import ModernBert
from jnlp.encoder.rotation import Rotation

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from jnlp.encoder.checkpoint import Network
    from jnlp.encoder.packing import Packed

LARGEST = 127
"""The largest quantised number; -128 is left out, so that a row and its negative quantise alike."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """A linear layer in int8.

    Args:
        weight: int8 `[outputs, inputs]`.
        scale: fp32 `[outputs]`: what a weight of 1 stands for.
        bias: fp32 `[outputs]`, or None.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None = None

    @classmethod
    def of(cls, linear: nn.Linear, /) -> Quantised:
        """Round a layer's weights, each output by its own largest."""
        weight, scale = quantise(linear.weight.float())
        return cls(weight, scale[:, 0], None if linear.bias is None else linear.bias.float())

    def __call__(self, x: Tensor, /) -> Tensor:
        """Return the layer of x `[T, inputs]`, quantised row by row, in fp32."""
        rows, scale = quantise(x.float())
        y = _product()(rows, self.weight.T) * scale * self.scale
        return y if self.bias is None else y + self.bias


def quantise(x: Tensor, /) -> tuple[Tensor, Tensor]:
    """Return the rows of an fp32 matrix in int8, and what 1 stands for in each, `[rows, 1]`."""
    scale = x.abs().amax(dim=1, keepdim=True).clamp_(min=1e-20) / LARGEST
    return (x / scale).round_().to(torch.int8), scale


@cache
def _product() -> Callable[[Tensor, Tensor], Tensor]:
    """Return torch's int8 product where this torch has it, and it is right; else the same in fp32.

    The operator is private to torch, so that it is tried on a small matrix first.
    """
    rows = (torch.arange(32 * 32) * 37 % 255 - LARGEST).view(32, 32)
    one, other = rows.to(torch.int8), rows.flip(0).to(torch.int8)
    try:
        agree = torch.equal(_exact(one, other.T), _widened(one, other.T))
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):
        agree = False
    return _exact if agree else _widened


def _exact(a: Tensor, b: Tensor) -> Tensor:
    """Multiply two int8 matrices, sums in int32; the product in fp32."""
    return torch._int_mm(a, b).float()


def _widened(a: Tensor, b: Tensor) -> Tensor:
    """Multiply two int8 matrices in fp32, exact as long as sums stay under 2^24."""
    return a.float() @ b.float()


class Rows(Protocol):
    """What an encoder does to its rows between attentions, in place on the residual row x (fp32 `[T, d]`)."""

    def step(self, index: int, x: Tensor, attended: Tensor | None, /) -> Tensor | None:
        """Finish the layer before `index` and begin that layer.

        Args:
            index: From 0 to the number of layers.
            x: The residual row, changed in place.
            attended: What the attention of the layer before answered, `[T, d]`; None before the first.

        Returns:
            Queries, keys and values of layer `index`, `[T, 3 d]`; None after the last.
        """
        ...


class Plain:
    """`Rows` by torch's own operators.

    Args:
        encoder: The model that is quantised.
    """

    def __init__(self, encoder: ModernBert, /) -> None:
        layers: list[Any] = list(encoder.layers)
        self._norms = [(layer.attn_norm, layer.mlp_norm) for layer in layers]
        self._linears = [
            tuple(Quantised.of(x) for x in (layer.attn.Wqkv, layer.attn.Wo, layer.mlp.Wi, layer.mlp.Wo))
            for layer in layers
        ]
        self._dtype = encoder.final_norm.weight.dtype

    def step(self, index: int, x: Tensor, attended: Tensor | None, /) -> Tensor | None:
        """Finish the layer before `index` and begin that layer; see `Rows`."""
        if attended is not None:
            _, out, up, down = self._linears[index - 1]
            x += out(attended)
            inner, gate = up(_normed(x, self._norms[index - 1][1])).chunk(2, dim=-1)
            x += down(F.gelu(inner).mul_(gate))
        if index == len(self._linears):
            return None
        return self._linears[index][0](_normed(x, self._norms[index][0])).to(self._dtype)


def _normed(x: Tensor, norm: nn.Module) -> Tensor:
    """Return a norm of the fp32 row, whatever the dtype of its weights; the first layer has none."""
    if not isinstance(norm, torch.nn.LayerNorm):
        return x
    bias = None if norm.bias is None else norm.bias.float()
    return F.layer_norm(x, norm.normalized_shape, norm.weight.float(), bias, norm.eps)


class Int8:
    """A `ModernBert` in int8 as a function of a packed batch.

    Args:
        encoder: The model, on a CPU.
        rows: What lies between attentions.
    """

    def __init__(self, encoder: ModernBert, rows: Rows, /) -> None:
        self._encoder = encoder
        self._rows = rows

    def __call__(self, packed: Packed, /) -> Tensor:
        """Return the states of all tokens `[T, d]`, in the dtype of the embeddings."""
        encoder, config = self._encoder, self._encoder.config
        longest = max(packed.lengths)
        x = encoder.embeddings(packed.ids).float()
        attended = None
        for index in range(config.num_hidden_layers):
            qkv = self._rows.step(index, x, attended)
            assert qkv is not None  # there is a layer
            rotation = Rotation.of(config.theta(index), config.head_dim, longest)
            split = qkv.view(len(qkv), 3, config.num_attention_heads, -1)
            attended = attend_qkv(split, rotation, packed, config.window(index))
        self._rows.step(config.num_hidden_layers, x, attended)
        return _normed(x, encoder.final_norm).to(encoder.final_norm.weight.dtype)


def to_int8(network: Network, /) -> None:
    """Let a network's encoder answer in int8, by the compiled kernel where it is built and fits the model.

    Its layers keep their shapes but no weights: gradients, or saving it, are no longer possible.
    """
    encoder = network if isinstance(network, ModernBert) else network.model
    compiled = kernels.load()
    if compiled is not None and compiled.int8 and fits(encoder):
        from jnlp.encoder.kernels.int8 import CompiledRows

        encoder.inference = Int8(encoder, CompiledRows(compiled, encoder))
    else:
        encoder.inference = Int8(encoder, Plain(encoder))
    layers: list[Any] = list(encoder.layers)
    for layer in layers:
        for linear in (layer.attn.Wqkv, layer.attn.Wo, layer.mlp.Wi, layer.mlp.Wo):
            linear.to("meta")


def fits(encoder: ModernBert, /) -> bool:
    """Say if the compiled kernel can run a model: bf16, sizes in multiples of 64, heads of 64, no biases."""
    config = encoder.config
    return (
        encoder.final_norm.weight.dtype is torch.bfloat16
        and config.head_dim == kernels.HEAD_DIM
        and config.hidden_size % 64 == config.intermediate_size % 64 == 0
        and not (config.attention_bias or config.mlp_bias or config.norm_bias)
    )
