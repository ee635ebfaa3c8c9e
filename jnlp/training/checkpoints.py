"""Checkpoints of training runs: written atomically, verified, and restored exactly."""

from __future__ import annotations

import zipfile
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch

from jnlp.errors import JnlpError
from jnlp.io.durable import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME = "checkpoint.pt"


def save(path: Path, state: Mapping[str, Any], /) -> None:
    """Write a checkpoint and sync it to disk before it replaces the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        torch.save(dict(state), file)


@contextmanager
def loaded(path: Path, /, *, device: torch.device | str = "cpu") -> Iterator[dict[str, Any]]:
    """Yield the state of a checkpoint; an error while it is used is reported as a damaged file.

    torch does not verify the checksums that it writes, so they are verified here first.

    Args:
        path: The file.
        device: The device of its tensors.

    Raises:
        JnlpError: It is truncated, damaged or from another run; the message names the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"{damaged} is damaged")
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
        yield state
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        why = " ".join(str(error).split())[:200]
        raise JnlpError(
            f"the checkpoint {path} cannot be read: {why}", hint="remove it, and the run starts from the beginning"
        ) from error
