"""A batch as one sequence of tokens without padding, so that all layers compute only real tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from jnlp.types import IntArray


@dataclass(frozen=True, slots=True)
class Packed:
    """Sequences concatenated to one sequence of T tokens.

    Args:
        ids: int64 `[T]`, token ids.
        positions: int64 `[T]`, counting from 0 in each sequence.
        cu_seqlens: int32 `[B + 1]`, where each sequence starts, and T.
        lengths: The B lengths on the host, so that they need not be read from the device.
        types: int64 `[T]`, token types, for architectures that mark the texts of a pair; else None.
    """

    ids: Tensor
    positions: Tensor
    cu_seqlens: Tensor
    lengths: tuple[int, ...]
    types: Tensor | None = None

    @property
    def starts(self) -> Tensor:
        """The position of each sequence's first token in it: int32 `[B]`."""
        return self.cu_seqlens[:-1]

    def to(self, device: torch.device | str) -> Packed:
        """Return the batch on a device; copies to a GPU use pinned memory and do not block."""
        types = None if self.types is None else send(self.types, device)
        return Packed(
            send(self.ids, device), send(self.positions, device), send(self.cu_seqlens, device), self.lengths, types
        )


def send(tensor: Tensor, device: torch.device | str, /) -> Tensor:
    """Return a host tensor on a device; a copy to a GPU uses pinned memory and does not block."""
    import torch

    kind = torch.device(device).type
    return tensor if kind == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def pack(
    sequences: Sequence[IntArray | Sequence[int]], /, *, types: Sequence[IntArray | Sequence[int]] | None = None
) -> Packed:
    """Concatenate token sequences, each of at least one token, on the host."""
    import torch

    ids = [np.asarray(sequence, dtype=np.int64) for sequence in sequences]
    lengths = [len(each) for each in ids]
    if not lengths or min(lengths) == 0:
        raise ValueError("a batch needs at least one sequence, and each sequence at least one token")
    ends = np.cumsum(lengths)
    return Packed(
        ids=torch.from_numpy(np.concatenate(ids)),
        positions=torch.from_numpy(np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)),
        cu_seqlens=torch.from_numpy(np.concatenate([[0], ends]).astype(np.int32)),
        lengths=tuple(lengths),
        types=None if types is None else torch.from_numpy(np.concatenate([np.asarray(t, np.int64) for t in types])),
    )


def batches(lengths: Sequence[int], budget: int, /, *, padded: bool = False) -> list[list[int]]:
    """Group sequences by length under a budget of tokens per batch.

    Longest first, so that the largest batch comes first and memory does not grow later.

    Args:
        lengths: Tokens of each sequence.
        budget: Maximum tokens per batch.
        padded: Count each sequence as long as the longest of its batch.

    Returns:
        Indices into `lengths`, each exactly once; a sequence over the budget is a batch by itself.
    """
    groups: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        taken = lengths[groups[-1][0]] if padded and groups else lengths[index]
        if not groups or taken > room:
            groups.append([])
            room, taken = budget, lengths[index]
        groups[-1].append(index)
        room -= taken
    return groups
