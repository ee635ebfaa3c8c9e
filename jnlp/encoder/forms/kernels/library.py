"""The built library as functions of torch tensors. No gradients; heads of 64."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from jnlp.encoder.forms.kernels.binding import HEAD_DIM

if TYPE_CHECKING:
    from torch import Tensor

    from jnlp.encoder.forms.kernels.binding import Binding

DTYPES = {torch.float32: "fp32", torch.bfloat16: "bf16"}
"""The formats of attention, by dtype."""


class Kernels:
    """The compiled kernels for tensors, on torch's own threads.

    Args:
        binding: The library.
    """

    def __init__(self, binding: Binding, /) -> None:
        self.binding = binding
        self.path = binding.path
        if (openmp := _openmp()) is not None:
            binding.use_openmp(openmp)

    def handles(self, dtype: torch.dtype, head_dim: int, /) -> bool:
        """Return True if attention in this dtype and head size is compiled for this processor."""
        return DTYPES.get(dtype) in self.binding.attention and head_dim == HEAD_DIM

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
        failed = self.binding.attention[DTYPES[q.dtype]](
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


def _openmp() -> Path | None:
    """Return torch's own OpenMP library, so that there is one team of threads; None if it has none of GNU's."""
    root = Path(torch.__file__).parent
    folders = (root / "lib", root.parent / "torch.libs")
    return next((found for folder in folders for found in sorted(folder.glob("libgomp*.so*"))), None)
