"""Encoders and batches for tests of how a forward pass is computed."""

from __future__ import annotations

import torch

from jnlp.encoder.modernbert import ModernBert, ModernBertConfig
from jnlp.encoder.packing import pack

LENGTHS = [(1,), (2,), (15, 16, 17), (63, 64, 65), (127, 128, 129), (511, 512, 513), (47, 1, 300, 48, 5)]


def encoder_of(hidden=128, heads=2, inner=192, layers=4, dtype=torch.bfloat16, **config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hidden + layers)
        shape = {
            "vocab_size": 500,
            "hidden_size": hidden,
            "intermediate_size": inner,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "initializer_range": 0.05,
        }
        model = ModernBert(ModernBertConfig(**shape | config))
        for name, weight in model.named_parameters():
            if "norm" in name:  # else all are 1, and one taken for another would not be seen
                torch.nn.init.uniform_(weight, 0.5, 1.5)
    return model.eval().requires_grad_(False).to(dtype)


def packed_of(lengths):
    generator = torch.Generator().manual_seed(sum(lengths))
    return pack([torch.randint(0, 500, (n,), generator=generator).numpy() for n in lengths])
