"""Fine-tuning speed: a classifier on packed batches beside transformers' Trainer, on the same model and rows.

`python -m tests.benchmarks.training [--steps N] [--write]` (N a multiple of 8) prints a Markdown table, and
writes it into the page. Texts have mixed lengths. The Trainer pads, once with rows in random order, as ours
are, and once with rows of like length together. It and ours take steps in turn in one process, so that whatever
else the machine does hits both; the first steps of each are not counted. The Trainer's collating is not counted
while our packing is. Only real tokens count.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, Trainer, TrainerCallback
from transformers.utils import logging

from jnlp.encoder.runtime import has_bf16
from jnlp.models.resolve import BUILTIN
from jnlp.training.classifier.finetune import ClassifierObjective, FullModel
from jnlp.training.classifier.options import ClassifierOptions
from jnlp.training.classifier.targets import Goal
from jnlp.training.folder import Sequences
from jnlp.training.optim import optimisers
from jnlp.types import ProblemType
from jnlp_evaluate.finetune import PackedBackbone
from tests.benchmarks.report import table_command
from tests.benchmarks.trainer import RATE, arguments, versions

BASE, ROWS, TEXTS, LONGEST = "tiny", 32, 1_024, 512
WARM = 8  # steps: the Trainer groups 256 of 1,024 rows by length, longest first; a whole group is left out
MEDIAN, SPREAD = 60, 0.9  # tokens of a text: log-normal, as reviews and posts are
GOAL = Goal(("negative", "positive"), ProblemType.SINGLE_LABEL)
TRAINER, GROUPED, OURS = "transformers Trainer", "transformers Trainer, grouped by length", "jnlp, packed"


def rows() -> tuple[list[np.ndarray[tuple[int], np.dtype[np.int64]]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return token sequences of mixed lengths, and a label for each."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(MEDIAN), SPREAD, TEXTS), 8, LONGEST).astype(int)
    pieces = [np.minimum(rng.zipf(1.2, size=length - 2) + 140, 19_999) for length in lengths]
    return [np.array([1, *part, 2], np.int64) for part in pieces], rng.integers(0, 2, TEXTS)


class Ours:
    """A step of the objective that `jnlp train classifier` and `jnlp evaluate` fit."""

    def __init__(self) -> None:
        texts, labels = rows()
        place = torch.device("cpu")
        model = PackedBackbone(BUILTIN / BASE).network(GOAL, ClassifierOptions(pooling="cls"), place)
        learner: Any = FullModel(model, [Sequences((ids,), (1.0,)) for ids in texts], place)  # type: ignore[arg-type]
        self.objective = ClassifierObjective(learner, labels, learner, labels, GOAL, batch_size=ROWS)
        (self.optimiser,) = optimisers(model, "adamw", lr=RATE, matrix_lr=0.0, weight_decay=0.0)
        self.batches = self.objective.batches(0, np.random.default_rng(0))
        self.objective.module.train()
        self.taken = 0

    def __call__(self) -> tuple[float, int]:
        """Take a step; return its seconds and tokens."""
        start = time.perf_counter()
        _, tokens = self.objective.backward(self.batches[self.taken % len(self.batches)])
        torch.nn.utils.clip_grad_norm_(self.objective.module.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.taken += 1
        return time.perf_counter() - start, tokens


@dataclass
class InTurn(TrainerCallback):
    """Times each step of the Trainer, counts its real tokens, and lets us take one of ours after it."""

    step: Ours
    steps: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    name: str = TRAINER
    begun: float = 0.0
    tokens: int = 0

    def count(self, _: Any, __: Any, inputs: dict[str, torch.Tensor]) -> None:
        """Count the tokens of a forward pass."""
        self.tokens = int(inputs["attention_mask"].sum())

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the watch."""
        self.begun = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stop it, and time a step of ours."""
        self.steps[self.name].append((time.perf_counter() - self.begun, self.tokens))
        self.steps[OURS].append(self.step())


def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Pad rows to the longest of the batch."""
    width = max(len(row["input_ids"]) for row in batch)
    ids = np.full((len(batch), width), 3, np.int64)
    real = np.zeros_like(ids)
    for number, row in enumerate(batch):
        ids[number, : len(row["input_ids"])], real[number, : len(row["input_ids"])] = row["input_ids"], 1
    labels = torch.tensor([int(row["labels"]) for row in batch])
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(real), "labels": labels}


def measure(steps: int) -> dict[str, float]:
    """Return the tokens a second of each contestant."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    texts, labels = rows()
    data = [{"input_ids": ids, "labels": label} for ids, label in zip(texts, labels, strict=True)]
    turns, speeds = InTurn(Ours()), {}
    for name, order in ((TRAINER, "random"), (GROUPED, "group_by_length")):
        turns.name = name
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(BUILTIN / BASE, num_labels=2, dtype=torch.float32)
        model.register_forward_pre_hook(turns.count, with_kwargs=True)
        with tempfile.TemporaryDirectory() as folder:
            given = arguments(
                folder, rows=ROWS, steps=steps + WARM, bf16=has_bf16("cpu"), train_sampling_strategy=order
            )
            Trainer(model, given, data_collator=collate, train_dataset=data, callbacks=[turns]).train()
        taken = turns.steps[name][WARM:]
        speeds[name] = sum(tokens for _, tokens in taken) / sum(seconds for seconds, _ in taken)
    taken = turns.steps[OURS][WARM:]
    return speeds | {OURS: sum(tokens for _, tokens in taken) / sum(seconds for seconds, _ in taken)}


def table(steps: int, threads: int) -> str:
    """Return tokens a second and ratios as Markdown."""
    torch.set_num_threads(threads)
    speeds = measure(steps)
    best = max(speed for name, speed in speeds.items() if name != OURS)
    lines = ["| | tokens/s | to the better Trainer |", "|---|---|---|"]
    lines += [f"| {name} | {speed:,.0f} | {speed / best:.2f} |" for name, speed in speeds.items()]
    lengths = [len(ids) for ids in rows()[0]]
    kind = "bf16" if has_bf16("cpu") else "fp32"
    lines += [
        "",
        f"`{BASE}` with a classifier, {ROWS} rows a step, texts of {min(lengths)} to {max(lengths)} tokens (median"
        f" {np.median(lengths):.0f}), {kind}, AdamW; {versions(threads)};"
        f" {steps} steps of each Trainer, and as many of ours after them.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    table_command(__doc__, "training", table, steps=16)
