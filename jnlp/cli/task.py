"""The command of a task: its own options, then input, output and engine; the work is `jnlp.batch.run_batch`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from jnlp.batch import TABLE, WriteOptions, run_batch
from jnlp.cli.common import engine_params, make_engine, quiet_param, stats_param
from jnlp.cli.options import SectionCommand, click_options, given
from jnlp.cli.report import report_stats, report_usage, tell_failed
from jnlp.errors import JnlpError, UsageError
from jnlp.io.reading.estimate import estimate
from jnlp.io.reading.options import ReadOptions
from jnlp.options import build

if TYPE_CHECKING:
    from jnlp.batch import Summary
    from jnlp.engine import Engine
    from jnlp.types import TaskSpec


def task_command(spec: TaskSpec[Any, Any], /) -> click.Command:
    """Return the command of a task.

    Raises:
        JnlpError: An option of the task has the name of one that every task has.
    """
    reading = click_options(ReadOptions, "Input")
    own: list[click.Parameter] = list(click_options(spec.options, "Options"))
    shared: list[click.Parameter] = [
        *(option for option in reading if option.name != "label" and (spec.pairs or option.name != "text_pair")),
        *click_options(WriteOptions, "Output"),
        *engine_params(runs=True),
        stats_param(),
        quiet_param(),
    ]
    taken = {param.name for param in own} & {param.name for param in shared}
    if taken:
        raise JnlpError(
            f"task '{spec.name}' has an option '{min(map(str, taken))}', as every task has", hint="rename it"
        )
    inputs = click.Argument(["inputs"], nargs=-1, metavar="[TEXT|FILE|FOLDER|-]…")
    params = [inputs, *own, *shared]

    def callback(inputs: tuple[str, ...], quiet: bool, stats: bool, **_: Any) -> None:
        ctx = click.get_current_context()
        if not inputs and sys.stdin.isatty():
            raise UsageError("nothing to read", hint=f"jnlp {spec.name} TEXT, or FILE, or … | jnlp {spec.name}")
        engine = make_engine(ctx)
        try:
            _run(ctx, engine, spec, inputs or ("-",), quiet)
        finally:
            if stats:
                report_stats(engine.usage)

    return SectionCommand(spec.name, callback=callback, params=params, help=spec.summary)


def _run(ctx: click.Context, engine: Engine, spec: TaskSpec[Any, Any], inputs: tuple[str, ...], quiet: bool) -> None:
    from jnlp.cli import console

    writing = build(WriteOptions, given(ctx, WriteOptions), where="output").resolved()
    reading = build(ReadOptions, given(ctx, ReadOptions), where="input")
    if writing.format is None and writing.out is None and console.is_terminal():
        writing = replace(writing, format=TABLE)
    to_screen = writing.out is None and console.is_terminal()  # rows and a bar would run through each other
    shows_bar = not quiet and not to_screen and sys.stderr.isatty()
    total = estimate(inputs, reading, engine.readers()) if shows_bar else None
    with console.Pages() as pages, console.progress(spec.name, total=total, quiet=not shows_bar) as advance:
        summary = run_batch(
            engine,
            spec,
            inputs,
            reading=reading,
            writing=writing,
            table=pages.add,
            on_failed=tell_failed,
            advance=advance,
            **given(ctx, spec.options),
        )
    if not quiet:
        _report(summary, writing)
        if summary.done:
            report_usage(engine)
    if summary.done + summary.dropped + summary.resumed == 0:
        if summary.read == 0:
            named = ("standard input" if name == "-" else name for name in inputs)
            click.echo(f"jnlp: no text in {', '.join(named)}", err=True)
        ctx.exit(1)


def _report(summary: Summary, writing: WriteOptions) -> None:
    """Say on stderr what became of the records, where that is not plain from the output."""
    if summary.passed_over:
        click.echo(f"jnlp: {summary.passed_over}", err=True)
    if summary.failed or summary.dropped or summary.resumed or writing.out is not None:
        parts = [f"{summary.done:,} written"]
        parts += [f"{summary.dropped:,} left out"] if summary.dropped else []
        parts += [f"{summary.failed:,} failed"] if summary.failed else []
        parts += [f"{summary.resumed:,} were done before"] if summary.resumed else []
        target = f"{writing.out}: " if writing.out is not None else ""
        click.echo(f"jnlp: {target}{', '.join(parts)}", err=True)
