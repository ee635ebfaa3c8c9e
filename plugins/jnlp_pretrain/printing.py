"""The output of `jnlp pretrain`: progress and the final report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jnlp.types import TrainReport


def print_report(report: TrainReport, /) -> None:
    """Print the results of a run."""
    for name, value in report.metrics.items():
        click.echo(f"{name:<32} {figure(value)}")
    if "accuracy" not in report.metrics:
        click.echo("no text was held out: the corpus has too few documents")
    dropped = report.details["dropped"]
    if isinstance(dropped, dict) and dropped:
        click.echo("left out  " + ", ".join(f"{reason} {count:,}" for reason, count in dropped.items()))
    click.echo(f"run      {report.details['run']}")
    click.echo(f"model    {report.folder}")


def print_progress(phase: str, done: int, total: int, figures: Mapping[str, float], /) -> None:
    """Print the progress of a run on stderr."""
    shown = "  ".join(f"{name} {figure(value)}" for name, value in figures.items() if name != "seconds_left")
    left = figures.get("seconds_left")
    end = f"  {_span(left)} left" if left is not None else ""
    click.echo(f"jnlp: {phase} {done:,} of {total:,}  {shown}{end}", err=True)


def figure(value: float, /) -> str:
    """Format a figure: counts as whole numbers, shares and losses with four digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.4g}"


def _span(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else "under a minute"
