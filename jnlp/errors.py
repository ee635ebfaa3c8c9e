"""Errors that a user can fix. Everything else that is raised is a bug and keeps its traceback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class JnlpError(Exception):
    """An error the user can fix: one line that says what and where, and a hint that says what to do.

    Args:
        message: One short line: what is wrong, and where.
        hint: One line that says what to do, or None.

    Example:
        >>> error = jnlp.JnlpError("規程.txt is empty", hint="give another file")
        >>> error.message, error.hint, error.exit_code
        ('規程.txt is empty', 'give another file', 1)
    """

    exit_code = 1

    def __init__(self, message: str, /, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        return f"{self.message}; {self.hint}" if self.message.endswith(")") else f"{self.message} ({self.hint})"


class UsageError(JnlpError):
    """Wrong usage: an unknown name, an option out of range, a path that does not exist. Exit status 2.

    Example:
        >>> nlp.run("embed", ["猫"], purpse="query")
        Traceback (most recent call last):
        jnlp.errors.UsageError: embed: no option is called 'purpse' ...
    """

    exit_code = 2


class RecordError(JnlpError):
    """One record cannot be read or processed. `--on-error` decides whether the run continues.

    Example:
        >>> raise RecordError("no mask in the text")
        Traceback (most recent call last):
        jnlp.errors.RecordError: no mask in the text
    """


class MissingHeadError(JnlpError):
    """A model's folder lacks the head that was asked for."""


class BrokenPluginError(JnlpError):
    """A plugin's code cannot be imported, or has a bug.

    Args:
        message: What cannot be loaded, and why.
        hint: What to do about it, or None.
        trace: The traceback in the plugin's own code; empty if none of it ran.
    """

    def __init__(self, message: str, /, *, hint: str | None = None, trace: str = "") -> None:
        super().__init__(message, hint=hint)
        self.trace = trace


class MissingExtraError(JnlpError):
    """A dependency of an optional feature is not installed.

    Args:
        extra: The name of the extra, as in `pip install 'jnlp[extra]'`.
        purpose: What needs it, as the subject of a sentence: "reading parquet".

    Example:
        >>> str(jnlp.MissingExtraError("parquet", "reading parquet"))
        "reading parquet needs the extra 'parquet' (pip install 'jnlp[parquet]')"
    """

    def __init__(self, extra: str, purpose: str, /) -> None:
        super().__init__(f"{purpose} needs the extra '{extra}'", hint=f"pip install 'jnlp[{extra}]'")
        self.extra = extra


def status_of(work: Callable[[], object], /) -> int:
    """Run a script's `work` and return its exit status; print a JnlpError and its hint on stderr."""
    try:
        work()
    except JnlpError as error:
        sys.stderr.write(f"{error.message}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return error.exit_code
    return 0
