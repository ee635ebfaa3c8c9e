"""The encoder for training on short rows of equal length: one dense attention, compiled if worthwhile.

It computes the same as `ModernBert`, in the fastest form, forward and backward, for rows of a few hundred tokens. A
mask separates the sequences of a row, and no sequence crosses rows. Attention scores are computed explicitly, which at
these lengths is faster than the fused kernels, especially backward. Compiling makes norms, rotation and GeGLU cheap.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.modernbert import turns_at
from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torch import Tensor, nn

    from jnlp.encoder.modernbert import ModernBert
    from jnlp.encoder.packing import Packed

    Kind = tuple[Tensor, Tensor, Tensor]
    Forward = Callable[[Tensor, Kind, Kind], Tensor]

LONGEST = 1024
"""Maximum row length for dense attention; longer ones are faster packed."""


def can_compile() -> bool:
    """Return True if torch's compiler can find a C++ compiler."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None or shutil.which("clang++") is not None


class DenseEncoder:
    """A `ModernBert` as a function over rows of equal length, with the model's own weights.

    Args:
        encoder: The model; it has no dropout.
        compiled: The lengths of rows that have a compiled form; each takes half a minute, once.
        require_compile: Raise an error if torch cannot compile, instead of running uncompiled.
    """

    def __init__(self, encoder: ModernBert, compiled: Collection[int] = (), *, require_compile: bool = False) -> None:
        self.encoder = encoder
        self.compiled = compiled
        self.require_compile = require_compile
        self._forms: dict[int, Forward] = {}

    def __call__(self, packed: Packed, length: int) -> Tensor:
        """Return the states `[T, d]` of rows of `length` tokens that lie one after another (T a multiple of it).

        Raises:
            JnlpError: Torch cannot compile and `require_compile` is set.
        """
        config, x = self.encoder.config, self.encoder.embeddings(packed.ids)
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        masks = dense_masks(packed, length, config.local_attention // 2, dtype)
        kinds = [
            (*turns_at(packed.positions, config.head_dim, theta), mask)
            for theta, mask in zip((config.global_rope_theta, config.local_rope_theta), masks, strict=True)
        ]
        if length not in self.compiled:
            return self._form(length)(x, kinds[0], kinds[1])
        from torch._dynamo.exc import TorchDynamoException  # a second and more, which the compiler needs in any case

        try:
            return self._form(length)(x, kinds[0], kinds[1])
        except TorchDynamoException as error:  # the compiler finds no headers, or no room for what it makes
            if self.require_compile:
                reason = str(error).strip().splitlines()[0]
                raise JnlpError(f"torch cannot compile: {reason}", hint="--compiler never") from error
            self.compiled, self._forms = frozenset(), {}
            return self._form(length)(x, kinds[0], kinds[1])

    def _form(self, length: int) -> Forward:
        if length not in self._forms:
            form = partial(_encode, self.encoder, length)
            self._forms[length] = (
                torch.compile(form, fullgraph=True, dynamic=False) if length in self.compiled else form
            )
        return self._forms[length]


def dense_masks(packed: Packed, length: int, window: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the masks of global and local layers, 0 or -inf, to add to the scores: `[rows, 1, length, length]`."""
    device, total = packed.ids.device, len(packed.ids)
    sequences = torch.arange(len(packed.lengths), device=device)
    owner = torch.repeat_interleave(sequences, packed.cu_seqlens.diff(), output_size=total).view(-1, length)
    reached = (owner[:, :, None] == owner[:, None, :])[:, None]
    at = torch.arange(length, device=device)
    near = (at[:, None] - at).abs() <= window
    everywhere, local = (
        torch.zeros(mask.shape, dtype=dtype, device=device).masked_fill_(~mask, float("-inf"))
        for mask in (reached, reached & near)
    )
    return everywhere, local


def _encode(encoder: ModernBert, length: int, x: Tensor, everywhere: Kind, near: Kind) -> Tensor:
    config = encoder.config
    for index, layer in enumerate(encoder.layers):
        x = _layer(layer, x, near if config.window(index) else everywhere, length, config.head_dim)
    states: Tensor = encoder.final_norm(x)
    return states


def _layer(layer: nn.Module, x: Tensor, kind: Kind, length: int, head_dim: int) -> Tensor:
    cos, sin, mask = kind
    qkv = layer.attn.Wqkv(layer.attn_norm(x)).view(len(x), 3, -1, head_dim)  # type: ignore[operator, union-attr]
    first, second = qkv[:, :2].float().chunk(2, -1)  # queries and keys turn in fp32, and are cast back once
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), -1).to(qkv.dtype)
    q, k, v = (
        t.unflatten(0, (-1, length)).transpose(1, 2) for t in (turned[:, 0] * head_dim**-0.5, turned[:, 1], qkv[:, 2])
    )
    mixed = ((q @ k.mT + mask).softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
    x = x + layer.attn.Wo(mixed)  # type: ignore[operator, union-attr]
    inner, gate = layer.mlp.Wi(layer.mlp_norm(x)).chunk(2, -1)  # type: ignore[operator, union-attr]
    x = x + layer.mlp.Wo(F.gelu(inner) * gate)  # type: ignore[operator, union-attr]
    return x
