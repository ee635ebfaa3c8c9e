"""Runs a network over token sequences: sorted by length, packed under a token budget, answered in input order."""

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
"""Tokens of the sequences that are sorted together, or 16 batches where these are more."""

_NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class BatchRunner:
    """A device and its token budget; two threads may call, one runs at a time.

    Args:
        device: Where batches go.
        budget: Tokens a batch; a longer sequence runs alone. It is halved when memory runs out, and stays so.
        usage: Counts each batch.
        pads: True where the network pads a packed batch to its longest sequence.
    """

    def __init__(self, device: torch.device, budget: int, /, *, usage: Usage | None = None, pads: bool = False) -> None:
        self.device = device
        self.budget = budget
        self.usage = usage or Usage()
        self._pads = pads
        self._lock = threading.Lock()

    def map(self, windows: Iterable[Window], forward: Forward, /) -> Iterator[FloatArray]:
        """Yield for each window, in order, what `forward` makes of it, float32 on the host.

        Only a look-ahead of windows and their results is held; states of one batch at a time. Where memory runs out
        the batch is split and tried again.

        Args:
            windows: The sequences.
            forward: Called with a batch and the numbers of its windows in `windows`; returns one tensor a window.

        Raises:
            RecordError: One sequence alone is too long for the memory.
        """
        first = 0
        for group in self._groups(windows):
            results: list[FloatArray | None] = [None] * len(group)
            waiting = batches([len(window.ids) for window in group], self.budget, padded=self._pads)[::-1]
            while waiting:
                batch = waiting.pop()
                rows = self._run([group[i] for i in batch], [first + i for i in batch], forward)
                if rows is None:
                    waiting += self._split(batch, [len(group[i].ids) for i in batch])
                    continue
                for i, row in zip(batch, rows, strict=True):
                    results[i] = row
            first += len(group)
            for result in results:
                assert result is not None  # each window is in one batch
                yield result

    def _run(self, windows: Sequence[Window], numbers: list[int], forward: Forward) -> Sequence[FloatArray] | None:
        """Run one batch; None where there is not enough memory for it."""
        try:
            packed = pack([window.ids for window in windows], types=[window.types for window in windows])
            packed = packed.to(self.device)  # while another batch may run
            rows, seconds = self._compute(lambda: _to_host(forward(packed, numbers)))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return None
        self.usage.batch(sum(packed.lengths), self._size(packed.lengths), seconds)
        return rows

    def _compute(self, work: Callable[[], Sequence[FloatArray]]) -> tuple[Sequence[FloatArray], float]:
        """Return what `work` returns, and the seconds it took; one runs at a time."""

        def timed() -> tuple[Sequence[FloatArray], float]:
            with torch.inference_mode():
                start = time.perf_counter()
                rows = work()
                return rows, time.perf_counter() - start

        if self.device.type == "cpu":
            return compute(timed)
        with self._lock:
            return timed()

    def _split(self, batch: list[int], lengths: list[int]) -> list[list[int]]:
        """Halve the budget to below what did not fit, and return the batch cut up under it, last first.

        A batch that was made under a larger budget than the present one is cut up under that first.

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
        """Return the tokens of a batch, padding included where there is any."""
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
    """Return True where an exception says that an allocation failed, on the host or on a GPU."""
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
