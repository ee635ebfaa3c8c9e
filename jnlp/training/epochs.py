"""The loop of all fine-tuning: it trains in epochs, scores each, keeps the best, and can stop without loss.

An `Objective` has the model and the data. A checkpoint is written after each epoch, every few minutes, and when the run
is stopped. A run that finds one continues with the same batches, rates and random numbers as without the stop.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
import torch

from jnlp.training import checkpoints
from jnlp.training.optim import load_states, optimisers, update
from jnlp.training.schedule import Clock, linear
from jnlp.training.stopping import Stopped, stop_signals
from jnlp.training.team import Alone, add_gradients

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from jnlp.training.options import TrainingOptions
    from jnlp.training.team import Team
    from jnlp.types import Progress

B = TypeVar("B")

SAVE_SECONDS = 300.0
"""Time between two checkpoints within an epoch."""

SCORE = "score"
"""The name of the score that compares epochs; higher is better."""


class Objective(Protocol[B]):
    """The objective: it has the model and the data, and accumulates gradients."""

    @property
    def module(self) -> nn.Module:
        """The module to fit."""
        ...

    def batches(self, epoch: int, rng: np.random.Generator, /) -> Sequence[B]:
        """Return the batches of an epoch, counted from 0; they depend on `rng` and on `state()` alone."""
        ...

    def backward(self, batch: B, /) -> tuple[float | Tensor, int]:
        """Accumulate the gradients of one batch in the module; return its mean loss and its tokens.

        A loss that is a tensor of a GPU is read after the step, so that the GPU has the step's work meanwhile.
        """
        ...

    def evaluate(self) -> dict[str, float]:
        """Return scores on held-out rows, including `score`; empty if there are no rows."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the state that further batches depend on: tensors, numbers, lists and dicts of them."""
        ...

    def load_state(self, state: dict[str, Any], /) -> None:
        """Restore a state from `state()`."""
        ...


class Stateless:
    """The state of what keeps none: its batches depend on their order alone."""

    def state(self) -> dict[str, Any]:
        """Return nothing: batches depend on their order alone."""
        return {}

    def load_state(self, state: dict[str, Any], /) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of a run.

    Args:
        epochs: Passes over the rows.
        lr: Peak rate of AdamW; it rises over `warmup` of the run and falls to 0 linearly.
        weight_decay: Of matrices, not of norms, biases and embeddings.
        warmup: Share of the run.
        patience: Epochs without a better score before it stops; 0 never stops.
        seed: Of the order of rows and of dropout.
        seconds: Time limit; the rate follows the clock where it runs faster than the steps. None: no limit.
        clip: Largest gradient norm.
        layer_decay: See `optim.optimisers`.
    """

    epochs: int
    lr: float
    weight_decay: float
    warmup: float
    patience: int
    seed: int
    seconds: float | None = None
    clip: float = 1.0
    layer_decay: float = 1.0

    @classmethod
    def of(cls, options: TrainingOptions, lr: float, /, *, hours: float | None = None) -> Pace:
        """Return the pace that options ask for."""
        seconds = hours * 3600 if hours else None
        o = options
        return cls(o.epochs, lr, o.weight_decay, o.warmup, o.patience, o.seed, seconds)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The epochs' figures, the number of the best from 0, and the tokens and seconds that training took."""

    epochs: tuple[dict[str, float], ...]
    best: int
    tokens: int
    seconds: float


def fit(
    objective: Objective[B],
    pace: Pace,
    progress: Progress,
    /,
    *,
    checkpoint: Path | None = None,
    team: Team | None = None,
) -> Fitted:
    """Fit a module and restore the weights of its best epoch: the one with the highest score, else the last.

    Args:
        objective: The objective.
        pace: Length and rates of the run.
        progress: Called with ("training", steps, all steps, figures) after each step, and with
            ("epoch", number, all epochs, figures) after each epoch.
        checkpoint: The path of the checkpoint; an existing one is continued.
        team: The processes that share the rows of each batch: `Objective.backward` of each takes its own.

    Raises:
        Stopped: After Ctrl-C or SIGTERM, with the checkpoint written. Without a path, the signals end the run at once,
            as usual.
        JnlpError: The checkpoint is damaged.
    """
    run = _Run(objective, pace, progress, checkpoint, team or Alone())
    if checkpoint is None:
        run.run(lambda: 0)
    else:
        with stop_signals() as stopped:
            run.run(stopped)
    return run.finish()


@dataclass(slots=True)
class _State:
    """The position of a run: complete epochs, then `position` batches of the next, sampled from `order`."""

    history: list[dict[str, float]] = field(default_factory=list)
    best: int = -1
    kept: dict[str, Tensor] = field(default_factory=dict)
    order: Mapping[str, Any] = field(default_factory=dict)
    position: int = 0
    losses: list[float] = field(default_factory=list)
    step: int = 0
    total: int = 0
    tokens: int = 0
    seconds: float = 0.0


class _Run(Generic[B]):
    def __init__(
        self, objective: Objective[B], pace: Pace, progress: Progress, checkpoint: Path | None, team: Team
    ) -> None:
        self.objective, self.pace, self.progress, self.checkpoint = objective, pace, progress, checkpoint
        self.team = team
        torch.manual_seed(pace.seed + team.rank)
        self.rng = np.random.default_rng(pace.seed)
        self.optimisers = optimisers(
            objective.module,
            "adamw",
            lr=pace.lr,
            matrix_lr=0.0,
            weight_decay=pace.weight_decay,
            layer_decay=pace.layer_decay,
        )
        self.state = _State(order=self.rng.bit_generator.state)
        self.clock = Clock(1, pace.seconds)
        self.saved = time.monotonic()

    def run(self, stopped: Callable[[], int]) -> None:
        """Train until the run is over; raise Stopped, with a checkpoint, where a signal came."""
        if self.checkpoint is not None and self.checkpoint.exists():
            self._load(self.checkpoint)
        self.team.wait()  # before the main process writes another
        while not self._is_over():
            self._train_epoch(stopped)
            self._score_epoch()
            self._save()
            self._stop_if_asked(stopped)

    def finish(self) -> Fitted:
        """Put the best weights back."""
        module, state = self.objective.module, self.state
        module.load_state_dict(state.kept)
        module.eval()
        return Fitted(tuple(state.history), state.best, state.tokens, state.seconds)

    def _is_over(self) -> bool:
        done, state, pace = len(self.state.history), self.state, self.pace
        if not done:
            return False
        late = pace.seconds is not None and state.seconds >= pace.seconds
        stale = pace.patience > 0 and done - 1 - state.best >= pace.patience
        return done >= pace.epochs or late or stale

    def _train_epoch(self, stopped: Callable[[], int]) -> None:
        state = self.state
        self.rng.bit_generator.state = state.order
        work = self.objective.batches(len(state.history), self.rng)
        state.total = state.total or max(1, len(work) * self.pace.epochs)
        self.clock.spent = state.seconds
        self.clock.start()
        self.objective.module.train()
        for batch in work[state.position :]:
            # the rate of a step's middle: neither the first step nor the last is wasted on a rate of 0
            (middle,) = self.team.follow((max((state.step + 0.5) / state.total, self.clock.progress(0)),))
            if middle >= 1:
                break
            self._take_step(batch, linear(middle, self.pace.warmup))
            if time.monotonic() - self.saved > SAVE_SECONDS:
                self._save()
            self._stop_if_asked(stopped)
        state.order, state.position = self.rng.bit_generator.state, 0

    def _take_step(self, batch: B, factor: float) -> None:
        state, module = self.state, self.objective.module
        loss, tokens = self.objective.backward(batch)
        if self.team.size > 1:
            add_gradients(module, self.team)
            both = torch.tensor([float(loss), float(tokens)], dtype=torch.float64, device=self.team.device)
            loss, tokens = float((summed := self.team.total(both))[0]), int(summed[1])
        update(module, self.optimisers, factor, clip=self.pace.clip)
        loss = float(loss)
        state.losses.append(loss)
        state.position, state.step, state.tokens = state.position + 1, state.step + 1, state.tokens + tokens
        (state.seconds,) = self.team.follow((self.clock.elapsed,))
        figures = {"loss": loss, "tokens_per_second": state.tokens / max(state.seconds, 1e-9)}
        self.progress("training", min(state.step, state.total), state.total, figures)

    def _score_epoch(self) -> None:
        state, module = self.state, self.objective.module
        module.eval()
        figures = self.objective.evaluate()
        figures = dict(zip(figures, self.team.follow(tuple(figures.values())), strict=True))
        mean = {"loss": float(np.mean(state.losses)) if state.losses else 0.0}
        state.losses = []
        state.history.append(mean | figures)
        if state.best < 0 or not figures or figures[SCORE] > state.history[state.best][SCORE]:
            state.best = len(state.history) - 1
            state.kept = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        self.progress("epoch", len(state.history), self.pace.epochs, state.history[-1])

    def _stop_if_asked(self, stopped: Callable[[], int]) -> None:
        if number := int(self.team.follow((float(stopped()),))[0]):
            self._save()
            raise Stopped(number)

    def _save(self) -> None:
        """Write everything that determines the rest of the run."""
        if self.checkpoint is None or self.team.rank:
            return
        saved = {
            "state": {entry.name: getattr(self.state, entry.name) for entry in fields(_State)},
            "model": self.objective.module.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "objective": self.objective.state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        checkpoints.save(self.checkpoint, saved)
        self.saved = time.monotonic()

    def _load(self, path: Path) -> None:
        device = next(self.objective.module.parameters()).device
        with checkpoints.loaded(path, device=device) as saved:
            self.state = _State(**saved["state"])
            self.objective.module.load_state_dict(saved["model"])
            load_states(self.optimisers, saved["optimisers"])
            self.objective.load_state(saved["objective"])
            self.rng.bit_generator.state = self.state.order
            torch.set_rng_state(saved["torch"].cpu())
            if saved["cuda"]:
                torch.cuda.set_rng_state_all([state.cpu() for state in saved["cuda"]])
