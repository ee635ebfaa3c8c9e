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
            help="Go on from a model with its tokenizer and shape, in place of those of the recipe.",
            flags=("--from",),
            metavar="MODEL",
        ),
    ] = None
    hours: Annotated[
        float | None, Option(help="Train for at most this long; the schedule ends when it is over.", gt=0)
    ] = None
    runs: Annotated[
        Path | None, Option(help="Where runs and checkpoints live (default: $JNLP_RUNS, else the user's cache).")
    ] = None
    device: Annotated[str, Option(help="auto, cpu or cuda; several GPUs: torchrun --no-python jnlp pretrain …")] = (
        "auto"
    )
    compiler: Annotated[
        str,
        Option(
            help="Compile the encoder for training: where a C++ compiler works and the run is long, or as asked.",
            choices=("auto", "always", "never"),
        ),
    ] = "auto"
