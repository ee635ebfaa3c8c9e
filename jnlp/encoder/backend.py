"""What a batch is computed with: tensors of torch, or arrays of numpy.

A network of a backend reads the batches of `Backend.pack`, and returns the backend's own values. Everything around it,
from texts to batches and from values to results, is the same for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jnlp.encoder.windows import Window
    from jnlp.types import FloatArray, IntArray, Pooling

T = TypeVar("T")


class Backend(Protocol):
    """The operations on batches and values that heads and the `BatchRunner` need."""

    name: str
    """The device: `cpu`, `cuda`, `cuda:1` …."""

    def pack(self, windows: Sequence[Window], /) -> Any:
        """Return a batch of windows, on the device, with its `lengths` on the host."""
        ...

    def run(self, work: Callable[[], T], /) -> T:
        """Run work on the device, after queued work of other threads, and return its result."""
        ...

    def pool(self, states: Any, packed: Any, pooling: Pooling, /) -> Any:
        """Return one vector for each sequence: states `[T, d]` to `[B, d]`."""
        ...

    def split(self, values: Any, lengths: Sequence[int], /) -> Sequence[Any]:
        """Return consecutive parts of values, of these lengths."""
        ...

    def index(self, at: IntArray, /) -> Any:
        """Return int64 positions as the backend indexes by them."""
        ...

    def to_host(self, outputs: Any, /) -> Sequence[FloatArray]:
        """Return one float32 array on the host for each of the outputs."""
        ...

    def is_out_of_memory(self, error: Exception, /) -> bool:
        """Return True if an exception means a failed allocation, on the host or on a GPU."""
        ...

    def release(self) -> None:
        """Return cached memory of the device."""
        ...
