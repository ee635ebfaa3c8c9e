"""The training loop: steps, learning rate, log, checkpoints, and stopping without loss."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from jnlp.io.durable import replacing
from jnlp.strict_json import dumps
from jnlp.training import checkpoints
from jnlp.training.optim import load_states, update
from jnlp.training.stopping import Stopped, stop_signals
from jnlp.training.team import Alone
from jnlp_pretrain.plot import read_log, write_plot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from jnlp.training.schedule import Clock
    from jnlp.training.team import Team
    from jnlp.types import Progress


class Objective(Protocol):
    """The objective: it has the model and the data, and accumulates gradients."""

    @property
    def model(self) -> nn.Module:
        """The model."""
        ...

    def size(self, progress: float, /) -> int:
        """Return the approximate number of tokens of the step at `progress` in [0, 1] of the run."""
        ...

    def rate(self, progress: float, /) -> float:
        """Return the factor of the optimisers' rates."""
        ...

    def backward(self, step: int, progress: float, /) -> tuple[Tensor, int]:
        """Accumulate the gradients of one step; return its loss and its number of tokens.

        The loss is read only when it is logged, so that a GPU's work can be queued ahead.
        """
        ...

    def evaluate(self) -> dict[str, float]:
        """Return scores on held-out data."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the run's position in the data."""
        ...

    def load_state(self, state: dict[str, Any], /) -> None:
        """Restore the position from `state`."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """The pace of a run.

    Args:
        clip: Maximum gradient norm.
        log_every, evaluate_every: Intervals in steps.
        checkpoint_seconds: Time between checkpoints.
    """

    clip: float = 1.0
    log_every: int = 10
    evaluate_every: int = 250
    checkpoint_seconds: float = 300.0


def train(
    objective: Objective,
    optimisers: Sequence[torch.optim.Optimizer],
    clock: Clock,
    plan: Plan,
    folder: Path,
    *,
    team: Team | None = None,
    progress: Progress | None = None,
    saved: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Train until the clock ends the run; continue from the checkpoint in `folder` if there is one.

    It writes `checkpoint.pt`, `log.jsonl` and `loss.svg` into `folder`, and returns the scores of the last evaluation.
    `saved` is called after each checkpoint.

    Raises:
        Stopped: After Ctrl-C or SIGTERM, with the checkpoint written.
    """
    run = _Run(objective, optimisers, clock, plan, folder, team or Alone(), progress, saved)
    with stop_signals() as stopped:
        run.resume()
        while run.step_once():
            run.save_if_due(asked=stopped())
    return run.finish()


@dataclass(slots=True)
class _Run:
    objective: Objective
    optimisers: Sequence[torch.optim.Optimizer]
    clock: Clock
    plan: Plan
    folder: Path
    team: Team
    tell: Progress | None
    saved_hook: Callable[[], object]
    step: int = 0
    tokens: int = 0
    saved: float = field(default_factory=time.monotonic)
    seen: tuple[float, int] = (0.0, 0)
    begun: tuple[float, float] = (0.0, 0.0)
    warm: bool = False

    def resume(self) -> None:
        self._load(self.folder / checkpoints.NAME)
        self.clock.start()
        if self.team.rank == 0:
            _forget_after(self.folder / "log.jsonl", self.step)
            if self.step == 0:  # the initial loss, also of a model that the run continues from
                self._log_held_out()
        now = time.monotonic()
        self.seen, self.begun = (now, self.tokens), (now, self.clock.progress(self.tokens))

    def step_once(self) -> bool:
        """Take a step; return False if the run is done."""
        done = self.clock.progress(self.tokens)
        # the rate of a step's middle: neither the first step nor the last is wasted on a rate of 0
        middle = self.clock.progress(self.tokens + self.objective.size(done) // 2)
        done, middle = self.team.follow((done, middle))
        if done >= 1:
            return False
        factor = self.objective.rate(middle)
        loss, count = self.objective.backward(self.step, middle)
        update(self.objective.model, self.optimisers, factor, clip=self.plan.clip)
        self.step, self.tokens = self.step + 1, self.tokens + count
        if self.team.rank == 0:
            if self.step % self.plan.log_every == 0:
                self._log_training(loss, factor)
            if self.step % self.plan.evaluate_every == 0:
                self._log_held_out()
        return True

    def save_if_due(self, *, asked: int) -> None:
        """Write a checkpoint if it is time; raise Stopped if a signal (`asked` is its number) stopped the run."""
        due = time.monotonic() - self.saved > self.plan.checkpoint_seconds
        stop, save = self.team.follow((float(asked), float(asked or due)))
        if save:
            self._save()
        if stop:
            raise Stopped(int(stop))

    def finish(self) -> dict[str, float]:
        self._save()
        final: dict[str, float] = {}
        if self.team.rank == 0:
            final = self.objective.evaluate()
            self._log(final)
            write_plot(self.folder / "log.jsonl", self.folder / "loss.svg")
        self.team.wait()
        return {**final, "steps": self.step, "tokens": self.tokens, "seconds": self.clock.elapsed}

    def _log_training(self, loss: Tensor, factor: float) -> None:
        mean = float(loss)  # waits for the device, so it comes before the time
        now, done = time.monotonic(), self.clock.progress(self.tokens)
        speed = (self.tokens - self.seen[1]) / max(now - self.seen[0], 1e-9)
        left = (1 - done) * (now - self.begun[0]) / max(done - self.begun[1], 1e-9)
        figures = {"loss": mean, "tokens_per_second": speed, "rate": factor, "progress": done, "seconds_left": left}
        self.seen = now, self.tokens
        if not self.warm:  # the first steps compile and fill caches: the time left is estimated from those after them
            self.begun, self.warm = (now, done), True
        self._log(figures)
        if self.tell:
            self.tell("training", self.tokens, self.clock.tokens, figures)

    def _log_held_out(self) -> None:
        figures = self.objective.evaluate()
        self.seen = time.monotonic(), self.tokens
        self._log(figures)
        if self.tell:
            means = {name: value for name, value in figures.items() if "/" not in name}
            self.tell("held-out text", self.tokens, self.clock.tokens, means)

    def _log(self, figures: Mapping[str, float]) -> None:
        row = {"step": self.step, "tokens": self.tokens, "seconds": round(self.clock.elapsed, 1)}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(dumps(row | {k: round(v, 5) for k, v in figures.items()}) + "\n")

    def _save(self) -> None:
        if self.team.rank == 0:
            checkpoints.save(self.folder / checkpoints.NAME, self._state())
            write_plot(self.folder / "log.jsonl", self.folder / "loss.svg")
            self.saved_hook()
        self.saved = time.monotonic()

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.objective.model.state_dict(),
            "data": self.objective.state(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "seconds": self.clock.elapsed,
            "step": self.step,
            "tokens": self.tokens,
        }

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        with checkpoints.loaded(path) as saved:
            self.objective.model.load_state_dict(saved["model"])
            self.objective.load_state(saved["data"])
            load_states(self.optimisers, saved["optimisers"])
            self.step, self.tokens, self.clock.spent = int(saved["step"]), int(saved["tokens"]), float(saved["seconds"])


def _forget_after(log: Path, step: int) -> None:
    """Remove the lines of steps after the checkpoint, since these steps are repeated."""
    if log.exists():
        kept = (dumps(row) + "\n" for row in read_log(log) if row["step"] <= step)
        with replacing(log) as file:
            file.write("".join(kept).encode())
