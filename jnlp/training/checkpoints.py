"""Checkpoints of a run: written whole or not at all, and read back to the bit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence
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
    part = folder / f"{NAME}.part"
    with part.open("wb") as file:
        torch.save(state, file)
        sync(file.fileno())
    part.replace(folder / NAME)
    sync_folder(folder)


def load(folder: Path, objective: Objective, optimisers: Sequence[torch.optim.Optimizer]) -> tuple[int, int, float]:
    """Bring model, data and optimisers to where a checkpoint stands; return its steps, tokens and seconds."""
    path = folder / NAME
    if not path.exists():
        return 0, 0, 0.0
    saved: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    objective.model.load_state_dict(saved["model"])
    objective.load_state(saved["data"])
    for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    return int(saved["step"]), int(saved["tokens"]), float(saved["seconds"])


def sync(descriptor: int) -> None:
    """Wait until a file is on the disk."""
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's entries are on the disk, where the system lets a folder be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
