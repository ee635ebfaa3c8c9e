"""The learning rate by progress: warm-up, stable, decay. Progress is by tokens, or by the clock if that is faster."""

from __future__ import annotations

import time
from dataclasses import dataclass


def warmup_stable_decay(progress: float, warmup: float, decay: float) -> float:
    """Return the factor of the peak rate at `progress` in [0, 1]: linear up, flat, then 1 - sqrt down to 0.

    Args:
        progress: The share of the run that is done.
        warmup: The share of the run that goes up.
        decay: The share that goes down.

    The decay is that of Hägele et al. 2024, "Scaling laws and compute-optimal training beyond fixed training
    durations".
    """
    if progress < warmup:
        return max(progress, 0.0) / warmup
    left = max(1.0 - progress, 0.0)
    return 1.0 - (1.0 - left / decay) ** 0.5 if left < decay else 1.0


def linear(progress: float, warmup: float) -> float:
    """Return the factor of the peak rate at `progress` in [0, 1]: linear up over the share `warmup`, then down to 0."""
    if progress < warmup:
        return max(progress, 0.0) / warmup
    return max(1.0 - progress, 0.0) / (1.0 - warmup)


@dataclass(slots=True)
class Clock:
    """The progress of a run: by tokens, or, with a time limit, by the seconds spent, whichever is further.

    With a limit, the decay is always complete when time is up. Without one, progress depends only on tokens, and the
    run is reproducible.

    Args:
        tokens: The tokens planned.
        seconds: The time limit, or None.
        spent: Seconds spent before, when a run is resumed.
    """

    tokens: int
    seconds: float | None = None
    spent: float = 0.0
    started: float = 0.0

    def start(self) -> None:
        """Start counting from what was spent before."""
        self.started = time.monotonic() - self.spent

    @property
    def elapsed(self) -> float:
        """Seconds spent on training so far."""
        return time.monotonic() - self.started

    def progress(self, done: int) -> float:
        """Return the share of the run that is done after `done` tokens, at most 1."""
        by_tokens = done / self.tokens
        return min(max(by_tokens, self.elapsed / self.seconds if self.seconds else 0.0), 1.0)
