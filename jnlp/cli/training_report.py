"""What a training run prints when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jnlp.training.launch import is_main

if TYPE_CHECKING:
    from jnlp.types import TrainReport

_DETAILS = ("log_loss", "calibration_error", "mean_absolute_error")
"""Scores that are left out of the table of methods."""


def print_report(report: TrainReport, /, *, quiet: bool = False) -> None:
    """Print the model folder and the scores, in the main process; warnings about unreliable scores go to stderr."""
    if not is_main():
        return
    rows = ", ".join(f"{name} {count:,}" for name, count in report.rows.items())
    click.echo(f"model    {report.folder}")
    click.echo(f"rows     {rows}")
    if (on := report.details.get("measured_on")) is not None:
        click.echo(f"scores   of the {on} rows; _low and _high bound a 95 % interval")
    for name, value in report.metrics.items():
        click.echo(f"{name:<24} {value:.4f}")
    if not quiet and (page := report.folder / "report.html").is_file():
        click.echo(f"jnlp: report: {page}", err=True)
    if not quiet and (suspects := report.details.get("suspects")):
        click.echo(f"jnlp: {suspects} rows have a label that is probably wrong: see {page}", err=True)
    for line in () if quiet else _methods(report):
        click.echo(line, err=True)
    for line in (report.caution or "").splitlines() if not quiet else ():
        click.echo(f"jnlp: {line}", err=True)


def _methods(report: TrainReport) -> list[str]:
    """Return the lines of the table that compares methods, and why one was kept."""
    if report.chosen is None or len(report.methods) < 2:
        return []
    kept, why = report.chosen
    names = [name for name in next(iter(report.methods.values())) if name not in _DETAILS]
    lines = [
        f"jnlp: the methods compared on the {report.rows['valid']:,} validation rows:",
        f"{'':<12}" + "".join(f"{n:>20}" for n in names),
    ]
    for method, scores in report.methods.items():
        mark = "  kept" if method == kept else ""
        lines.append(f"{method:<12}" + "".join(f"{scores[name]:>20.4f}" for name in names) + mark)
    return [*lines, f"jnlp: {kept} is kept: {why}"]
