"""The encoder in int8 on a CPU: weights with a scale for each output, activations quantised token by token.

The input of a projection is scaled so that its largest component is 127, and rounded. Products are exact in int32.
Norms, the residual stream and GELU stay in fp32; attention, embeddings and heads in the model's dtype. The compiled
kernel (`kernels/layer_step.h`) computes everything between two attentions in one pass. `TorchInt8Steps` computes the
same with torch's own int8 product, for machines without the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.forms.cpu_kernels import SteppedForward, apply_norm, compile_steps, drop_layers
from jnlp.encoder.forms.quantisation import Quantised
from jnlp.encoder.modernbert import ModernBert

if TYPE_CHECKING:
    from torch import Tensor

    from jnlp.encoder.checkpoint import Network
    from jnlp.encoder.forms.cpu_kernels import ShareWeights

_LINEARS = ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo")


def _quantise_layers(layers: list[Any]) -> dict[str, Tensor]:
    """Return the parts of all layers' products by name."""
    parts: dict[str, Tensor] = {}
    for index, layer in enumerate(layers):
        for name in _LINEARS:
            made = Quantised.of(layer.get_submodule(name))
            own = {"weight": made.weight, "scale": made.scale, "bias": made.bias}
            parts |= {f"{index}.{name}.{part}": tensor for part, tensor in own.items() if tensor is not None}
    return parts


class TorchInt8Steps:
    """`LayerSteps` with torch's own operators.

    Args:
        encoder: The model to quantise.
        share: Creates or finds the quantised weights; see `cpu_kernels.compile_steps`.
    """

    blocks = False

    def __init__(self, encoder: ModernBert, share: ShareWeights = lambda _, make: make(), /) -> None:
        layers: list[Any] = list(encoder.layers)
        self._norms = [(layer.attn_norm, layer.mlp_norm) for layer in layers]
        held = share("int8, by torch", lambda: _quantise_layers(layers))
        self._linears = [
            tuple(Quantised.from_parts(held, f"{index}.{name}") for name in _LINEARS) for index in range(len(layers))
        ]
        self._dtype = encoder.final_norm.weight.dtype

    def step(self, index: int, x: Tensor, attended: Tensor | None, /) -> Tensor | None:
        """Finish the layer before `index` and begin that layer; see `LayerSteps`."""
        if attended is not None:
            _, out, up, down = self._linears[index - 1]
            x += out(attended)
            inner, gate = up(apply_norm(x, self._norms[index - 1][1])).chunk(2, dim=-1)
            x += down(F.gelu(inner).mul_(gate))
        if index == len(self._linears):
            return None
        return self._linears[index][0](apply_norm(x, self._norms[index][0])).to(self._dtype)


def to_int8(network: Network, share: ShareWeights, /) -> None:
    """Switch a network's encoder to int8, with the compiled kernel if it is built and supports the model.

    Args:
        network: The network. It can only be used for inference afterwards, since its layers lose their weights.
        share: See `cpu_kernels.compile_steps`.
    """
    encoder = network if isinstance(network, ModernBert) else network.model
    encoder.inference = compile_steps(encoder, "int8", share)
    if encoder.inference is None:
        encoder.inference = SteppedForward(encoder, TorchInt8Steps(encoder, share))
        drop_layers(encoder)
