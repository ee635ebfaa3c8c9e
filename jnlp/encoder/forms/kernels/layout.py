"""The weights of a model's layers as the compiled steps read them, by numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

PANEL = 64
"""Outputs in a panel of weights."""
LARGEST = 127
"""The largest quantised weight."""
DEPTH = {"fp32": 1, "bf16": 2, "int8": 4}
"""Numbers in 32 bits, by format."""

PARTS = {
    "attn_norm": "attn_norm",
    "qkv": "attn.Wqkv",
    "out": "attn.Wo",
    "mlp_norm": "mlp_norm",
    "up": "mlp.Wi",
    "down": "mlp.Wo",
}
"""The parts of a layer, and their names in the files."""


def lay_out(
    weight: Callable[[str], Array | None],
    layers: int,
    products: str,
    offset: int,
    convert: Callable[[Array], Array] | None = None,
    /,
) -> dict[str, Array]:
    """Return the layers in the kernels' layout, by names such as `0.qkv.weight`.

    Args:
        weight: Returns a weight of the encoder by its name in the files, or None. Norms are fp32; matrices fp32, or for
            bf16 their bits as uint16, or what `convert` makes these of.
        layers: The number of layers.
        products: The format of the products: `fp32`, `bf16` or `int8`.
        offset: `Binding.int8_offset`.
        convert: Returns the bits in bf16 of some rows of a matrix; None: `weight` returns them.
    """
    laid: dict[str, Array] = {}
    for index in range(layers):
        for part, name in PARTS.items():
            found = weight(f"layers.{index}.{name}.weight")
            if found is None:  # the first layer has no norm before its attention
                continue
            if part.endswith("norm"):
                laid[f"{index}.{part}"] = np.ascontiguousarray(found, dtype=np.float32)
                continue
            order = _halves(len(found)) if part == "up" else None
            if products == "int8":
                held = _int8(found if order is None else found[order], offset)
            else:
                held = {"weight": _panels(found, DEPTH[products], order, convert)}
            laid |= {f"{index}.{part}.{name}": values for name, values in held.items()}
    return laid


def lay_out_rows(rows: Array, convert: Callable[[Array], Array], /) -> Array:
    """Return a matrix in bf16 as the kernels read it, with rows of zeros up to a multiple of 64.

    Args:
        rows: The matrix.
        convert: Returns the bits in bf16 of some of its rows.
    """
    return _panels(rows, DEPTH["bf16"], None, convert)


def quantise(matrix: Array, /) -> tuple[Array, Array]:
    """Return a matrix in int8, and the fp32 scale of each row; the same rule as `forms.quantisation`."""
    scale = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), np.float32(1e-20)) / np.float32(LARGEST)
    return np.rint(matrix / scale).astype(np.int8), scale[:, 0].astype(np.float32)


def _int8(matrix: Array, offset: int) -> dict[str, Array]:
    weight, scale = quantise(matrix)
    sums = weight.sum(axis=1, dtype=np.int32) * np.int32(-offset)
    return {"weight": _panels(weight, 4), "sums": sums, "scale": scale}


def _panels(
    weight: Array, depth: int, order: Array | None = None, convert: Callable[[Array], Array] | None = None
) -> Array:
    """Return weights as `[outputs / 64, inputs / depth, 64, depth]`; `depth` inputs fill the 32 bits of a lane.

    A panel is converted at a time, so that what is made of its rows stays in the processor's cache.

    Args:
        weight: The weights `[outputs, inputs]`; rows of zeros are added up to a whole panel.
        depth: The inputs of a lane.
        order: The order of the outputs; None: as they are.
        convert: Makes what is laid out of some rows; None: it is the rows.
    """
    outputs, inputs = weight.shape
    lanes = np.empty((-(-outputs // PANEL), inputs // depth, PANEL), np.uint32)
    for number, panel in enumerate(lanes):
        chosen = slice(number * PANEL, (number + 1) * PANEL)
        rows = weight[chosen] if order is None else weight[order[chosen]]
        rows = np.ascontiguousarray(rows if convert is None else convert(rows))
        if len(rows) < PANEL:
            rows = np.concatenate([rows, np.zeros((PANEL - len(rows), inputs), rows.dtype)])
        panel[:] = rows.view(np.uint32).T
    return lanes.view(rows.dtype).reshape(*lanes.shape, depth)


def _halves(outputs: int) -> Array:
    """Return the order of a gated layer's outputs: each panel has 32 inputs of GELU, then their gates."""
    return np.arange(outputs).reshape(2, -1, PANEL // 2).transpose(1, 0, 2).reshape(-1)
