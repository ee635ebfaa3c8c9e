"""Runs a network over token sequences, sorted by length and packed under a token budget; keeps the input order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jnlp.encoder.packing import batches
from jnlp.errors import RecordError
from jnlp.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jnlp.encoder.backend import Backend
    from jnlp.encoder.windows import Window
    from jnlp.types import FloatArray

    Forward = Callable[[Any, list[int]], Any]

LOOKAHEAD = 65_536
"""Tokens of the sequences that are sorted together, or 16 batches if that is more."""


class BatchRunner:
    """Runs batches on a device under a token budget. Several threads may call it; one runs at a time.

    Args:
        backend: That of the network.
        budget: Tokens per batch; a longer sequence runs alone. It is halved permanently when memory runs out.
        usage: Counts each batch.
        pads: True if the network pads a packed batch to its longest sequence.
    """

    def __init__(self, backend: Backend, budget: int, /, *, usage: Usage | None = None, pads: bool = False) -> None:
        self.backend = backend
        self.budget = budget
        self.usage = usage or Usage()
        self._pads = pads

    def map(self, windows: Iterable[Window], forward: Forward, /) -> Iterator[FloatArray]:
        """Yield the output of `forward` for each window, in order, as float32 on the host.

        It holds a bounded look-ahead of windows and results, and the states of one batch. When memory runs out, the
        batch is split and run again.

        Args:
            windows: The sequences.
            forward: Called with a batch and the indices of its windows; returns values of the backend, one for each
                window.

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
        backend = self.backend

        def timed() -> tuple[Sequence[FloatArray], float]:
            start = time.perf_counter()
            outputs = backend.to_host(forward(packed, numbers))
            return outputs, time.perf_counter() - start

        try:
            packed = backend.pack(windows)
            outputs, seconds = backend.run(timed)
        except (MemoryError, RuntimeError) as error:
            if not backend.is_out_of_memory(error):
                raise
            return None
        self.usage.batch(sum(packed.lengths), self._size(packed.lengths), seconds)
        return outputs

    def _split(self, batch: list[int], lengths: list[int]) -> list[list[int]]:
        """Halve the budget until it is below the failed batch, and return the batch split by it, last part first.

        A batch that was made under an older, larger budget is first split by the current budget.

        Raises:
            RecordError: The batch is one sequence.
        """
        self.backend.release()
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
