"""Pre-training steps on a GPU: our objective beside a plain loop over transformers' model, on the same rows.

Full rows of one document, the same masks, bf16 autocast, fused AdamW; logits at masked positions alone in both. Masking
and copying are counted in both.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from jnlp.encoder.modernbert import ModernBertConfig, ModernBertForMaskedLM
from jnlp.encoder.packing import send
from jnlp.training.optim import optimisers, update
from jnlp_pretrain.masked_lm import MaskedLMLoss, MaskedLMObjective
from jnlp_pretrain.masking import mask
from jnlp_pretrain.recipe import Optimisation, Recipe, Span, Stage
from jnlp_pretrain.shards import Shard
from tests.benchmarks.works import SHAPES, Shape, equal, flops

if TYPE_CHECKING:
    from collections.abc import Callable

RATE, WARM, STEPS = 0.3, 3, 10
CASES = (("30m", 128, 256), ("30m", 1024, 32), ("130m", 1024, 32))
"""A size, and the length and number of the rows of a step."""


def table(peak: float, /) -> str:
    """Return tokens a second and the share of the matrix peak as Markdown."""
    lines = ["| pre-training step | transformers, sdpa: tokens/s | jnlp pretrain: tokens/s (% of peak) | ratio |"]
    lines.append("|---|---|---|---|")
    for name, length, rows in CASES:
        theirs, ours = (statistics.median(seconds) for seconds in measure(SHAPES[name], length, rows))
        share = 3 * operations(SHAPES[name], length, rows) / ours / peak
        speeds = f"{rows * length / theirs:,.0f} | {rows * length / ours:,.0f} ({100 * share:.0f})"
        lines.append(f"| {name}, {rows} rows of {length:,} | {speeds} | {theirs / ours:.2f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def operations(shape: Shape, length: int, rows: int, /) -> float:
    """Return the operations of a forward pass with logits at the masked positions."""
    head = 2 * RATE * rows * length * shape.hidden * (shape.hidden + shape.vocabulary)
    return flops(shape, equal(rows, length)) + head


def measure(shape: Shape, length: int, rows: int, /, *, device: str = "cuda") -> tuple[list[float], list[float]]:
    """Return the seconds of steps of transformers and of ours, taken in turn."""
    config = ModernBertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
    )
    rng = np.random.default_rng(0)
    # pieces as frequent as in text (Zipf): the decoder's gradients touch what they touch in earnest
    tokens = np.minimum(rng.zipf(1.2, size=4 * rows * (length - 2)) + 6, shape.vocabulary - 1)
    shard = Shard("zipf", 1.0, tokens.astype(np.uint32), np.arange(1, 4 * rows + 1) * (length - 2))
    steps = _theirs(config, shard, length, rows, device), _ours(config, shard, length, rows, device)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(WARM + STEPS):
        for step, times in zip(steps, seconds, strict=True):
            start = time.perf_counter()
            step()
            if device != "cpu":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    return seconds[0][WARM:], seconds[1][WARM:]


def _ours(config: ModernBertConfig, shard: Shard, length: int, rows: int, device: str) -> Callable[[], object]:
    stage = Stage(1 << 40, (Span(length),), "none", RATE, batch=rows * length, micro_batch=rows * length)
    recipe = Recipe("speed", (stage,), optimisation=Optimisation("adamw"))
    torch.manual_seed(0)
    with torch.device(device):
        loss = MaskedLMLoss(ModernBertForMaskedLM(config))
    objective = MaskedLMObjective(recipe, loss, [shard], [], [])
    made = optimisers(loss.model, "adamw", lr=1e-4, matrix_lr=0.0, weight_decay=0.0)

    def step() -> None:
        objective.backward(0, 0.0)
        update(loss.model, made, 1.0, clip=1.0)

    return step


def _theirs(config: ModernBertConfig, shard: Shard, length: int, rows: int, device: str) -> Callable[[], object]:
    from transformers import ModernBertConfig as TheirConfig
    from transformers import ModernBertForMaskedLM as TheirModel

    torch.manual_seed(0)
    theirs = TheirConfig(**config.to_dict(), sparse_prediction=True)
    with torch.device(device):
        model = TheirModel._from_config(theirs, attn_implementation="sdpa").train()
    made = optimisers(model, "adamw", lr=1e-4, matrix_lr=0.0, weight_decay=0.0)
    documents = shard.tokens.reshape(-1, length - 2).astype(np.int64)
    rng = np.random.default_rng(0)

    def step() -> None:
        chosen = documents[rng.integers(0, len(documents), rows)]
        ids = np.concatenate((np.full((rows, 1), 1), chosen, np.full((rows, 1), 2)), axis=1).ravel()
        masked = mask(ids, RATE, config.vocab_size, rng)
        labels = np.full_like(ids, -100)
        labels[masked.at] = masked.targets
        inputs = {"input_ids": masked.ids, "labels": labels, "attention_mask": np.ones_like(ids)}
        given = {name: torch.from_numpy(x).view(rows, length) for name, x in inputs.items()}
        moved = {name: send(x, device) for name, x in given.items()}
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            loss = model(**moved).loss
        loss.backward()
        update(model, made, 1.0, clip=1.0)

    return step
