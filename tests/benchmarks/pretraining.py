"""Pre-training speed: our objective beside transformers' Trainer, on the same model, rows and optimiser.

`python -m tests.benchmarks.pretraining [--steps N] [--write]` prints a Markdown table, and writes it into the page.
Both take steps in turn in one process, so that whatever else the machine does hits both, first as they are, then both
compiled; the first steps of each are not counted. The Trainer computes logits at masked positions alone, as we do, and
its collating is not counted while ours is.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import ModernBertConfig as TheirConfig
from transformers import ModernBertForMaskedLM as TheirModel
from transformers import Trainer, TrainerCallback
from transformers.utils import logging

from jnlp.encoder.modernbert import ModernBertConfig, ModernBertForMaskedLM
from jnlp.training.dense_encoder import can_compile
from jnlp.training.optim import optimisers
from jnlp_pretrain.masked_lm import MaskedLMLoss, MaskedLMObjective
from jnlp_pretrain.masking import mask
from jnlp_pretrain.recipe import Optimisation, Recipe, Span, Stage
from jnlp_pretrain.shards import Shard
from tests.benchmarks.report import table_command
from tests.benchmarks.trainer import RATE as LEARNING_RATE
from tests.benchmarks.trainer import arguments, versions

LENGTH, ROWS, RATE, VOCABULARY = 128, 32, 0.3, 20_000
WARM = 4
CONFIG = ModernBertConfig(
    vocab_size=VOCABULARY, hidden_size=256, intermediate_size=512, num_hidden_layers=6, num_attention_heads=4
)


def peak(size: int = 2048, runs: int = 8) -> float:
    """Return the FLOP/s of a bf16 matrix product, the best of a few runs."""
    a, b = (torch.randn(size, size, dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def flops() -> float:
    """Return the FLOPs of a step that are needed: forward and twice that back, logits at masked positions alone."""
    c, tokens = CONFIG, ROWS * LENGTH
    layer = 4 * c.hidden_size**2 + 3 * c.hidden_size * c.intermediate_size
    attention = 2 * c.hidden_size * LENGTH  # scores and mixing; a local layer reaches all of a row this short
    head = RATE * (c.hidden_size**2 + c.hidden_size * c.vocab_size)
    return 6.0 * tokens * (c.num_hidden_layers * (layer + attention) + head)


class Ours:
    """A step of the objective of `jnlp pretrain`."""

    def __init__(self, shard: Shard, *, compiled: bool) -> None:
        tokens = ROWS * LENGTH
        stage = Stage(1 << 40, (Span(LENGTH),), "none", RATE, batch=tokens, micro_batch=tokens)
        recipe = Recipe("speed", (stage,), optimisation=Optimisation("adamw"))
        torch.manual_seed(0)
        model = ModernBertForMaskedLM(CONFIG)
        loss = MaskedLMLoss(model, compiled=(LENGTH,) if compiled else ())
        self.objective = MaskedLMObjective(recipe, loss, [shard], [], [])
        (self.optimiser,) = optimisers(model, "adamw", lr=LEARNING_RATE, matrix_lr=0.0, weight_decay=0.0)
        self.taken = 0

    def __call__(self) -> float:
        """Take a step; return its seconds."""
        start = time.perf_counter()
        self.objective.backward(self.taken, 0.0)
        torch.nn.utils.clip_grad_norm_(self.objective.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.taken += 1
        return time.perf_counter() - start


@dataclass
class InTurn(TrainerCallback):
    """Times each step of the Trainer, and lets us take one of ours after it."""

    theirs: str
    ours: str
    step: Ours
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    begun: float = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the watch."""
        self.begun = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stop it, and time a step of ours."""
        self.seconds[self.theirs].append(time.perf_counter() - self.begun)
        self.seconds[self.ours].append(self.step())


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Mask rows as we do, and give the Trainer its labels."""
    ids = np.concatenate([row["input_ids"] for row in rows])
    masked = mask(ids, RATE, VOCABULARY, np.random.default_rng(int(ids.sum())))
    labels = np.full_like(ids, -100)
    labels[masked.at] = masked.targets
    shape = (len(rows), LENGTH)
    ids_, labels_ = torch.from_numpy(masked.ids).view(shape), torch.from_numpy(labels).view(shape)
    return {"input_ids": ids_, "labels": labels_, "attention_mask": torch.ones(shape, dtype=torch.int64)}


def measure(steps: int, *, compiled: bool) -> dict[str, list[float]]:
    """Return the seconds of each step of each contestant, both compiled or neither."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    rng = np.random.default_rng(0)
    # pieces as frequent as in text (Zipf): the decoder's gradients touch what they touch in earnest
    tokens = np.minimum(rng.zipf(1.2, size=4_000 * (LENGTH - 2)) + 6, VOCABULARY - 1)
    shard = Shard("zipf", 1.0, tokens.astype(np.uint16), np.arange(1, 4_001) * (LENGTH - 2))
    rows = [{"input_ids": np.concatenate(([1], part, [2]))} for part in np.split(tokens, shard.ends[:-1])]
    names = [f"{name}, compiled" if compiled else name for name in ("transformers Trainer", "jnlp pretrain")]
    turns = InTurn(names[0], names[1], Ours(shard, compiled=compiled))
    torch.manual_seed(0)
    config = TheirConfig(**CONFIG.to_dict(), sparse_prediction=True)
    with tempfile.TemporaryDirectory() as folder:
        given = arguments(folder, rows=ROWS, steps=steps + WARM, bf16=True, torch_compile=compiled)
        Trainer(TheirModel(config), given, data_collator=collate, train_dataset=rows, callbacks=[turns]).train()
    return {name: seconds[WARM:] for name, seconds in turns.seconds.items()}


def table(steps: int, threads: int) -> str:
    """Return tokens a second and the share of the matrix peak as Markdown."""
    torch.set_num_threads(threads)
    before = peak()
    seconds = measure(steps, compiled=False) | (measure(steps, compiled=True) if can_compile() else {})
    best = max(before, peak())
    lines = ["| | tokens/s | share of the matrix peak |", "|---|---|---|"]
    for name, times in seconds.items():
        median = statistics.median(times)
        lines.append(f"| {name} | {ROWS * LENGTH / median:,.0f} | {flops() / median / best:.0%} |")
    lines += [
        "",
        f"256/512/6, {VOCABULARY:,} pieces, {ROWS} rows of {LENGTH} tokens a step, 30 % masked, bf16, AdamW;"
        f" {versions(threads)}; medians of {steps} steps; matrix peak {best / 1e9:,.0f} GFLOP/s in bf16.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    table_command(__doc__, "pretraining", table, steps=20)
