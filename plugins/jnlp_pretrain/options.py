"""The options of `jnlp pretrain`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from jnlp import Option


@dataclass(frozen=True, slots=True)
class PretrainOptions:
    """The options of a run beyond its recipe."""

    start: Annotated[
        str | None,
        Option(
            help="Continue from a model, with its tokenizer and shape instead of the recipe's.",
            flags=("--from",),
            metavar="MODEL",
        ),
    ] = None
    hours: Annotated[float | None, Option(help="Maximum training time; the schedule ends with it.", gt=0)] = None
    runs: Annotated[
        Path | None, Option(help="The folder of runs and checkpoints (default: $JNLP_RUNS, else the user's cache).")
    ] = None
    device: Annotated[str, Option(help="auto, cpu or cuda; several GPUs: torchrun --no-python jnlp pretrain …")] = (
        "auto"
    )
    compiler: Annotated[
        str,
        Option(
            help="Compile the encoder for training; auto: for long runs, if a C++ compiler works.",
            choices=("auto", "always", "never"),
        ),
    ] = "auto"
