"""Weights in another dtype than the files', held once for all processes that share a folder."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.encoder.files import read_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor


def read_converted(folder: Path, dtype: torch.dtype, shared: Path, /) -> dict[str, Tensor]:
    """Map a model folder's weights in `dtype`; tensors by name.

    The process that comes first converts them into a file in `shared`, the others wait and map it too, so that its
    pages are in memory once. Files that have the dtype already are mapped themselves.
    """
    from safetensors.torch import load_file, save_file

    weights = read_weights(folder)
    if all(tensor.dtype == dtype for tensor in weights.values()):
        return weights
    key = hashlib.sha256(f"{folder.resolve()} {dtype}".encode()).hexdigest()[:16]
    path = shared / f"{key}.safetensors"
    with _alone(shared / f"{key}.lock"):
        if not path.is_file():
            with tempfile.TemporaryDirectory(dir=shared) as beside:
                made = Path(beside) / path.name
                save_file({name: tensor.to(dtype).contiguous() for name, tensor in weights.items()}, made)
                made.replace(path)
    return load_file(path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock that dies with its process; on systems without such locks the last one's file stands."""
    with path.open("ab") as file:
        try:
            import fcntl
        except ImportError:
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
