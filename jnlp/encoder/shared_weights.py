"""Converted weights, stored once for all processes that share a folder."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from jnlp.encoder.files import read_weights
from jnlp.io.durable import Lock

if TYPE_CHECKING:
    from collections.abc import Callable

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
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = shared / f"{name}.pt"
    with Lock(shared / f"{name}.lock", path, wait=True):
        if not path.is_file():
            with tempfile.TemporaryDirectory(dir=shared) as temporary:
                made = Path(temporary) / path.name
                torch.save(make(), made)
                made.replace(path)
    # torch's own format begins each tensor on a cache line
    weights: Weights = torch.load(path, mmap=True, weights_only=True)
    return weights


def check_once(shared: Path | None, key: str, check: Callable[[], None], /) -> None:
    """Run a check; with a shared folder, later processes skip it once it has passed."""
    if shared is None:
        check()
        return
    passed = shared / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.checked"
    if not passed.exists():
        check()
        passed.touch()


def read_shared(folder: Path, dtype: torch.dtype, shared: Path, /) -> Weights:
    """Map a model folder's weights in `dtype`; tensors by name.

    Files that already have the dtype are mapped directly.
    """
    weights = read_weights(folder)
    if all(tensor.dtype == dtype for tensor in weights.values()):
        return weights
    converted = lambda: {name: tensor.to(dtype).contiguous() for name, tensor in weights.items()}  # noqa: E731
    return share_weights(shared, f"{folder.resolve()} {dtype}", converted)
