"""The attention seam: one signature over packed tokens, and the implementations behind it.

Every implementation takes `(q, k, v, cu_seqlens, lengths, window)`: q, k, v `[T, heads, head_dim]`, cu_seqlens int32
`[B + 1]`, the B lengths on the host, and the window (a token attends to |i - j| <= window; None: to its whole
sequence); and returns `[T, heads, head_dim]`. All are differentiable. `reference` says what is meant; the others are
tested against it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from itertools import groupby

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from jnlp.encoder import kernels

Attention = Callable[[Tensor, Tensor, Tensor, Tensor, tuple[int, ...], int | None], Tensor]

BLOCK = 64
"""Queries a block of local attention; with 64 keys on each side, two thirds of the scores are within reach."""


def attention(
    q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, lengths: tuple[int, ...], window: int | None, /
) -> Tensor:
    """Attend within each sequence, by the implementation chosen for the tensors' device, dtype and head size."""
    chosen = choose(q.device.type, q.dtype, q.shape[-1], torch.is_grad_enabled())
    return chosen(q, k, v, cu_seqlens, lengths, window)


def choose(device: str, dtype: torch.dtype, head_dim: int, gradients: bool, /) -> Attention:
    """Return the implementation: flash-attn or `varlen` on CUDA, the compiled kernel on a CPU, else `blocked`."""
    if device == "cuda" and dtype in (torch.float16, torch.bfloat16):
        return _on_cuda()
    if device == "cpu" and dtype is torch.bfloat16 and head_dim == kernels.HEAD_DIM and not gradients:
        return kernels.load() or blocked
    return blocked


@cache
def _on_cuda() -> Attention:
    try:
        import flash_attn  # noqa: F401 - is it there?
    except ImportError:
        return varlen
    return flash


def reference(
    q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, lengths: tuple[int, ...], window: int | None, /
) -> Tensor:
    """Attend sequence by sequence with every score written out and an explicit mask: the definition."""
    rows = []
    for q_, k_, v_ in zip(*(torch.split(x, list(lengths)) for x in (q, k, v)), strict=True):
        scores = torch.einsum("ihd,jhd->hij", q_, k_) * q.shape[-1] ** -0.5
        if window is not None:
            i = torch.arange(len(q_), device=q.device)
            scores = scores.masked_fill((i[:, None] - i).abs() > window, float("-inf"))
        rows.append(torch.einsum("hij,jhd->ihd", scores.softmax(-1), v_))
    return torch.cat(rows)


def varlen(
    q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, lengths: tuple[int, ...], window: int | None, /
) -> Tensor:
    """Attend through torch's own flash kernel over packed tokens: CUDA, 16-bit."""
    from torch.nn.attention.varlen import varlen_attn

    reach = -1 if window is None else window
    longest = max(lengths)
    out = varlen_attn(q, k, v, cu_seqlens, cu_seqlens, longest, longest, window_size=(reach, reach))
    assert isinstance(out, Tensor)  # a pair only where more was asked for
    return out


def flash(
    q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, lengths: tuple[int, ...], window: int | None, /
) -> Tensor:
    """Attend through the flash-attn package (the extra `flash`): CUDA, 16-bit."""
    from flash_attn import flash_attn_varlen_func

    reach = -1 if window is None else window
    longest = max(lengths)
    out: Tensor = flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, longest, longest, window_size=(reach, reach))
    return out


def blocked(
    q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, lengths: tuple[int, ...], window: int | None, /
) -> Tensor:
    """Attend in plain torch on any device, computing little more than what each token reaches."""
    if window is None or max(lengths) == 1:
        return _global(q, k, v, lengths)
    return _local(q, k, v, lengths, window)


def _global(q: Tensor, k: Tensor, v: Tensor, lengths: tuple[int, ...], /) -> Tensor:
    """Attend over whole sequences, neighbours of equal length together; without a mask the fast kernel runs."""
    runs = [(length, len(list(run))) for length, run in groupby(lengths)]
    sizes = [length * count for length, count in runs]
    rows = []
    for (length, count), *qkv in zip(runs, *(torch.split(x, sizes) for x in (q, k, v)), strict=True):
        q_, k_, v_ = (x.view(count, length, *x.shape[1:]).transpose(1, 2) for x in qkv)
        rows.append(F.scaled_dot_product_attention(q_, k_, v_).transpose(1, 2).flatten(0, 1))
    return torch.cat(rows)


def _local(q: Tensor, k: Tensor, v: Tensor, lengths: tuple[int, ...], window: int, /) -> Tensor:
    """Attend within a window, all sequences in one call.

    The row is cut into blocks of queries wherever they fall; a block's keys are a view of the row that reaches
    `window` further on each side; the mask keeps sequences apart.
    """
    total = len(q)
    mask = _block_mask(lengths, window, q.device, q.dtype)
    tail = len(mask) * BLOCK - total
    q_ = F.pad(q, (0, 0, 0, 0, 0, tail)).view(-1, BLOCK, *q.shape[1:]).transpose(1, 2)
    k_, v_ = (
        F.pad(x, (0, 0, 0, 0, window, tail + window)).unfold(0, BLOCK + 2 * window, BLOCK).transpose(2, 3)
        for x in (k, v)
    )
    out = F.scaled_dot_product_attention(q_, k_, v_, attn_mask=mask)
    return out.transpose(1, 2).flatten(0, 1)[:total]


@lru_cache(maxsize=4)
def _block_mask(lengths: tuple[int, ...], window: int, device: torch.device, dtype: torch.dtype, /) -> Tensor:
    """Return what each block adds to its scores: 0 where a key is reached, else -inf: `[blocks, 1, queries, keys]`.

    Kept from layer to layer. Made outside inference mode, since training may meet the same lengths.
    """
    with torch.inference_mode(False):
        total = sum(lengths)
        blocks = -(-total // BLOCK)
        owner = torch.full((window + blocks * BLOCK + window,), -1, dtype=torch.int32)
        owner[window : window + total] = torch.repeat_interleave(
            torch.arange(len(lengths), dtype=torch.int32), torch.tensor(lengths)
        )
        keys = owner.unfold(0, BLOCK + 2 * window, BLOCK)
        queries = keys[:, window : window + BLOCK]
        distance = torch.arange(BLOCK + 2 * window) - torch.arange(window, window + BLOCK)[:, None]
        reached = (queries[:, :, None] == keys[:, None, :]) & (distance.abs() <= window)
        mask = torch.zeros(reached.shape, dtype=dtype).masked_fill_(~reached, float("-inf"))
        return mask[:, None].to(device)
