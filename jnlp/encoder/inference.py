"""The encoder's forward pass on a CPU without gradients: what `ModernBert` defines, in the form that runs fastest.

It keeps no weights of its own. Projections have their epilogues fused (`products`); what follows attention runs in
slices of rows, so that its wide intermediate stays in the caches; attention takes the projection as it is, since a
compiled kernel turns queries and keys itself (`attention.attend_qkv`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from jnlp.encoder.attention import attend_qkv
from jnlp.encoder.modernbert import ModernBert
from jnlp.encoder.products import Products, products
from jnlp.encoder.rotation import Rotation
from jnlp.encoder.stepwise import compiled

if TYPE_CHECKING:
    from torch import Tensor

    from jnlp.encoder.attention import AttentionQkv
    from jnlp.encoder.checkpoint import Network
    from jnlp.encoder.modernbert import Layer
    from jnlp.encoder.packing import Packed
    from jnlp.encoder.stepwise import Hold

ROWS = 1024
"""Rows that go through a layer's second part at a time."""


class Inference:
    """A `ModernBert` as a function of a packed batch; its weights stay the model's.

    Args:
        encoder: The model, on a CPU.
        attend: Attention over the projection.
        multiply: The matrix products; None: the fastest that this torch has for the model's dtype.
    """

    def __init__(
        self, encoder: ModernBert, /, *, attend: AttentionQkv = attend_qkv, multiply: Products | None = None
    ) -> None:
        self._encoder = encoder
        self._layers = cast("list[Layer]", list(encoder.layers))
        self._attend = attend
        self._multiply = multiply or products(encoder.final_norm.weight.dtype)

    def __call__(self, packed: Packed, /) -> Tensor:
        """Return the states of all tokens `[T, d]`, in the weights' dtype."""
        encoder, config = self._encoder, self._encoder.config
        longest = max(packed.lengths)
        rotations = {
            theta: Rotation.of(theta, config.head_dim, longest)
            for theta in map(config.theta, range(config.num_hidden_layers))
        }
        x = encoder.embeddings(packed.ids)
        for index, layer in enumerate(self._layers):
            qkv = layer.attn.Wqkv(layer.attn_norm(x)).unflatten(-1, (3, config.num_attention_heads, -1))
            attended = self._attend(qkv, rotations[config.theta(index)], packed, layer.attn.window)
            for out, rows in zip(torch.split(x, ROWS), torch.split(attended, ROWS), strict=True):
                between = self._multiply.added(rows, layer.attn.Wo, out)
                inner = self._multiply.gated(layer.mlp_norm(between), layer.mlp.Wi)
                out.copy_(self._multiply.added(inner, layer.mlp.Wo, between))
        states: Tensor = encoder.final_norm(x)
        return states


def accelerate(network: Network, hold: Hold, /) -> None:
    """Let a network on a CPU answer by the compiled kernels, or else through `Inference`, where no gradients are due.

    Args:
        network: It is for answers alone from here on.
        hold: See `stepwise.compiled`.
    """
    encoder = network if isinstance(network, ModernBert) else network.model
    if encoder.final_norm.weight.device.type == "cpu":
        encoder.inference = compiled(encoder, "bf16", hold) or Inference(encoder)
