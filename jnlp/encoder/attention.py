"""Attention over packed tokens: one signature and its implementations.

Every implementation takes `(q, k, v, cu_seqlens, lengths, window)` and returns `[T, heads, head_dim]`. q, k, v are
`[T, heads, head_dim]`, cu_seqlens is int32 `[B + 1]`, and the B lengths are on the host. With a window, a token attends
to |i - j| <= window; with None, to its whole sequence. All but the compiled kernel are differentiable. `reference` is
the definition; the others are tested against it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from jnlp.encoder import groups
from jnlp.encoder.forms import kernels
from jnlp.encoder.packing import Packed
from jnlp.encoder.rotation import RotationTable

Attention = Callable[[Tensor, Tensor, Tensor, Tensor, tuple[int, ...], int | None], Tensor]
AttentionQkv = Callable[[Tensor, RotationTable, Packed, int | None], Tensor]


def attention(
    q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, lengths: tuple[int, ...], window: int | None, /
) -> Tensor:
    """Attend within each sequence, by the implementation chosen for the tensors' device, dtype and head size."""
    chosen = choose(q.device, q.dtype, q.shape[-1], torch.is_grad_enabled())
    return chosen(q, k, v, cu_seqlens, lengths, window)


def choose(device: torch.device | str, dtype: torch.dtype, head_dim: int, gradients: bool, /) -> Attention:
    """Return the implementation: flash-attn or `varlen` on CUDA, the compiled kernel on a CPU, else `blocked`."""
    place = torch.device(device)
    if place.type == "cuda" and dtype in (torch.float16, torch.bfloat16) and flash_runs(head_dim, place.index):
        return _on_cuda()
    if place.type == "cpu" and not gradients and (compiled := kernels.load()) and compiled.handles(dtype, head_dim):
        return compiled.attention
    return blocked


@cache
def flash_runs(head_dim: int, gpu: int | None = None, /) -> bool:
    """Return True if the flash kernels support this head size on a GPU: Ampere or newer, multiples of 8 up to 256."""
    return head_dim % 8 == 0 and head_dim <= 256 and torch.cuda.get_device_capability(gpu) >= (8, 0)


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
    parts = []
    for q_, k_, v_ in zip(*(torch.split(x, list(lengths)) for x in (q, k, v)), strict=True):
        scores = torch.einsum("ihd,jhd->hij", q_, k_) * q.shape[-1] ** -0.5
        if window is not None:
            i = torch.arange(len(q_), device=q.device)
            scores = scores.masked_fill((i[:, None] - i).abs() > window, float("-inf"))
        parts.append(torch.einsum("hij,jhd->ihd", scores.softmax(-1), v_))
    return torch.cat(parts)


def varlen(
    q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, lengths: tuple[int, ...], window: int | None, /
) -> Tensor:
    """Attend through torch's own flash kernel over packed tokens: CUDA, 16-bit.

    Without gradients, the keys are not split if this torch has that option. The result of a sequence then does not
    depend on the rest of the batch.
    """
    from torch.nn.attention.varlen import varlen_attn

    reach = -1 if window is None else window
    longest = max(lengths)
    whole = {} if torch.is_grad_enabled() else _whole()
    out = varlen_attn(q, k, v, cu_seqlens, cu_seqlens, longest, longest, window_size=(reach, reach), **whole)
    assert isinstance(out, Tensor)  # a pair only where more was asked for
    return out


@cache
def _whole() -> dict[str, Any]:
    """Return the argument that keeps `varlen_attn` from splitting keys; torch before 2.12 may not have it."""
    from torch.nn.attention.varlen import varlen_attn

    return {"num_splits": 1} if "num_splits" in inspect.signature(varlen_attn).parameters else {}


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
    """Attend in plain torch on any device, computing few scores outside the windows."""
    q, k, v = (x.transpose(0, 1) for x in (q * q.shape[-1] ** -0.5, k, v))
    return groups.attend(q, k, v, lengths, window)


def attend_qkv(qkv: Tensor, rotation: RotationTable, packed: Packed, window: int | None, /) -> Tensor:
    """Rotate queries and keys, then attend: for a CPU without gradients.

    Args:
        qkv: Queries, keys and values before the rotation, `[T, 3, heads, head_dim]`.
        rotation: The angles of the positions.
        packed: The batch.
        window: A token attends to |i - j| <= window; None: to its whole sequence.

    Returns:
        `[T, heads * head_dim]`.
    """
    if (compiled := kernels.load()) and compiled.handles(qkv.dtype, qkv.shape[-1]):
        return compiled.attention_qkv(qkv, rotation.cos, rotation.sin, packed.cu_seqlens, packed.lengths, window)
    return attend_qkv_plain(qkv, rotation, packed, window)


def attend_qkv_plain(qkv: Tensor, rotation: RotationTable, packed: Packed, window: int | None, /) -> Tensor:
    """Compute `attend_qkv` in plain torch."""
    q, k = rotation.turn(qkv[:, :2], packed.positions)
    return groups.attend(q, k, qkv[:, 2].transpose(0, 1), packed.lengths, window).flatten(1)
