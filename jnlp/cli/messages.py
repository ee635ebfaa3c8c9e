"""Messages of commands on stderr: failed records, the model used, long texts, costs of the run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from jnlp.errors import JnlpError
from jnlp.usage import peak_memory

if TYPE_CHECKING:
    from jnlp.engine import Engine
    from jnlp.types import Failed
    from jnlp.usage import Usage


def print_failure(failed: Failed, /) -> None:
    """Print a failed record on stderr, in one line: a JnlpError with its hint, a bug with its type."""
    error = failed.error
    text = str(error) if isinstance(error, JnlpError) else f"{type(error).__name__}: {error}"
    where = "" if re.search(rf"(?<!\w){re.escape(failed.id)}(?!\w)", text) else f"{failed.id}: "
    line = " ".join(f"{where}{text}".split())  # an id, or a library's message, may hold line breaks
    click.echo(f"jnlp: skipped {line}", err=True)


class Unread:
    """Collects what could not be read, to list it at the end of a run; the first of very many."""

    MOST = 100

    def __init__(self) -> None:
        self._first: list[Failed] = []
        self._more = 0

    def add(self, failed: Failed, /) -> None:
        """Keep one failure."""
        if len(self._first) < self.MOST:
            self._first.append(failed)
        else:
            self._more += 1

    def print(self) -> None:
        """Print on stderr what could not be read and why, a line each, and how many there were if they were several."""
        for failed in self._first:
            print_failure(failed)
        if self._more:
            click.echo(f"jnlp: skipped {self._more:,} more", err=True)
        if len(self._first) > 1:
            click.echo(f"jnlp: {len(self._first) + self._more:,} could not be read, for the reasons above", err=True)


def print_notices(engine: Engine, /, *, did: str = "answered by", then: str = "--model {larger}") -> None:
    """Print on stderr which built-in model was used, how to get a larger one, and which texts were windowed or cut.

    Args:
        engine: The engine, after a run.
        did: What the model did, for the message.
        then: How to use the larger model.
    """
    usage = engine.usage
    builtin = [spec for spec in usage.models.values() if spec.builtin]
    if builtin and usage.tokens and engine.settings.hints and engine.settings.model is None:
        names = " and ".join(spec.name for spec in builtin)
        larger = builtin[0].larger
        advice = f"what it can do: jnlp models show {builtin[0].name}"
        if larger is not None and all(spec.larger for spec in builtin):  # `--model` takes one: it must do all the work
            advice = f"for better answers: jnlp models pull {larger}, then {then.format(larger=larger)}"
        click.echo(f"jnlp: {did} the small built-in model {names}; {advice}", err=True)
    if usage.windowed:
        what = "1 text was" if usage.windowed == 1 else f"{usage.windowed:,} texts were"
        click.echo(f"jnlp: {what} longer than the model and read in windows", err=True)
    if usage.budgets:
        before, after = usage.budgets
        click.echo(
            f"jnlp: memory ran out at {before:,} tokens per batch; continued with {after:,} (--batch-tokens {after})",
            err=True,
        )
    if usage.cut:
        click.echo(f"jnlp: {usage.cut:,} characters were cut off (--on-overflow truncate)", err=True)


def print_stats(usage: Usage, /) -> None:
    """Print the costs of the runs on stderr, in three lines."""
    done = f"{counted(usage.texts, 'text')}, {counted(usage.tokens, 'token')} in {usage.working:.1f} s"
    loading = f" (and {usage.loading:.1f} s to load)" if usage.loading else ""
    rates = f"{usage.tokens / usage.working:,.0f} tokens/s, {usage.texts / usage.working:,.1f} texts/s"
    click.echo(f"jnlp: {done}{loading}: {rates}", err=True)
    shares = ", ".join(f"{stage.value} {seconds / usage.working:.1%}" for stage, seconds in usage.seconds.items())
    click.echo(
        f"jnlp: {counted(usage.batches, 'batch', 'batches')}, padding {usage.padding:.1%}; busy: {shares}", err=True
    )
    memory = f"peak memory {peak_memory() / 1e6:,.0f} MB"
    if usage.workers:
        memory += f", of the workers {', '.join(f'{peak / 1e6:,.0f}' for peak in usage.workers.values())} MB"
    click.echo(f"jnlp: {usage.ran or 'no model'}; {memory}", err=True)


def counted(count: int, one: str, more: str | None = None, /) -> str:
    """Return a number with its noun, in the singular or the plural.

    Example:
        >>> counted(1, "text"), counted(1200, "text"), counted(2, "batch", "batches")
        ('1 text', '1,200 texts', '2 batches')
    """
    return f"{count:,} {one if count == 1 else more or one + 's'}"
