"""Runs a network over token sequences, sorted by length and packed under a token budget; keeps the input order."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import torch

from jnlp.encoder.compute import compute
from jnlp.encoder.packing import Packed, batches, pack
from jnlp.errors import RecordError
from jnlp.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor

    from jnlp.encoder.windows import Window
    from jnlp.types import FloatArray

    Forward = Callable[[Packed, list[int]], Sequence[Tensor] | Tensor]

LOOKAHEAD = 65_536
"""Tokens of the sequences that are sorted together, or 16 batches if that is more."""

_NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class BatchRunner:
    """Runs batches on a device under a token budget. Several threads may call it; one runs at a time.

    Args:
        device: The device of the network.
        budget: Tokens per batch; a longer sequence runs alone. It is halved permanently when memory runs out.
        usage: Counts each batch.
        pads: True if the network pads a packed batch to its longest sequence.
    """

    def __init__(self, device: torch.device, budget: int, /, *, usage: Usage | None = None, pads: bool = False) -> None:
        self.device = device
        self.budget = budget
        self.usage = usage or Usage()
        self._pads = pads
        self._lock = threading.Lock()

    def map(self, windows: Iterable[Window], forward: Forward, /) -> Iterator[FloatArray]:
        """Yield the output of `forward` for each window, in order, as float32 on the host.

        It holds a bounded look-ahead of windows and results, and the states of one batch. When memory runs out, the
        batch is split and run again.

        Args:
            windows: The sequences.
            forward: Called with a batch and the indices of its windows; returns one tensor for each window.

        Raises:
            RecordError: One sequence alone is too long for the memory.
        """
        first = 0
        for group in self._groups(windows):
            results: list[FloatArray | None] = [None] * len(group)
            waiting = batches([len(window.ids) for window in group], self.budget, padded=self._pads)[::-1]
            while waiting:
                batch = waiting.pop()
                outputs = self._run([group[i] for i in batch], [first + i for i in batch], forward)
                if outputs is None:
                    waiting += self._split(batch, [len(group[i].ids) for i in batch])
                    continue
                for i, output in zip(batch, outputs, strict=True):
                    results[i] = output
            first += len(group)
            for result in results:
                assert result is not None  # each window is in one batch
                yield result

    def _run(self, windows: Sequence[Window], numbers: list[int], forward: Forward) -> Sequence[FloatArray] | None:
        """Run one batch; return None if there is not enough memory."""
        try:
            packed = pack([window.ids for window in windows], types=[window.types for window in windows])
            packed = packed.to(self.device)  # while another batch may run
            outputs, seconds = self._compute(lambda: _to_host(forward(packed, numbers)))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return None
        self.usage.batch(sum(packed.lengths), self._size(packed.lengths), seconds)
        return outputs

    def _compute(self, work: Callable[[], Sequence[FloatArray]]) -> tuple[Sequence[FloatArray], float]:
        """Return the result of `work` and the seconds it took; one call runs at a time."""

        def timed() -> tuple[Sequence[FloatArray], float]:
            with torch.inference_mode():
                start = time.perf_counter()
                outputs = work()
                return outputs, time.perf_counter() - start

        if self.device.type == "cpu":
            return compute(timed)
        with self._lock:
            return timed()

    def _split(self, batch: list[int], lengths: list[int]) -> list[list[int]]:
        """Halve the budget until it is below the failed batch, and return the batch split by it, last part first.

        A batch that was made under an older, larger budget is first split by the current budget.

        Raises:
            RecordError: The batch is one sequence.
        """
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(batch) == 1:
            raise RecordError(
                f"there is not enough memory for one sequence of {lengths[0]:,} tokens",
                hint="use a smaller model, or --dtype bf16",
            )
        size = self._size(lengths)
        if size <= self.budget:
            lowered = max(size // 2, 1)
            self.usage.lower(self.budget, lowered)
            self.budget = lowered
        return [[batch[i] for i in part] for part in batches(lengths, self.budget, padded=self._pads)][::-1]

    def _size(self, lengths: Sequence[int]) -> int:
        """Return the tokens of a batch, including any padding."""
        return len(lengths) * max(lengths) if self._pads else sum(lengths)

    def _groups(self, windows: Iterable[Window]) -> Iterator[list[Window]]:
        group: list[Window] = []
        ahead = max(LOOKAHEAD, 16 * self.budget)
        room = ahead
        for window in windows:
            if group and len(window.ids) > room:
                yield group
                group, room = [], ahead
            group.append(window)
            room -= len(window.ids)
        if group:
            yield group


def is_out_of_memory(error: Exception, /) -> bool:
    """Return True if an exception means a failed allocation, on the host or on a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def _to_host(outputs: Sequence[Tensor] | Tensor) -> Sequence[FloatArray]:
    """Return float32 arrays on the host; from a GPU in one copy."""
    if isinstance(outputs, torch.Tensor):
        return list(outputs.float().cpu().numpy())
    if outputs and outputs[0].device.type != "cpu":
        whole = torch.cat(list(outputs)).float().cpu()
        outputs = torch.split(whole, [len(part) for part in outputs])
    return [part.float().cpu().numpy() for part in outputs]
