"""Errors as click exceptions: they print the message, the hint, and notes about kept output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jnlp.errors import UsageError

if TYPE_CHECKING:
    from jnlp.errors import JnlpError


class CliError(click.ClickException):
    """Prints a JnlpError: the message, then the hint."""

    def __init__(self, error: JnlpError) -> None:
        super().__init__(error.message)
        self.hint = error.hint
        self.trace = getattr(error, "trace", "")
        self.notes = getattr(error, "__notes__", [])

    def show(self, file: Any = None) -> None:
        """Write the message and the hint to stderr; for a bug in a plugin, its traceback first."""
        if self.trace:
            click.echo(self.trace.rstrip(), err=True)
        click.echo(f"jnlp: error: {self.message}", err=True)
        if self.hint:
            click.echo(f"      hint: {self.hint}", err=True)
        for note in self.notes:
            click.echo(f"jnlp: {note}", err=True)


class CliUsageError(CliError):
    """Prints a UsageError."""

    exit_code = UsageError.exit_code


class Terminated(KeyboardInterrupt):
    """SIGTERM, as sent by a cluster scheduler. It ends a run like Ctrl-C and keeps the same output."""


class InterruptedRun(click.ClickException):
    """Ctrl-C, with notes about kept output."""

    exit_code = 130
    word = "interrupted"

    def __init__(self, error: KeyboardInterrupt) -> None:
        super().__init__(self.word)
        self.notes = getattr(error, "__notes__", [])

    @classmethod
    def from_interrupt(cls, error: KeyboardInterrupt) -> InterruptedRun:
        """Return the exception for Ctrl-C or SIGTERM."""
        return (TerminatedRun if isinstance(error, Terminated) else cls)(error)

    def show(self, file: Any = None) -> None:
        """Write one line to stderr, and the notes about kept output."""
        click.echo(f"jnlp: {self.message}", err=True)
        for note in self.notes:
            click.echo(f"jnlp: {note}", err=True)


class TerminatedRun(InterruptedRun):
    """SIGTERM, with notes about kept output."""

    exit_code = 143
    word = "terminated"


class BadValue(click.BadParameter):
    """A value that an options field refuses.

    Args:
        value: The value.
        key: The field's name in a configuration, with which the error's message begins.
        error: The error of the check.
        ctx: The command's context.
        param: The option.
    """

    def __init__(
        self, value: Any, key: str, error: UsageError, ctx: click.Context | None, param: click.Parameter | None, /
    ) -> None:
        super().__init__(error.hint or error.message, ctx, param)
        self.value, self.reason, self.allowed = value, error.message.removeprefix(key), error.hint
