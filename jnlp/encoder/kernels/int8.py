"""Weights laid out for the compiled int8 kernel, and its call."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import torch

from jnlp.encoder.int8 import Quantised

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jnlp.encoder.kernels.library import Kernels
    from jnlp.encoder.modernbert import ModernBert

PANEL = 64
"""Outputs that lie side by side."""
DEPTH = 4
"""Inputs that one instruction multiplies and adds."""


class _Linear(ctypes.Structure):
    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("sums", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("inputs", ctypes.c_int64),
        ("outputs", ctypes.c_int64),
    )


class _Layer(ctypes.Structure):
    _fields_ = (
        ("out", _Linear),
        ("mlp_norm", ctypes.c_void_p),
        ("up", _Linear),
        ("down", _Linear),
        ("attn_norm", ctypes.c_void_p),
        ("qkv", _Linear),
        ("eps", ctypes.c_float),
    )


class CompiledRows:
    """`jnlp.encoder.int8.Rows` by the compiled kernel.

    Args:
        compiled: The kernels.
        encoder: A model that they fit.
    """

    def __init__(self, compiled: Kernels, encoder: ModernBert, /) -> None:
        self._run = compiled.int8_layer
        self._kept: list[Tensor] = []
        layers: list[Any] = list(encoder.layers)
        self._steps = [_Layer(eps=encoder.config.norm_eps) for _ in range(len(layers) + 1)]
        for before, after, layer in zip(self._steps, self._steps[1:], layers, strict=False):
            before.attn_norm, before.qkv = self._norm(layer.attn_norm), self._linear(layer.attn.Wqkv)
            after.out, after.mlp_norm = self._linear(layer.attn.Wo), self._norm(layer.mlp_norm)
            after.up, after.down = self._linear(layer.mlp.Wi, gated=True), self._linear(layer.mlp.Wo)

    def step(self, index: int, x: Tensor, attended: Tensor | None, /) -> Tensor | None:
        """Finish the layer before `index` and begin that layer; see `Rows`."""
        tokens, width = x.shape
        qkv = None
        if index < len(self._steps) - 1:
            qkv = torch.empty((tokens, 3 * width), dtype=torch.bfloat16)
        pointers = [None if row is None else row.data_ptr() for row in (attended, x, qkv)]
        if self._run(ctypes.byref(self._steps[index]), *pointers, tokens, width, torch.get_num_threads()):
            raise MemoryError("no memory for a block of tokens")
        return qkv

    def _norm(self, norm: nn.Module) -> int | None:
        if not isinstance(norm, torch.nn.LayerNorm):
            return None
        return self._keep(norm.weight.float())

    def _linear(self, linear: nn.Linear, *, gated: bool = False) -> _Linear:
        """Lay weights out as `[outputs / 64, inputs / 4, 64, 4]`; of a gated layer each panel has both halves."""
        quantised = Quantised.of(linear)
        weight, scale = quantised.weight, quantised.scale
        if gated:
            order = torch.arange(len(scale)).view(2, -1, PANEL // 2).transpose(0, 1).flatten()
            weight, scale = weight[order], scale[order]
        outputs, inputs = weight.shape
        panels = weight.view(outputs // PANEL, PANEL, inputs // DEPTH, DEPTH).transpose(1, 2)
        sums = weight.sum(dim=1, dtype=torch.int32) * -128
        return _Linear(self._keep(panels), self._keep(sums), self._keep(scale), inputs, outputs)

    def _keep(self, x: Tensor) -> int:
        """Hold a tensor as long as this object, and return where it lies."""
        self._kept.append(x.contiguous())
        return self._kept[-1].data_ptr()
