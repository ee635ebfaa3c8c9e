"""transformers' Trainer, as the benchmarks of training run it: on the CPU, with nothing saved or reported."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import torch
from transformers import TrainingArguments

RATE = 1e-4


def arguments(folder: str, /, *, rows: int, steps: int, **more: Any) -> TrainingArguments:
    """Return the arguments of a run of so many steps and rows a step, with AdamW at `RATE`."""
    return TrainingArguments(
        folder,
        per_device_train_batch_size=rows,
        max_steps=steps,
        learning_rate=RATE,
        weight_decay=0.0,
        use_cpu=True,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        **more,
    )


def versions(threads: int, /) -> str:
    """Return what a table was measured with."""
    return f"{threads} threads, torch {torch.__version__}, transformers {version('transformers')}"
