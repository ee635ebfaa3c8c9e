"""Attention for training on rows of equal length: one dense call over the rows, a mask keeping sequences apart.

At rows of 128 tokens it is several times faster, forward and back, than cutting out each short sequence.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from jnlp.encoder.attention import Attention
    from jnlp.encoder.modernbert import ModernBert


@contextmanager
def attending_in_rows(encoder: ModernBert, length: int) -> Iterator[None]:
    """Let an encoder attend by rows of `length` tokens within this block; no sequence may cross a row."""
    before = encoder.attend
    encoder.attend = _in_rows(length)
    try:
        yield
    finally:
        encoder.attend = before


def _in_rows(length: int) -> Attention:
    masks: dict[int | None, tuple[tuple[int, ...], Tensor]] = {}

    def attend(
        q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, lengths: tuple[int, ...], window: int | None, /
    ) -> Tensor:
        if window not in masks or masks[window][0] is not lengths:
            masks[window] = lengths, _mask(lengths, length, window, q.dtype)
        q, k, v = (x.unflatten(0, (-1, length)).transpose(1, 2) for x in (q * q.shape[-1] ** -0.5, k, v))
        # written out: with rows this short the fused kernel is slower, above all backwards
        scores = q @ k.mT + masks[window][1]
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(0, 1)

    return attend


def _mask(lengths: tuple[int, ...], length: int, window: int | None, dtype: torch.dtype) -> Tensor:
    """Return what is added to the scores: 0 where a key is reached, else -inf: `[rows, 1, length, length]`."""
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).view(-1, length)
    reached = owner[:, :, None] == owner[:, None, :]
    if window is not None:
        at = torch.arange(length)
        reached &= (at[:, None] - at).abs() <= window
    return torch.zeros(reached.shape, dtype=dtype).masked_fill_(~reached, float("-inf"))[:, None]
