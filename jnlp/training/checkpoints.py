"""Checkpoints of a run: written whole or not at all, and read back to the bit."""

from __future__ import annotations

from contextlib import contextmanager
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch

from jnlp.errors import JnlpError
from jnlp.io.durable import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jnlp.training.loop import Objective

NAME = "checkpoint.pt"


def save(
    folder: Path,
    objective: Objective,
    optimisers: Sequence[torch.optim.Optimizer],
    *,
    step: int,
    tokens: int,
    seconds: float,
) -> None:
    """Write a checkpoint: it reaches the disk before it takes the place of the one before."""
    state = {
        "model": objective.model.state_dict(),
        "data": objective.state(),
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        "seconds": seconds,
        "step": step,
        "tokens": tokens,
    }
    with replacing(folder / NAME) as file:
        torch.save(state, file)


def load(folder: Path, objective: Objective, optimisers: Sequence[torch.optim.Optimizer]) -> tuple[int, int, float]:
    """Bring model, data and optimisers to the state of a checkpoint; return its steps, tokens and seconds."""
    path = folder / NAME
    if not path.exists():
        return 0, 0, 0.0
    with reading(path):
        saved: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        objective.model.load_state_dict(saved["model"])
        objective.load_state(saved["data"])
        for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        return int(saved["step"]), int(saved["tokens"]), float(saved["seconds"])


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Report a checkpoint that is cut off, damaged or of another run in one line.

    Raises:
        JnlpError: It cannot be used; the message names the file.
    """
    try:
        yield
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        UnpicklingError,
    ) as error:
        why = " ".join(str(error).split())[:200]
        raise JnlpError(
            f"the checkpoint {path} cannot be read: {why}", hint="remove it, and the run starts from the beginning"
        ) from error
