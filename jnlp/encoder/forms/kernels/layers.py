"""The compiled layer steps on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from jnlp.encoder.forms.kernels import layout
from jnlp.encoder.forms.kernels.binding import Steps
from jnlp.encoder.forms.kernels.library import DTYPES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from jnlp.encoder.forms.kernels.library import Kernels
    from jnlp.encoder.modernbert import ModernBert


def lay_out(encoder: ModernBert, products: str, offset: int, /) -> dict[str, Tensor]:
    """Return a model's layers in the kernels' layout, by name.

    Args:
        encoder: A model that the kernels support.
        products: The format of the products: `fp32`, `bf16` or `int8`.
        offset: `Binding.int8_offset`.
    """
    weights = encoder.state_dict()

    def weight(name: str) -> NDArray[Any] | None:
        found = weights.get(name)
        if found is None:
            return None
        if products == "bf16" and not name.endswith("norm.weight"):
            bits: NDArray[Any] = found.detach().bfloat16().contiguous().view(torch.int16).numpy()
            return bits
        values: NDArray[Any] = found.detach().float().numpy()
        return values

    laid = layout.lay_out(weight, encoder.config.num_hidden_layers, products, offset)
    return {name: torch.from_numpy(values) for name, values in laid.items()}


class CompiledSteps:
    """`jnlp.encoder.forms.cpu_kernels.LayerSteps` by a compiled kernel.

    Args:
        compiled: The kernels.
        products: The format of the products.
        encoder: The model.
        laid: Its layers, from `lay_out`.
    """

    blocks = True

    def __init__(self, compiled: Kernels, products: str, encoder: ModernBert, laid: dict[str, Tensor], /) -> None:
        self._dtype = encoder.final_norm.weight.dtype
        self._laid = laid  # held as long as they are pointed to
        run = compiled.binding.steps[products, DTYPES[self._dtype]]
        self._steps = Steps(run, encoder.config, {name: tensor.data_ptr() for name, tensor in laid.items()})

    def step(self, index: int, x: Tensor, attended: Tensor | None, /) -> Tensor | None:
        """Finish the layer before `index` and begin that layer; see `LayerSteps`."""
        tokens, width = x.shape
        qkv = None if index == len(self._steps) - 1 else torch.empty((tokens, 3 * width), dtype=self._dtype)
        before, out = (None if tensor is None else tensor.data_ptr() for tensor in (attended, qkv))
        self._steps.run(index, x.data_ptr(), before, out, tokens, torch.get_num_threads())
        return qkv
