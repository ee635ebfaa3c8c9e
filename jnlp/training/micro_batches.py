"""The size and the precision of one forward pass of a training step."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

from jnlp.encoder.runtime import has_bf16

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from jnlp.encoder.config import ModernBertConfig

MICRO_TOKENS = 8192
"""Tokens in one forward pass: small enough for the caches and any GPU, large enough to keep them busy."""
CUDA_TOKENS = (2048, 65_536)
"""The fewest and the most on a GPU, where `micro_tokens` takes as many as fit its memory."""


def micro_tokens(config: ModernBertConfig, device: torch.device, /) -> int:
    """Return the tokens in one forward pass of a model whose gradients are needed."""
    if device.type != "cuda":
        return MICRO_TOKENS
    return cuda_tokens(config, torch.cuda.get_device_properties(device).total_memory)


def cuda_tokens(config: ModernBertConfig, memory: int, /) -> int:
    """Return the tokens whose values, kept for the backward pass in bf16, take half of a GPU's memory.

    For each layer and token these are, in bytes: 24 d for norms, projections and the residual stream, which is fp32,
    and 8 i for the gated layer of width i.
    """
    width = config.num_hidden_layers * (24 * config.hidden_size + 8 * config.intermediate_size)
    fewest, most = CUDA_TOKENS
    return max(fewest, min(most, memory // 2 // width))


def precision(device: torch.device, /) -> AbstractContextManager[Any]:
    """Return bf16 autocast where the device computes in bf16, else nothing."""
    if has_bf16(str(device)):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
