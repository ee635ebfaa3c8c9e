"""The encoder's forward pass on a CPU without gradients: what `ModernBert` defines, in the form that runs fastest.

Projections have their epilogues fused (`products`); what follows attention runs in slices of tokens, so that a long
text's wide intermediate is small; attention takes the projection as it is, since a compiled kernel turns queries and
keys itself (`attention.attend_qkv`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from jnlp.encoder.attention import attend_qkv
from jnlp.encoder.forms.cpu_kernels import compile_steps, drop_layers
from jnlp.encoder.forms.products import DirectProducts, Linears, ReorderedProducts, reorders
from jnlp.encoder.modernbert import ModernBert
from jnlp.encoder.rotation import RotationTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from jnlp.encoder.attention import AttentionQkv
    from jnlp.encoder.checkpoint import Network
    from jnlp.encoder.forms.cpu_kernels import ShareWeights
    from jnlp.encoder.forms.products import Products
    from jnlp.encoder.modernbert import Layer
    from jnlp.encoder.packing import Packed

SLICE = 4096
"""Tokens that go through a layer's second part at a time: a batch of the size that is chosen where nobody says."""


class Inference:
    """A `ModernBert` as a function of a packed batch.

    Args:
        encoder: The model, on a CPU.
        attend: Attention over the projection.
        products: Makes a layer's matrix products; `DirectProducts` ones use the model's own weights.
    """

    def __init__(
        self,
        encoder: ModernBert,
        /,
        *,
        attend: AttentionQkv = attend_qkv,
        products: Callable[[Linears], Products] = DirectProducts,
    ) -> None:
        self._encoder = encoder
        layers = cast("list[Layer]", list(encoder.layers))
        self._layers = [(layer, products(Linears.of(layer))) for layer in layers]
        self._attend = attend

    def __call__(self, packed: Packed, /) -> Tensor:
        """Return the states of all tokens `[T, d]`, in the weights' dtype."""
        encoder, config = self._encoder, self._encoder.config
        longest = max(packed.lengths)
        rotations = {
            theta: RotationTable.of(theta, config.head_dim, longest)
            for theta in map(config.theta, range(config.num_hidden_layers))
        }
        x = encoder.embeddings(packed.ids)
        for index, (layer, products) in enumerate(self._layers):
            qkv = products.project(layer.attn_norm(x)).view(len(x), 3, config.num_attention_heads, -1)
            attended = self._attend(qkv, rotations[config.theta(index)], packed, layer.attn.window)
            for out, part in zip(torch.split(x, SLICE), torch.split(attended, SLICE), strict=True):
                between = products.out(part, out)
                out.copy_(products.down(products.gated(layer.mlp_norm(between)), between))
        states: Tensor = encoder.final_norm(x)
        return states


def accelerate(network: Network, share: ShareWeights, /, *, shared: bool = False, compiling: bool = False) -> None:
    """Let a network answer by the fastest form that its device has, where no gradients are due.

    On a CPU these are the compiled kernels, or else `Inference`; on a GPU the model itself, or `Fused`.

    Args:
        network: It is for answers alone from here on: its layers may keep no weights.
        share: See `cpu_kernels.compile_steps`.
        shared: Other processes map the same weights; no copies of them are made here.
        compiling: Take `Fused` on a GPU.
    """
    encoder = network if isinstance(network, ModernBert) else network.model
    if encoder.final_norm.weight.device.type == "cpu":
        encoder.inference = compile_steps(encoder, "bf16", share) or _plain(encoder, shared=shared)
    elif compiling:
        from jnlp.encoder.forms.gpu_compiled import Fused

        encoder.inference = Fused(encoder)


def _plain(encoder: ModernBert, *, shared: bool) -> Inference:
    if shared or not reorders(encoder.final_norm.weight.dtype):
        return Inference(encoder)
    with torch.inference_mode():
        made = Inference(encoder, products=ReorderedProducts)
    drop_layers(encoder)
    return made
