"""Reads the JSON and safetensors files of a model folder; errors name the file and the remedy."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.models import schema
from jnlp.models.weights import AGAIN, weight_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


def read_json(path: Path, /) -> dict[str, Any]:
    """Read a JSON object; raise JnlpError if the file is missing or not a JSON object."""
    try:
        return schema.read_object(path)
    except FileNotFoundError:
        raise JnlpError(f"{path} is missing", hint="name a folder with a model in Hugging Face's format") from None
    except OSError as error:
        raise JnlpError(f"{path} cannot be read: {error}", hint=AGAIN) from error


def present_weights(folder: Path, /) -> list[Path]:
    """Return a folder's safetensors files; raise JnlpError if one is missing."""
    files = weight_files(folder)
    for file in files:
        if file.is_file():
            continue
        if pickles := sorted(path.name for path in folder.glob("pytorch_model*.bin")):
            raise JnlpError(
                f"{folder} has pickled weights only ({pickles[0]}), which can run code and are not read",
                hint="convert it once with transformers: from_pretrained, then save_pretrained",
            )
        raise JnlpError(f"{file} is missing", hint=AGAIN)
    return files


def read_weights(folder: Path, /) -> dict[str, Tensor]:
    """Map a folder's weights into memory; return tensors by name, in the files' dtype, read from disk on use."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights: dict[str, Tensor] = {}
    for path in present_weights(folder):
        try:
            weights |= load_file(path)
        except (SafetensorError, OSError) as error:
            raise JnlpError(f"{path} is cut off or broken: {error}", hint=AGAIN) from error
    return weights


def check_finite(weights: Mapping[str, Tensor], folder: Path, /) -> None:
    """Raise JnlpError if a weight is NaN or infinite, which would spread to all results.

    It checks the minimum and maximum of each tensor. They need one pass, and in bf16 a tenth of the time of a sum.
    """
    import torch

    names = [name for name, weight in weights.items() if weight.is_floating_point() and weight.numel()]
    if not names:
        return
    ends = torch.stack([torch.stack(torch.aminmax(weights[name])).float() for name in names])
    if not bool(torch.isfinite(ends).all()):
        wrong = names[int((~torch.isfinite(ends)).any(dim=1).nonzero()[0])]
        raise JnlpError(f"the weights in {folder} hold NaN or infinity: {wrong}", hint=AGAIN)


def digest_weights(folder: Path, /, *, block: int = 1 << 16, samples: int = 16) -> str:
    """Return a sha256 that identifies weights without reading gigabytes.

    It covers each file's size, its first block (the header: names, shapes) and evenly spaced sampled blocks. A training
    step changes every block, so two trained models do not collide. A forged file could.
    """
    digest = hashlib.sha256()
    for path in present_weights(folder):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for sample in range(samples + 1):
                file.seek(max(size - block, 0) * sample // samples)
                digest.update(file.read(block))
    return digest.hexdigest()
