"""The backend of numpy: a CPU with compiled kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jnlp.encoder.compute import compute
from jnlp.types import Pooling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jnlp.encoder.windows import Window
    from jnlp.types import FloatArray, IntArray

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PackedArrays:
    """Sequences concatenated to one sequence of T tokens, as `jnlp.encoder.packing.Packed`.

    Args:
        ids: int64 `[T]`, token ids.
        cu_seqlens: int32 `[B + 1]`, where each sequence starts, and T.
        lengths: The B lengths.
    """

    ids: IntArray
    cu_seqlens: NDArray[np.int32]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, sequences: Sequence[IntArray], /) -> PackedArrays:
        """Concatenate token sequences, each of at least one token."""
        lengths = tuple(len(sequence) for sequence in sequences)
        if not lengths or min(lengths) == 0:
            raise ValueError("a batch needs at least one sequence, and each sequence at least one token")
        return cls(np.concatenate(sequences), np.cumsum([0, *lengths], dtype=np.int32), lengths)


class ArrayBackend:
    """Implements `jnlp.encoder.backend.Backend`."""

    name = "cpu"

    def pack(self, windows: Sequence[Window], /) -> PackedArrays:
        """Return a batch; ModernBERT has no token types."""
        return PackedArrays.of([window.ids for window in windows])

    def run(self, work: Callable[[], T], /) -> T:
        """Run work on the process's compute thread."""
        return compute(work)

    def pool(self, states: FloatArray, packed: PackedArrays, pooling: Pooling, /) -> FloatArray:
        """Return one vector for each sequence; see `pool_arrays`."""
        return pool_arrays(states, packed, pooling)

    def split(self, values: FloatArray, lengths: Sequence[int], /) -> Sequence[FloatArray]:
        """Return views of an array."""
        return np.split(values, np.cumsum(lengths)[:-1])

    def index(self, at: IntArray, /) -> IntArray:
        """Return the positions unchanged."""
        return at

    def to_host(self, outputs: Any, /) -> Sequence[FloatArray]:
        """Return the arrays, which are there already."""
        return list(outputs)

    def is_out_of_memory(self, error: Exception, /) -> bool:
        """Return True if an exception means a failed allocation."""
        return isinstance(error, MemoryError)

    def release(self) -> None:
        """Do nothing: nothing is cached."""


def pool_arrays(states: FloatArray, packed: PackedArrays, pooling: Pooling, /) -> FloatArray:
    """Return one fp32 vector for each sequence, as `jnlp.encoder.pooling.pool`."""
    starts = packed.cu_seqlens[:-1]
    if pooling is Pooling.CLS:
        return states[starts]
    lengths = np.asarray(packed.lengths, dtype=np.float32)[:, None]
    pooled: FloatArray = np.add.reduceat(states, starts, axis=0)
    pooled /= lengths
    return pooled
