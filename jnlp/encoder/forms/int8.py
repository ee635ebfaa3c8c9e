"""The encoder in int8 on a CPU: weights with a scale for each output, activations quantised token by token.

What enters a projection is scaled so that its largest component is 127 and rounded; the products are exact in int32.
Norms, the residual row and GELU stay in fp32, attention, embeddings and heads in the model's dtype. The compiled kernel
(`kernels/rows.h`) does all that lies between two attentions in one pass; `Plain` does the same by torch's own int8
product, for a machine without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.forms.cpu_kernels import Stepwise, compiled, drop_layers, normed
from jnlp.encoder.modernbert import ModernBert

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from jnlp.encoder.checkpoint import Network
    from jnlp.encoder.forms.cpu_kernels import Hold

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

    @classmethod
    def named(cls, held: dict[str, Tensor], name: str, /) -> Quantised:
        """Return the layer whose parts are held under a name."""
        return cls(held[f"{name}.weight"], held[f"{name}.scale"], held.get(f"{name}.bias"))

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


_LINEARS = ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo")


def _quantised(layers: list[Any]) -> dict[str, Tensor]:
    """Return the parts of all layers' products by name."""
    parts: dict[str, Tensor] = {}
    for index, layer in enumerate(layers):
        for name in _LINEARS:
            made = Quantised.of(layer.get_submodule(name))
            own = {"weight": made.weight, "scale": made.scale, "bias": made.bias}
            parts |= {f"{index}.{name}.{part}": tensor for part, tensor in own.items() if tensor is not None}
    return parts


class Plain:
    """`Rows` by torch's own operators.

    Args:
        encoder: The model that is quantised.
        hold: Makes the quantised weights, or finds them made; see `cpu_kernels.compiled`.
    """

    blocks = False

    def __init__(self, encoder: ModernBert, hold: Hold = lambda _, make: make(), /) -> None:
        layers: list[Any] = list(encoder.layers)
        self._norms = [(layer.attn_norm, layer.mlp_norm) for layer in layers]
        held = hold("int8, by torch", lambda: _quantised(layers))
        self._linears = [
            tuple(Quantised.named(held, f"{index}.{name}") for name in _LINEARS) for index in range(len(layers))
        ]
        self._dtype = encoder.final_norm.weight.dtype

    def step(self, index: int, x: Tensor, attended: Tensor | None, /) -> Tensor | None:
        """Finish the layer before `index` and begin that layer; see `Rows`."""
        if attended is not None:
            _, out, up, down = self._linears[index - 1]
            x += out(attended)
            inner, gate = up(normed(x, self._norms[index - 1][1])).chunk(2, dim=-1)
            x += down(F.gelu(inner).mul_(gate))
        if index == len(self._linears):
            return None
        return self._linears[index][0](normed(x, self._norms[index][0])).to(self._dtype)


def to_int8(network: Network, hold: Hold, /) -> None:
    """Let a network's encoder answer in int8, by the compiled kernel where it is built and fits the model.

    Args:
        network: It is for answers alone from here on: its layers keep no weights.
        hold: See `cpu_kernels.compiled`.
    """
    encoder = network if isinstance(network, ModernBert) else network.model
    encoder.inference = compiled(encoder, "int8", hold)
    if encoder.inference is None:
        encoder.inference = Stepwise(encoder, Plain(encoder, hold))
        drop_layers(encoder)
