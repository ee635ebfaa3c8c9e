"""The encoder's forward pass on a CPU without gradients, in the fastest form in plain torch.

Projections have fused epilogues (`products`). The part after attention runs in slices of tokens, so that a long text
needs little memory for the MLP. Attention gets the projection before the rotation, since a compiled kernel rotates
queries and keys itself (`attention.attend_qkv`).
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
"""Tokens in a slice of a layer's second part: the default batch size."""


class TorchForward:
    """A `ModernBert` as a function of a packed batch.

    Args:
        encoder: The model, on a CPU.
        attend: Attention over the projection.
        products: Creates a layer's matrix products; `DirectProducts` use the model's own weights.
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
    """Set a network's fastest forward pass for inference on its device.

    On a CPU it uses the compiled kernels, or else `TorchForward`; on a GPU `RecordedForward` of
    the model itself, or of `CompiledForward`.

    Args:
        network: The network. It can only be used for inference afterwards, since its layers may lose their weights.
        share: See `cpu_kernels.compile_steps`.
        shared: True if other processes map the same weights; then no copies are made.
        compiling: Use `CompiledForward` on a GPU.
    """
    encoder = network if isinstance(network, ModernBert) else network.model
    if encoder.final_norm.weight.device.type == "cpu":
        # in fp32 torch's products are as fast, and need no other layout of the weights
        encoder.inference = compile_steps(encoder, "bf16", share) or _torch_forward(encoder, shared=shared)
        return
    forward: Callable[[Packed], Tensor] = encoder.compute
    if compiling:
        from jnlp.encoder.forms.gpu_compiled import CompiledForward

        encoder.inference = forward = CompiledForward(encoder)
    if encoder.final_norm.weight.device.type == "cuda":
        from jnlp.encoder.forms.gpu_recorded import RecordedForward

        encoder.inference = RecordedForward(encoder, forward)


def _torch_forward(encoder: ModernBert, *, shared: bool) -> TorchForward:
    if shared or not reorders(encoder.final_norm.weight.dtype):
        return TorchForward(encoder)
    with torch.inference_mode():
        made = TorchForward(encoder, products=ReorderedProducts)
    drop_layers(encoder)
    return made
