"""The backend of torch: any device."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

import torch

from jnlp.encoder.compute import compute
from jnlp.encoder.packing import Packed, pack, send
from jnlp.encoder.pooling import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from jnlp.encoder.windows import Window
    from jnlp.types import FloatArray, IntArray, Pooling

T = TypeVar("T")

_NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class TorchBackend:
    """Implements `jnlp.encoder.backend.Backend`.

    Args:
        device: The device of the network.
    """

    def __init__(self, device: torch.device, /) -> None:
        self.device = device
        self.name = str(device)
        self._lock = threading.Lock()

    def pack(self, windows: Sequence[Window], /) -> Packed:
        """Return a batch; it is copied to a GPU while another may run there."""
        packed = pack([window.ids for window in windows], types=[window.types for window in windows])
        return packed.to(self.device)

    def run(self, work: Callable[[], T], /) -> T:
        """Run work without gradients; on a CPU with as many threads as torch would use in the calling thread."""
        threads = torch.get_num_threads()

        def inferred() -> T:
            if torch.get_num_threads() != threads:  # torch keeps this setting per thread
                torch.set_num_threads(threads)
            with torch.inference_mode():
                return work()

        if self.device.type == "cpu":
            return compute(inferred)
        with self._lock:
            return inferred()

    def pool(self, states: Tensor, packed: Packed, pooling: Pooling, /) -> Tensor:
        """Return `jnlp.encoder.pooling.pool`."""
        return pool(states, packed, pooling)

    def split(self, values: Tensor, lengths: Sequence[int], /) -> Sequence[Tensor]:
        """Return views of a tensor."""
        return torch.split(values, list(lengths))

    def index(self, at: IntArray, /) -> Tensor:
        """Return int64 positions on the device."""
        return send(torch.from_numpy(at), self.device)

    def to_host(self, outputs: Sequence[Tensor] | Tensor, /) -> Sequence[FloatArray]:
        """Return float32 arrays; from a GPU in one copy."""
        if isinstance(outputs, torch.Tensor):
            return list(outputs.float().cpu().numpy())
        if outputs and outputs[0].device.type != "cpu":
            whole = torch.cat(list(outputs)).float().cpu()
            outputs = torch.split(whole, [len(part) for part in outputs])
        return [part.float().cpu().numpy() for part in outputs]

    def is_out_of_memory(self, error: Exception, /) -> bool:
        """Return True if an exception means a failed allocation, on the host or on a GPU."""
        return is_out_of_memory(error)

    def release(self) -> None:
        """Return the memory that torch caches on a GPU."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def is_out_of_memory(error: Exception, /) -> bool:
    """Return True if an exception means a failed allocation, on the host or on a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
