"""How an error is shown: one line for what is wrong, one for what to do, one for what is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jnlp.errors import UsageError

if TYPE_CHECKING:
    from jnlp.errors import JnlpError


class ShownError(click.ClickException):
    """A JnlpError as click shows it: the message, then what to do."""

    def __init__(self, error: JnlpError) -> None:
        super().__init__(error.message)
        self.hint = error.hint
        self.trace = getattr(error, "trace", "")
        self.notes = getattr(error, "__notes__", [])

    def show(self, file: Any = None) -> None:
        """Write the message and the hint to stderr; before them, of a plugin's bug, the traceback in the plugin."""
        if self.trace:
            click.echo(self.trace.rstrip(), err=True)
        click.echo(f"jnlp: error: {self.message}", err=True)
        if self.hint:
            click.echo(f"      hint: {self.hint}", err=True)
        for note in self.notes:
            click.echo(f"jnlp: {note}", err=True)


class ShownUsageError(ShownError):
    """A wrong call, as click shows it."""

    exit_code = UsageError.exit_code


class Terminated(KeyboardInterrupt):
    """SIGTERM, by which a cluster takes a machine back: a run ends as by Ctrl-C, and keeps what it keeps then."""


class InterruptedRun(click.ClickException):
    """Ctrl-C, and what is kept of the output."""

    exit_code = 130
    word = "interrupted"

    def __init__(self, error: KeyboardInterrupt) -> None:
        super().__init__(self.word)
        self.notes = getattr(error, "__notes__", [])

    @classmethod
    def by(cls, error: KeyboardInterrupt) -> InterruptedRun:
        """Return what is shown of Ctrl-C, or of SIGTERM."""
        return (TerminatedRun if isinstance(error, Terminated) else cls)(error)

    def show(self, file: Any = None) -> None:
        """Write one line to stderr, and one for what is kept."""
        click.echo(f"jnlp: {self.message}", err=True)
        for note in self.notes:
            click.echo(f"jnlp: {note}", err=True)


class TerminatedRun(InterruptedRun):
    """SIGTERM, and what is kept of the output."""

    exit_code = 143
    word = "terminated"
