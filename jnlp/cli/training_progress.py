"""How far a training run is, on stderr."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Steps:
    """Training progress on stderr: a bar with the time left for people, and a line an epoch everywhere."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._phase = ""
        self._done = 0
        self._stack = ExitStack()
        self._advance: Callable[[int], None] = lambda _: None
        self._timed = TimeLeft()

    def __call__(self, phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Show one step."""
        if phase == "epoch":
            return self._write(f"epoch {done}/{total}", figures, self._timed.said(done < total))
        if phase != self._phase:
            self._start(phase, done, total)
        self._advance(done - self._done)
        self._done = done
        self._timed.see(done, total)
        return None

    def _start(self, phase: str, done: int, total: int) -> None:
        from jnlp.cli.console import progress

        self._stack.close()
        self._phase, self._timed = phase, TimeLeft()
        before = max(0, done - 1)  # a continued phase has done most of it already
        self._advance = self._stack.enter_context(progress(phase, total=total, done=before, quiet=self._quiet))
        self._done = before

    def _write(self, label: str, figures: Mapping[str, float], left: str) -> None:
        if not self._quiet:
            values = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
            click.echo(f"jnlp: {label}  {values}{left}", err=True)

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class TimeLeft:
    """How long a phase will still take, by what it has done since it was first seen."""

    def __init__(self) -> None:
        self._begun: tuple[float, int] | None = None
        self._seconds = 0.0

    def see(self, done: int, total: int) -> None:
        """Note how far the phase is."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = now, done
        elif done > self._begun[1]:
            self._seconds = (now - self._begun[0]) / (done - self._begun[1]) * (total - done)

    def said(self, unfinished: bool) -> str:
        """Return the estimate as an end of a line; nothing if there is none or little is left."""
        if not unfinished or self._seconds < 1:
            return ""
        minutes, seconds = divmod(round(self._seconds), 60)
        return f"  {minutes} min left" if minutes >= 10 else f"  {minutes}:{seconds:02d} left"
