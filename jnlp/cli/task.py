"""The command of a task: parses options and calls `jnlp.batch.run_batch`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from jnlp.batch import TABLE, WriteOptions, run_batch
from jnlp.cli.builder import Call, build_command, stats_param
from jnlp.cli.messages import print_failure, print_notices, print_stats
from jnlp.cli.options import click_options, given
from jnlp.engine import LOCAL
from jnlp.errors import UsageError
from jnlp.executors.resident import RESIDENT
from jnlp.executors.services import sockets
from jnlp.io.reading.estimate import estimate
from jnlp.io.reading.inputs import Input
from jnlp.io.reading.options import ReadOptions
from jnlp.io.reading.sources import expand
from jnlp.options import build, fields

if TYPE_CHECKING:
    from jnlp.batch import Summary
    from jnlp.types import TaskSpec


def task_command(spec: TaskSpec[Any, Any], /) -> click.Command:
    """Return the command of a task.

    Raises:
        JnlpError: An option of the task has the name of one that every task has.
    """
    skipped = ("label",) if spec.pairs else ("label", "text_pair")

    def work(call: Call) -> None:
        inputs = call.values["inputs"]
        if not inputs and sys.stdin.isatty():
            raise UsageError("nothing to read", hint=_how(spec))
        try:
            _run(call, spec, inputs or ("-",))
        finally:
            if call.values["stats"]:
                print_stats(call.engine.usage)

    return build_command(
        spec.name,
        work,
        summary=spec.summary,
        options=spec.options,
        params=[click.Argument(["inputs"], nargs=-1, metavar="[TEXT|FILE|FOLDER|-]…")],
        reading=[field.name for field in fields(ReadOptions) if field.name not in skipped],
        more=[*click_options(WriteOptions, "Output"), stats_param()],
        noun="task",
    )


def _run(call: Call, spec: TaskSpec[Any, Any], inputs: tuple[str, ...]) -> None:
    from jnlp.cli import console

    ctx, engine, quiet = click.get_current_context(), call.engine, call.quiet
    if engine.settings.executor == LOCAL and not call.values["stats"] and sockets() and _are_texts(call, inputs):
        engine = engine.with_settings({"executor": RESIDENT})
    writing = build(WriteOptions, given(ctx, WriteOptions), where="output").resolved()
    if writing.format is None and writing.out is None and console.is_terminal():
        writing = replace(writing, format=TABLE)
    to_screen = writing.out is None and console.is_terminal()  # rows and a bar would run through each other
    shows_bar = not quiet and not to_screen and sys.stderr.isatty()
    total = estimate(inputs, call.reading, engine.readers()) if shows_bar else None
    with console.Pages() as pages, console.progress(spec.name, total=total, quiet=not shows_bar) as advance:
        summary = run_batch(
            engine,
            spec,
            inputs,
            reading=call.reading,
            writing=writing,
            table=pages.add,
            on_failed=print_failure,
            advance=advance,
            **call.given,
        )
    if not quiet:
        _print_summary(summary, writing)
        for remark in summary.remarks if summary.done + summary.dropped else ():
            click.echo(f"jnlp: {remark}", err=True)
        if summary.done:
            print_notices(engine)
    if summary.done + summary.dropped + summary.resumed == 0:
        if summary.read == 0:
            named = ("standard input" if name == "-" else name for name in inputs)
            click.echo(f"jnlp: no text in {', '.join(named)}", err=True)
            if "-" in inputs and str(getattr(sys.stdin, "name", "")) != os.devnull:  # not closed on purpose
                click.echo(f"      hint: {_how(spec)}", err=True)
        ctx.exit(1)


def _are_texts(call: Call, inputs: tuple[str, ...]) -> bool:
    """Return whether the inputs are texts, and neither files nor standard input."""
    items = expand(inputs, call.reading, call.engine.readers())
    return "-" not in inputs and not any(isinstance(item, Input) for item in items)


def _how(spec: TaskSpec[Any, Any]) -> str:
    return f"jnlp {spec.name} TEXT, or FILE, or … | jnlp {spec.name}"


def _print_summary(summary: Summary, writing: WriteOptions) -> None:
    """Print the numbers of written, dropped and failed records on stderr, if the output does not show them."""
    if summary.passed_over:
        click.echo(f"jnlp: {summary.passed_over}", err=True)
    if summary.failed or summary.dropped or summary.resumed or writing.out is not None:
        parts = [f"{summary.done:,} written"]
        parts += [f"{summary.dropped:,} left out"] if summary.dropped else []
        parts += [f"{summary.failed:,} failed"] if summary.failed else []
        parts += [f"{summary.resumed:,} were done before"] if summary.resumed else []
        target = f"{writing.out}: " if writing.out is not None else ""
        click.echo(f"jnlp: {target}{', '.join(parts)}", err=True)
