"""The encoder's forward pass on a GPU, with the parts between attentions compiled by torch.

Norms, rotation, GeGLU and residuals then read and write memory once; matrix products remain the library's. There are
three compiled functions, for before, between and after attentions. The middle one serves all layers, and all accept any
number of tokens. Attention itself is the kernel that `jnlp.encoder.attention` chooses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

from jnlp.encoder.modernbert import Layer, turns_at
from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jnlp.encoder.modernbert import ModernBert, Turns
    from jnlp.encoder.packing import Packed

    Qkv = tuple[Tensor, Tensor, Tensor]


class CompiledForward:
    """A `ModernBert` as a function of a packed batch. The first batches include the compilation.

    Args:
        encoder: The model.
    """

    def __init__(self, encoder: ModernBert, /) -> None:
        self._encoder = encoder
        self._layers = cast("list[Layer]", list(encoder.layers))
        self._before = torch.compile(_before, fullgraph=True)
        self._between = torch.compile(_between, fullgraph=True)
        self._after = torch.compile(_after, fullgraph=True)

    def __call__(self, packed: Packed, /) -> Tensor:
        """Return the states of all tokens `[T, d]`, in the weights' dtype.

        Raises:
            JnlpError: Torch cannot compile here.
        """
        try:
            return self._run(packed)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:
            first = str(error).strip().splitlines()[0]
            raise JnlpError(f"torch cannot compile the layers: {first}", hint="leave --compile out") from error

    def _run(self, packed: Packed) -> Tensor:
        encoder, config, layers = self._encoder, self._encoder.config, self._layers
        thetas = [config.theta(index) for index in range(len(layers))]
        turns = {theta: _any_length(turns_at(packed.positions, config.head_dim, theta)) for theta in set(thetas)}
        x = _of_any_length(encoder.embeddings(packed.ids))
        q, k, v = self._before(layers[0], x, turns[thetas[0]])
        for index, layer in enumerate(layers):
            attended = encoder.attend(q, k, v, packed.cu_seqlens, packed.lengths, layer.attn.window)
            _of_any_length(attended)
            if index + 1 < len(layers):
                x, q, k, v = self._between(layer, layers[index + 1], x, attended, turns[thetas[index + 1]])
                _of_any_length(x)
        return self._after(layers[-1], encoder.final_norm, x, attended)


def _before(layer: Layer, x: Tensor, turns: Turns) -> Qkv:
    return layer.project(x, turns)


def _between(
    layer: Layer, following: Layer, x: Tensor, attended: Tensor, turns: Turns
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = layer.finish(x, attended)
    return x, *following.project(x, turns)


def _after(layer: Layer, norm: nn.Module, x: Tensor, attended: Tensor) -> Tensor:
    states: Tensor = norm(layer.finish(x, attended))
    return states


def _any_length(turns: Turns) -> Turns:
    return _of_any_length(turns[0]), _of_any_length(turns[1])


def _of_any_length(states: Tensor) -> Tensor:
    """Mark the number of tokens as dynamic for the compiler."""
    torch._dynamo.maybe_mark_dynamic(states, 0)
    return states
