"""The encoder's forward pass in steps; a step is everything between two attentions.

`LayerSteps` computes a step, by the compiled kernels or by torch's own int8 product. The residual stream is fp32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.attention import attend_qkv
from jnlp.encoder.forms import kernels
from jnlp.encoder.forms.kernels.binding import fits
from jnlp.encoder.forms.kernels.library import DTYPES
from jnlp.encoder.rotation import RotationTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from jnlp.encoder.modernbert import ModernBert
    from jnlp.encoder.packing import Packed

    ShareWeights = Callable[[str, Callable[[], dict[str, Tensor]]], dict[str, Tensor]]


class LayerSteps(Protocol):
    """The steps between attentions, in place on the residual stream x (fp32 `[T, d]`)."""

    blocks: bool
    """True if a step runs in blocks of tokens, and never holds the MLP's intermediate values of all tokens."""

    def step(self, index: int, x: Tensor, attended: Tensor | None, /) -> Tensor | None:
        """Finish the layer before `index` and begin that layer.

        Args:
            index: From 0 to the number of layers.
            x: The residual stream, changed in place.
            attended: The output of the previous layer's attention, `[T, d]`; None before the first layer.

        Returns:
            Queries, keys and values of layer `index`, `[T, 3 d]`; None after the last.
        """
        ...


class SteppedForward:
    """A `ModernBert` as a function of a packed batch.

    Args:
        encoder: The model, on a CPU.
        steps: The steps between attentions.
    """

    def __init__(self, encoder: ModernBert, steps: LayerSteps, /) -> None:
        self._encoder = encoder
        self._steps = steps
        self.blocks = steps.blocks

    def __call__(self, packed: Packed, /) -> Tensor:
        """Return the states of all tokens `[T, d]`, in the dtype of the embeddings."""
        encoder, config = self._encoder, self._encoder.config
        longest = max(packed.lengths)
        x = encoder.embeddings(packed.ids).float()
        attended = None
        for index in range(config.num_hidden_layers):
            qkv = self._steps.step(index, x, attended)
            assert qkv is not None  # there is a layer
            rotation = RotationTable.of(config.theta(index), config.head_dim, longest)
            split = qkv.view(len(qkv), 3, config.num_attention_heads, -1)
            attended = attend_qkv(split, rotation, packed, config.window(index))
        self._steps.step(config.num_hidden_layers, x, attended)
        return apply_norm(x, encoder.final_norm).to(encoder.final_norm.weight.dtype)


def apply_norm(x: Tensor, norm: nn.Module, /) -> Tensor:
    """Return the norm of the fp32 residual stream, whatever the dtype of its weights; the first layer has none."""
    if not isinstance(norm, torch.nn.LayerNorm):
        return x
    bias = None if norm.bias is None else norm.bias.float()
    return F.layer_norm(x, norm.normalized_shape, norm.weight.float(), bias, norm.eps)


def compile_steps(encoder: ModernBert, products: str, share: ShareWeights, /) -> SteppedForward | None:
    """Return the encoder with compiled kernels, or None if there are none or they do not support it.

    They support sizes in multiples of 64, heads of 64 and no biases. The kernels keep the weights in their own layout,
    so the encoder's layers then keep only the shapes of their matrices.

    Args:
        encoder: The model, on a CPU.
        products: The format of its products: `fp32`, `bf16` or `int8`.
        share: Creates that layout, or returns the one created by another process.
    """
    library = kernels.load()
    states = DTYPES.get(encoder.final_norm.weight.dtype)
    if library is None or (products, states) not in library.binding.steps or not fits(encoder.config):
        return None
    from jnlp.encoder.forms.kernels.layers import CompiledSteps, lay_out

    offset = library.binding.int8_offset
    laid = share(f"{products} {offset}", lambda: lay_out(encoder, products, offset))
    drop_layers(encoder)
    return SteppedForward(encoder, CompiledSteps(library, products, encoder, laid))


def drop_layers(encoder: ModernBert, /) -> None:
    """Free the matrices of an encoder's layers. It can no longer be trained or saved."""
    for module in encoder.layers.modules():
        if isinstance(module, torch.nn.Linear):
            module.to("meta")
