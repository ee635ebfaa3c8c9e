"""The loop of all fine-tuning: rates, the best epoch, and stops anywhere that change nothing."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from jnlp.errors import JnlpError
from jnlp.training.epochs import Pace, fit
from jnlp.training.folder import resumable
from jnlp.training.schedule import linear
from jnlp.training.stopping import Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PACE = Pace(epochs=4, lr=0.05, weight_decay=0.01, warmup=0.2, patience=0, seed=3)
STEPS = 8


class Regression:
    """Fits a line through noise, with dropout, so that every random number counts; `scores` are its epochs' scores."""

    def __init__(self, scores: Sequence[float] | None = None) -> None:
        torch.manual_seed(0)
        self.module = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1))
        self.x = torch.randn(64, 3)
        self.y = self.x.sum(dim=1, keepdim=True)
        self.scores = list(scores or [])
        self.seen = 0

    def batches(self, epoch: int, rng: np.random.Generator, /) -> list[list[int]]:
        return [[*batch.tolist(), epoch] for batch in np.array_split(rng.permutation(64), STEPS)]

    def backward(self, batch: list[int], /) -> tuple[float, int]:
        rows = batch[:-1]
        loss = ((self.module(self.x[rows]) - self.y[rows]) ** 2).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self.seen += 1
        return loss.item(), len(rows)

    def evaluate(self) -> dict[str, float]:
        if self.scores:
            return {"score": self.scores.pop(0)}
        with torch.no_grad():
            return {"score": -float(((self.module(self.x) - self.y) ** 2).mean())}

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state(self, state: dict[str, Any], /) -> None:
        self.seen = state["seen"]


def quiet(*_: object) -> None:
    return None


def weights(objective: Regression) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in objective.module.state_dict().values()]


@pytest.fixture(scope="module")
def undisturbed() -> tuple[list[torch.Tensor], Any]:
    objective = Regression()
    fitted = fit(objective, PACE, quiet)
    return weights(objective), fitted


@pytest.mark.parametrize("stops", [(1,), (8,), (9,), (12, 13, 20), (31,), (32,), tuple(range(1, 33))])
def test_a_run_that_is_stopped_anywhere_ends_as_an_undisturbed_one(
    stops: tuple[int, ...], undisturbed: tuple[list[torch.Tensor], Any], tmp_path: Path
) -> None:
    """Whatever the step: the first of a run, the last of an epoch, the last of all, each one of them."""
    checkpoint = tmp_path / "checkpoint.pt"

    def stop_at(phase: str, done: int, *_: object) -> None:
        if phase == "training" and done in stops and done > taken[0]:
            taken[0] = done
            os.kill(os.getpid(), signal.SIGINT)

    taken = [0]
    for _ in range(len(stops)):
        with pytest.raises(Stopped) as raised:
            fit(Regression(), PACE, stop_at, checkpoint=checkpoint)
        assert raised.value.number == signal.SIGINT
    objective = Regression()
    fitted = fit(objective, PACE, quiet, checkpoint=checkpoint)
    expected, whole = undisturbed
    assert fitted.epochs == whole.epochs
    assert (fitted.best, fitted.tokens, objective.seen) == (whole.best, whole.tokens, 32)
    for ours, theirs in zip(weights(objective), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_checkpoint_within_an_epoch_is_written_by_the_clock(
    undisturbed: tuple[list[torch.Tensor], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill leaves: the checkpoint of the last minutes."""
    monkeypatch.setattr("jnlp.training.epochs.SAVE_SECONDS", -1.0)

    def kill(phase: str, done: int, *_: object) -> None:
        if phase == "training" and done == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Regression(), PACE, kill, checkpoint=tmp_path / "checkpoint.pt")
    steps: list[int] = []
    objective = Regression()
    fit(objective, PACE, lambda phase, done, *_: steps.append(done), checkpoint=tmp_path / "checkpoint.pt")
    assert steps[0] == 13
    for ours, theirs in zip(weights(objective), undisturbed[0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("scores", "patience", "best", "epochs"),
    [
        ([0.1, 0.3, 0.2, 0.25], 0, 1, 4),
        ([0.1, 0.3, 0.2, 0.9], 2, 3, 4),
        ([0.3, 0.2, 0.2, 0.9], 2, 0, 3),
        ([0.3, 0.3, 0.3, 0.3], 1, 0, 2),
    ],
)
def test_the_best_epoch_is_kept_and_patience_ends_a_run(
    scores: list[float], patience: int, best: int, epochs: int
) -> None:
    expected = scores[:epochs]
    kept: list[list[torch.Tensor]] = []
    objective = Regression(scores)
    fitted = fit(
        objective,
        replace(PACE, patience=patience),
        lambda phase, *_: kept.append(weights(objective)) if phase == "epoch" else None,
    )
    assert (fitted.best, len(fitted.epochs)) == (best, epochs)
    assert [figures["score"] for figures in fitted.epochs] == expected
    for ours, theirs in zip(weights(objective), kept[best], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_the_rate_rises_and_falls_over_the_whole_run() -> None:
    rates = [linear((step + 0.5) / 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == pytest.approx(rates[10], abs=0.01)
    assert rates[-1] == pytest.approx(0.005 / 0.9)
    assert min(rates) > 0
    assert linear(0.0, 0.0) == 1.0
    assert linear(1.0, 0.1) == 0.0


def test_a_time_limit_ends_a_run_with_its_rate_at_0(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("jnlp.training.schedule.time.monotonic", lambda: now[0])

    class Slow(Regression):
        def backward(self, batch: list[int], /) -> tuple[float, int]:
            now[0] += 1.0
            return super().backward(batch)

    objective = Slow()
    fitted = fit(objective, replace(PACE, seconds=10.0), quiet)
    assert objective.seen == 10
    assert len(fitted.epochs) == 2


def test_no_way_back_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(JnlpError, match=r"no stopped run for .*model"),
        resumable(tmp_path / "model", ["options"], resume=True),
    ):
        pass
    with (
        resumable(tmp_path / "model", ["options"], resume=None),
        pytest.raises(JnlpError, match="written by another run"),
        resumable(tmp_path / "model", ["options"], resume=None),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_must_not_resume_begins_anew(tmp_path: Path) -> None:
    def keep(resume: bool | None) -> bool:
        with resumable(tmp_path / "model", ["options"], resume=resume) as checkpoint:
            found = checkpoint.exists()
            checkpoint.write_bytes(b"state")
            raise KeyboardInterrupt if not found else LookupError
        return found

    with pytest.raises(KeyboardInterrupt):
        keep(None)
    with pytest.raises(LookupError):
        keep(True)
    with pytest.raises(LookupError):
        keep(None)
    with pytest.raises(KeyboardInterrupt):
        keep(False)
