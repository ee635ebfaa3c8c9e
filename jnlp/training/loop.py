"""The training loop: steps, learning rate, log, checkpoints, and a stop that loses nothing."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from jnlp.training.schedule import Clock, warmup_stable_decay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    Progress = Callable[[str, int, int, Mapping[str, float]], None]


class Objective(Protocol):
    """What is trained: it knows the model and the data, and leaves gradients behind."""

    @property
    def model(self) -> nn.Module:
        """The model."""
        ...

    def backward(self, step: int, progress: float, /) -> tuple[float, int]:
        """Accumulate the gradients of one step; return its loss and its number of tokens."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Return figures on held-out data."""
        ...

    def state(self) -> dict[str, Any]:
        """Return where in the data the run stands."""
        ...

    def load_state(self, state: dict[str, Any], /) -> None:
        """Go back to where `state` stood."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is paced.

    Args:
        warmup, decay: Shares of the run.
        clip: Largest gradient norm.
        log_every, evaluate_every: In steps.
        checkpoint_seconds: Time between checkpoints.
    """

    warmup: float
    decay: float
    clip: float = 1.0
    log_every: int = 10
    evaluate_every: int = 250
    checkpoint_seconds: float = 300.0


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to stop and has saved itself
    """The run was interrupted and stands in its checkpoint."""


def train(
    objective: Objective,
    optimisers: Sequence[torch.optim.Optimizer],
    clock: Clock,
    plan: Plan,
    folder: Path,
    *,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Train until the clock says the run is done; continue from the checkpoint in `folder` where there is one.

    Writes `checkpoint.pt` and `log.jsonl` into `folder`. Returns the figures of the last evaluation.

    Raises:
        Stopped: After Ctrl-C or SIGTERM, with the checkpoint written.
    """
    peaks = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]
    step, tokens = _resume(objective, optimisers, clock, folder)
    clock.start()
    saved = seen = time.monotonic()
    since = tokens
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log, _stop_signals() as stopped:
        while (done := clock.progress(tokens)) < 1:
            factor = warmup_stable_decay(done, plan.warmup, plan.decay) if step else 0.0
            loss, count = objective.backward(step, done)
            _update(objective.model, optimisers, peaks, factor, plan.clip)
            step, tokens = step + 1, tokens + count
            if step % plan.log_every == 0:
                speed = (tokens - since) / (time.monotonic() - seen)
                seen, since = time.monotonic(), tokens
                figures = {"loss": loss, "tokens_per_second": speed, "rate": factor, "progress": done}
                _log(log, step, tokens, clock, figures)
                if progress:
                    progress("training", tokens, clock.tokens, figures)
            if step % plan.evaluate_every == 0:
                _log(log, step, tokens, clock, objective.evaluate())
                seen, since = time.monotonic(), tokens
            if stopped() or time.monotonic() - saved > plan.checkpoint_seconds:
                _save(objective, optimisers, clock, folder, step, tokens)
                saved = time.monotonic()
            if stopped():
                raise Stopped
        _save(objective, optimisers, clock, folder, step, tokens)
        final = objective.evaluate()
        _log(log, step, tokens, clock, final)
    return {**final, "steps": step, "tokens": tokens, "seconds": clock.elapsed}


def _update(
    model: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    peaks: Sequence[Sequence[float]],
    factor: float,
    clip: float,
) -> None:
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    for optimiser, rates in zip(optimisers, peaks, strict=True):
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        optimiser.step()
        optimiser.zero_grad()


def _resume(
    objective: Objective, optimisers: Sequence[torch.optim.Optimizer], clock: Clock, folder: Path
) -> tuple[int, int]:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0, 0
    saved = torch.load(path, weights_only=True)
    objective.model.load_state_dict(saved["model"])
    objective.load_state(saved["data"])
    for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    clock.spent = saved["seconds"]
    return saved["step"], saved["tokens"]


def _save(
    objective: Objective,
    optimisers: Sequence[torch.optim.Optimizer],
    clock: Clock,
    folder: Path,
    step: int,
    tokens: int,
) -> None:
    state = {
        "model": objective.model.state_dict(),
        "data": objective.state(),
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        "seconds": clock.elapsed,
        "step": step,
        "tokens": tokens,
    }
    part = folder / "checkpoint.pt.part"
    torch.save(state, part)
    part.replace(folder / "checkpoint.pt")


def _log(log: Any, step: int, tokens: int, clock: Clock, figures: Mapping[str, float]) -> None:
    row = {"step": step, "tokens": tokens, "seconds": round(clock.elapsed, 1)}
    log.write(json.dumps(row | {k: round(v, 5) for k, v in figures.items()}) + "\n")
    log.flush()


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a flag, so that a step is never cut in half; only the main thread can."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda received, _: asked.append(received))
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
