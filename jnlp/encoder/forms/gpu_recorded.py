"""The encoder's forward pass on a GPU, recorded once and replayed, which saves the launches of its kernels.

In small batches these take longer than the work itself.
A recording (a CUDA graph) has fixed shapes, so a batch is put into the next larger one: its tokens are followed by
unused ones that belong to no sequence, its sequences by empty ones. Every kernel but attention treats tokens one by
one, and attention reads the bounds of sequences, so the results are those of the plain form.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from jnlp.encoder.attention import choose, flash, varlen
from jnlp.encoder.packing import Packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from jnlp.encoder.modernbert import ModernBert

LARGEST = 1 << 23
"""Tokens times width of the largest batch that is recorded: in larger ones, kernels take longer than their launches."""
MOST_RECORDINGS = 64
"""Recordings that are made; each holds the states of its batch, and all share the memory of what is between."""
USES = 3
"""A shape is recorded when it is met for this time: a recording takes as long as some tens of batches."""

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    packed: Packed
    states: Tensor


class RecordedForward:
    """A `ModernBert` as a function of a packed batch; one thread at a time may call it.

    Args:
        encoder: The model, on a GPU.
        forward: Its forward pass: the model's own, or a compiled one.
    """

    def __init__(self, encoder: ModernBert, forward: Callable[[Packed], Tensor], /) -> None:
        self._forward = forward
        weight, config = encoder.final_norm.weight, encoder.config
        self._device, self._most = weight.device, LARGEST // config.hidden_size
        self._able = choose(weight.device, weight.dtype, config.head_dim, False) in (varlen, flash)
        self._uses: Counter[Shape] = Counter()
        self._recordings: dict[Shape, _Recording] = {}
        self._pool: Any = None

    def __call__(self, packed: Packed, /) -> Tensor:
        """Return the states of all tokens `[T, d]`, in the weights' dtype."""
        recording = self._recording(shape_of(packed.lengths)) if self._able else None
        if recording is None:
            return self._forward(packed)
        place(packed, recording.packed)
        recording.graph.replay()
        return recording.states[: len(packed.ids)].clone()

    def _recording(self, shape: Shape) -> _Recording | None:
        """Return the recording for a shape, made if it is due; None: run the batch as it is."""
        if (made := self._recordings.get(shape)) is not None:
            return made
        self._uses[shape] += shape[0] <= self._most
        if self._uses[shape] < USES or len(self._recordings) == MOST_RECORDINGS:
            return None
        try:
            self._recordings[shape] = self._record(shape)
        except RuntimeError:  # what may be recorded depends on drivers and libraries
            self._able = False
            return None
        return self._recordings[shape]

    def _record(self, shape: Shape) -> _Recording:
        with torch.inference_mode(False):  # batches are copied into it in any mode
            packed = empty(shape, self._device)
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):  # libraries set themselves up outside the recording
            self._forward(packed)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # other threads go on copying their batches to the device meanwhile
        with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
            states = self._forward(packed)
        self._pool = self._pool or graph.pool()
        return _Recording(graph, packed, states)


def shape_of(lengths: tuple[int, ...], /) -> Shape:
    """Return the tokens, the sequences and the longest sequence of the recording for a batch.

    There are few shapes: powers of two, but for tokens above 2,048 eight between two of them.
    """
    tokens = sum(lengths)
    unit = _power(tokens) // 16
    tokens = _power(max(tokens, 256)) if tokens <= 2048 else -(-tokens // unit) * unit
    return tokens, _power(max(len(lengths), 8)), _power(max(*lengths, 128))


def _power(number: int) -> int:
    """Return the next power of two."""
    return 1 << (number - 1).bit_length()


def empty(shape: Shape, device: torch.device | str, /) -> Packed:
    """Return a batch of a shape to copy others into: one sequence and empty ones."""
    tokens, sequences, longest = shape
    zeros = torch.zeros(tokens, dtype=torch.int64, device=device)
    bounds = torch.full((sequences + 1,), min(tokens, longest), dtype=torch.int32, device=device)
    bounds[0] = 0
    return Packed(zeros, zeros.clone(), bounds, (longest,))


def place(packed: Packed, into: Packed, /) -> None:
    """Copy a batch into a larger one."""
    tokens, bounds = len(packed.ids), len(packed.cu_seqlens)
    into.ids[:tokens].copy_(packed.ids)
    into.positions[:tokens].copy_(packed.positions)
    into.cu_seqlens[:bounds].copy_(packed.cu_seqlens)
    into.cu_seqlens[bounds:].fill_(tokens)
