"""The size of one forward pass of training."""

from __future__ import annotations

import torch

from jnlp.encoder.modernbert import ModernBertConfig
from jnlp.training.micro_batches import CUDA_TOKENS, MICRO_TOKENS, cuda_tokens, micro_tokens


def test_a_gpu_takes_as_many_tokens_as_half_of_its_memory_holds() -> None:
    small = ModernBertConfig(hidden_size=256, intermediate_size=1024, num_hidden_layers=10)
    large = ModernBertConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=25)
    assert micro_tokens(small, torch.device("cpu")) == MICRO_TOKENS
    assert cuda_tokens(small, 80 << 30) == CUDA_TOKENS[1]
    assert cuda_tokens(large, 80 << 30) == (40 << 30) // (25 * (24 * 768 + 8 * 3072))
    assert cuda_tokens(large, 2 << 30) == CUDA_TOKENS[0]
