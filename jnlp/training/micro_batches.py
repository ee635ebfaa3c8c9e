"""The size and the precision of one forward pass of a training step."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

from jnlp.encoder.runtime import has_bf16

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

MICRO_TOKENS = 8192
"""Tokens in one forward pass: small enough for the caches and any GPU, large enough to keep them busy."""


def precision(device: torch.device, /) -> AbstractContextManager[Any]:
    """Return bf16 autocast where the device computes in bf16, else nothing."""
    if has_bf16(str(device)):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
