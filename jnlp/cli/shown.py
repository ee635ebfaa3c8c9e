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
        self.notes = getattr(error, "__notes__", [])

    def show(self, file: Any = None) -> None:
        """Write the message and the hint to stderr."""
        click.echo(f"jnlp: error: {self.message}", err=True)
        if self.hint:
            click.echo(f"      hint: {self.hint}", err=True)
        for note in self.notes:
            click.echo(f"jnlp: {note}", err=True)


class ShownUsageError(ShownError):
    """A wrong call, as click shows it."""

    exit_code = UsageError.exit_code


class InterruptedRun(click.ClickException):
    """Ctrl-C, and what is kept of the output."""

    exit_code = 130

    def __init__(self, error: KeyboardInterrupt) -> None:
        super().__init__("interrupted")
        self.notes = getattr(error, "__notes__", [])

    def show(self, file: Any = None) -> None:
        """Write one line to stderr, and one for what is kept."""
        click.echo("jnlp: interrupted", err=True)
        for note in self.notes:
            click.echo(f"jnlp: {note}", err=True)
