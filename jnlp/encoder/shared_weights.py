"""Converted weights, stored once for all processes that share a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from jnlp.encoder.files import read_weights
from jnlp.encoder.shared_files import made_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    Weights = dict[str, Tensor]


def share_weights(shared: Path | None, key: str, make: Callable[[], Weights], /) -> Weights:
    """Return the weights from `make`. With a shared folder, the first process stores them, and all map that file.

    Args:
        shared: The folder; None: nothing is shared.
        key: Identifies the weights among the processes.
        make: Creates the weights.
    """
    if shared is None:
        return make()
    path = made_once(shared, key, ".pt", lambda made: torch.save(make(), made))
    # torch's own format begins each tensor on a cache line
    weights: Weights = torch.load(path, mmap=True, weights_only=True)
    return weights


def read_shared(folder: Path, dtype: torch.dtype, shared: Path, /) -> Weights:
    """Map a model folder's weights in `dtype`; tensors by name.

    Files that already have the dtype are mapped directly.
    """
    weights = read_weights(folder)
    if all(tensor.dtype == dtype for tensor in weights.values()):
        return weights
    converted = lambda: {name: tensor.to(dtype).contiguous() for name, tensor in weights.items()}  # noqa: E731
    return share_weights(shared, f"{folder.resolve()} {dtype}", converted)
