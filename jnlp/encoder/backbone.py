"""Runs a network over token sequences: sorted by length, packed under a token budget, answered in input order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import torch

from jnlp.encoder.packing import Packed, batches, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor

    from jnlp.encoder.windows import Window
    from jnlp.types import FloatArray

LOOKAHEAD = 16
"""Batches' worth of sequences that are sorted together."""


class Backbone:
    """A device and its token budget; two threads may call, one runs at a time.

    Args:
        device: Where batches go.
        budget: Tokens a batch; a longer sequence runs alone.
    """

    def __init__(self, device: torch.device, budget: int, /) -> None:
        self.device = device
        self.budget = budget
        self._lock = threading.Lock()

    def map(
        self, windows: Iterable[Window], forward: Callable[[Packed, list[int]], Sequence[Tensor] | Tensor], /
    ) -> Iterator[FloatArray]:
        """Yield for each window, in order, what `forward` makes of it, float32 on the host.

        Only a look-ahead of windows and their results is held; states of one batch at a time.

        Args:
            windows: The sequences.
            forward: Called with a batch and the numbers of its windows in `windows`; returns one tensor a window.
        """
        first = 0
        for group in self._groups(windows):
            results: list[FloatArray | None] = [None] * len(group)
            for batch in batches([len(window.ids) for window in group], self.budget):
                packed = pack([group[i].ids for i in batch], types=[group[i].types for i in batch])
                with self._lock, torch.inference_mode():
                    outputs = forward(packed.to(self.device), [first + i for i in batch])
                    for i, output in zip(batch, outputs, strict=True):
                        results[i] = output.float().cpu().numpy()
            first += len(group)
            for result in results:
                assert result is not None  # each window is in one batch
                yield result

    def _groups(self, windows: Iterable[Window]) -> Iterator[list[Window]]:
        group: list[Window] = []
        room = LOOKAHEAD * self.budget
        for window in windows:
            if group and len(window.ids) > room:
                yield group
                group, room = [], LOOKAHEAD * self.budget
            group.append(window)
            room -= len(window.ids)
        if group:
            yield group
