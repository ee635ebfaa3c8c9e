"""The built library as functions of torch tensors. No gradients; heads of 64."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

HEAD_DIM = 64
"""The size of an attention head that the kernels are written for."""

_POINTER, _WIDE, _NARROW = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
_ATTENTION: list[Any] = [*[_POINTER] * 3, _WIDE, *[_POINTER] * 4, _WIDE, _WIDE, _NARROW, _NARROW]

_STEP: list[Any] = [*[_POINTER] * 4, _WIDE, _WIDE, _NARROW]


class Kernels:
    """The compiled kernels of one library.

    Args:
        path: The built library.
        bf16: Whether the processor multiplies bf16.
        int8: Whether it also multiplies int8.
    """

    def __init__(self, path: Path, /, *, bf16: bool, int8: bool) -> None:
        self.path = path
        self._library = ctypes.CDLL(str(path))
        self._attention = {torch.float32: self._library.jnlp_attention_fp32}
        if bf16:
            self._attention[torch.bfloat16] = self._library.jnlp_attention_bf16
        for run in self._attention.values():
            run.argtypes, run.restype = _ATTENTION, ctypes.c_int
        able = {"bf16": (bf16, self._library.jnlp_layer_step_bf16), "int8": (int8, self._library.jnlp_layer_step_int8)}
        self.steps = {precision: run for precision, (has, run) in able.items() if has}
        """The functions of the step between two attentions, by the precision of their products."""
        for run in self.steps.values():
            run.argtypes, run.restype = _STEP, ctypes.c_int

    def handles(self, dtype: torch.dtype, head_dim: int, /) -> bool:
        """Return True if attention in this dtype and head size is compiled for this processor."""
        return dtype in self._attention and head_dim == HEAD_DIM

    def attention(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        cu_seqlens: Tensor,
        lengths: tuple[int, ...],
        window: int | None,
        /,
    ) -> Tensor:
        """Attend within each sequence, with the signature of `jnlp.encoder.attention`, without gradients.

        Raises:
            ValueError: A tensor requires gradients.
        """
        if torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v)):
            raise ValueError("the compiled attention has no gradients")
        q, k, v = _alike(q, k, v)
        return self._attend(q, k, v, None, None, cu_seqlens, lengths, window)

    def attention_qkv(
        self,
        qkv: Tensor,
        cos: Tensor,
        sin: Tensor,
        cu_seqlens: Tensor,
        lengths: tuple[int, ...],
        window: int | None,
        /,
    ) -> Tensor:
        """Rotate queries and keys by the angles of their positions, and attend within each sequence.

        Args:
            qkv: The projection `[T, 3, heads, 64]`, contiguous for each token.
            cos: fp32 `[positions, 32]`, by position within the sequence; component i is paired with i + 32.
            sin: The same for the sine.
            cu_seqlens: int32 `[B + 1]`.
            lengths: The B lengths.
            window: How far a token attends; None: to its whole sequence.

        Returns:
            `[T, heads * 64]` in qkv's dtype.
        """
        if qkv.stride()[1:] != (qkv.shape[2] * HEAD_DIM, HEAD_DIM, 1):
            qkv = qkv.contiguous()
        if min(len(cos), len(sin)) < max(lengths):
            raise ValueError(f"angles of {len(cos)} positions for a sequence of {max(lengths)}")
        q, k, v = qkv.unbind(1)
        return self._attend(q, k, v, cos.contiguous(), sin.contiguous(), cu_seqlens, lengths, window).flatten(1)

    def _attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        cos: Tensor | None,
        sin: Tensor | None,
        cu_seqlens: Tensor,
        lengths: tuple[int, ...],
        window: int | None,
    ) -> Tensor:
        out = torch.empty(q.shape, dtype=q.dtype)
        angles = [None if x is None else x.data_ptr() for x in (cos, sin)]
        failed = self._attention[q.dtype](
            *(x.data_ptr() for x in (q, k, v)),
            q.stride(0),
            *angles,
            out.data_ptr(),
            cu_seqlens.data_ptr(),
            len(lengths),
            q.shape[1],
            -1 if window is None else window,
            torch.get_num_threads(),
        )
        if failed:
            raise MemoryError(f"no memory for the keys and values of {max(lengths)} tokens")
        return out


def _alike(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return tensors with contiguous heads and equal token strides; copy those that differ."""
    strides = {x.stride(0) for x in tensors}
    dense = all(x.stride()[1:] == (HEAD_DIM, 1) for x in tensors)
    return tensors if dense and len(strides) == 1 else tuple(x.contiguous() for x in tensors)
