"""The weight layout of the compiled layer steps, and their calls."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import torch

from jnlp.encoder.forms.quantisation import Quantised

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jnlp.encoder.forms.kernels.library import Kernels
    from jnlp.encoder.modernbert import ModernBert

PANEL = 64
"""Outputs in a panel of weights."""


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


def lay_out(encoder: ModernBert, precision: str, /) -> dict[str, Tensor]:
    """Return a model's layers in the kernels' layout, by name.

    Args:
        encoder: A model that the kernels support.
        precision: The precision of the products, `bf16` or `int8`.
    """
    layout = _int8 if precision == "int8" else _bf16
    laid: dict[str, Tensor] = {}
    layers: list[Any] = list(encoder.layers)
    for index, layer in enumerate(layers):
        attention, mlp = layer.attn, layer.mlp
        linears = {"qkv": attention.Wqkv, "out": attention.Wo, "up": mlp.Wi, "down": mlp.Wo}
        for part, linear in linears.items():
            laid |= {f"{index}.{part}.{name}": x for name, x in layout(linear, gated=part == "up").items()}
        for part, norm in {"attn_norm": layer.attn_norm, "mlp_norm": layer.mlp_norm}.items():
            if isinstance(norm, torch.nn.LayerNorm):  # the first layer has none before its attention
                laid[f"{index}.{part}"] = norm.weight.float()
    return {name: x.detach().contiguous() for name, x in laid.items()}


def _bf16(linear: nn.Linear, /, *, gated: bool) -> dict[str, Tensor]:
    weight = linear.weight
    return {"weight": _panels(weight[_halves(len(weight))] if gated else weight, 2)}


def _int8(linear: nn.Linear, /, *, gated: bool) -> dict[str, Tensor]:
    quantised = Quantised.of(linear)
    weight, scale = quantised.weight, quantised.scale
    if gated:
        order = _halves(len(scale))
        weight, scale = weight[order], scale[order]
    return {"weight": _panels(weight, 4), "sums": weight.sum(dim=1, dtype=torch.int32) * -128, "scale": scale}


def _panels(weight: Tensor, depth: int) -> Tensor:
    """Return weights as `[outputs / 64, inputs / depth, 64, depth]`; `depth` inputs fill the 32 bits of a lane."""
    outputs, inputs = weight.shape
    return weight.reshape(outputs // PANEL, PANEL, inputs // depth, depth).transpose(1, 2)


def _halves(outputs: int) -> Tensor:
    """Return the order of a gated layer's outputs: each panel has 32 inputs of GELU, then their gates."""
    return torch.arange(outputs).view(2, -1, PANEL // 2).transpose(0, 1).flatten()


class CompiledSteps:
    """`jnlp.encoder.forms.cpu_kernels.LayerSteps` by a compiled kernel.

    Args:
        compiled: The kernels.
        precision: The precision of the products.
        encoder: The model.
        laid: Its layers, from `lay_out`.
    """

    blocks = True

    def __init__(self, compiled: Kernels, precision: str, encoder: ModernBert, laid: dict[str, Tensor], /) -> None:
        self._run = compiled.steps[precision]
        self._laid = laid  # held as long as they are pointed to
        config = encoder.config
        d, inner = config.hidden_size, config.intermediate_size
        sizes = {"qkv": (d, 3 * d), "out": (d, d), "up": (d, 2 * inner), "down": (inner, d)}
        self._steps = [_Layer(eps=config.norm_eps) for _ in range(config.num_hidden_layers + 1)]
        for index in range(config.num_hidden_layers):
            for step, parts in ((index, ("attn_norm", "qkv")), (index + 1, ("out", "mlp_norm", "up", "down"))):
                for part in parts:
                    held = self._linear(f"{index}.{part}", *sizes[part]) if part in sizes else None
                    setattr(self._steps[step], part, held or self._at(f"{index}.{part}"))

    def step(self, index: int, x: Tensor, attended: Tensor | None, /) -> Tensor | None:
        """Finish the layer before `index` and begin that layer; see `LayerSteps`."""
        tokens, width = x.shape
        qkv = None
        if index < len(self._steps) - 1:
            qkv = torch.empty((tokens, 3 * width), dtype=torch.bfloat16)
        pointers = [None if tensor is None else tensor.data_ptr() for tensor in (attended, x, qkv)]
        if self._run(ctypes.byref(self._steps[index]), *pointers, tokens, width, torch.get_num_threads()):
            raise MemoryError("no memory for a block of tokens")
        return qkv

    def _linear(self, name: str, inputs: int, outputs: int) -> _Linear:
        return _Linear(*(self._at(f"{name}.{part}") for part in ("weight", "sums", "scale")), inputs, outputs)

    def _at(self, name: str) -> int | None:
        """Return the address of a tensor, or None if there is none."""
        return self._laid[name].data_ptr() if name in self._laid else None
