"""The options of `jnlp pretrain`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from jnlp import Option


@dataclass(frozen=True, slots=True)
class PretrainOptions:
    """What a run may be told beyond its recipe."""

    hours: Annotated[
        float | None, Option(help="Train for at most this long; the schedule ends when it is over.", gt=0)
    ] = None
    runs: Annotated[
        Path | None, Option(help="Where runs and checkpoints live (default: $JNLP_RUNS, else the user's cache).")
    ] = None
