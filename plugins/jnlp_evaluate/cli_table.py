"""`jnlp evaluate table`: the results of models side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jnlp.cli.builder import Call, build_command
from jnlp.cli.options import SectionOption
from jnlp.errors import JnlpError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FORMS = ("table", "markdown", "csv", "html")


def print_rows(results: Sequence[Mapping[str, Any]], /) -> None:
    """Print a table of models and tasks, for a person; JSON lines into a pipe."""
    from jnlp.cli.console import Pages, is_terminal
    from jnlp.strict_json import dumps_shown
    from jnlp_evaluate.table import rows_of

    if not is_terminal():
        for result in results:
            click.echo(dumps_shown({key: value for key, value in result.items() if key != "cells"}))
        return
    with Pages() as pages:
        for row in rows_of(results):
            pages.add(row)
    _legend(results)


def _legend(results: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]] = ()) -> None:
    from jnlp_evaluate.table import LIMITED, QUICK, missing, missing_line

    if any(result["protocol"] == "quick" for result in results):
        click.echo(QUICK, err=True)
    if any(result["limit"] for result in results):
        click.echo(LIMITED, err=True)
    if names := missing(results, references):
        click.echo(missing_line(names), err=True)


def _work(call: Call) -> None:
    from jnlp.cli.console import Pages
    from jnlp_evaluate.run import read_results
    from jnlp_evaluate.table import difference, missing, plots, read_reference, render, rows_of

    results = read_results(call.values["folder"])
    if not results:
        raise JnlpError(f"{call.values['folder']} holds no results", hint="jnlp evaluate TASK --model NAME -o DIR")
    references = read_reference(call.values["reference"]) if call.values["reference"] else []
    rows, figures = rows_of(results, references), plots(results, references)
    without = missing(results, references)
    form, out = call.values["form"], call.values["out"]
    if form == "table" and out is None:
        with Pages() as pages:
            for row in rows:
                pages.add(row)
        _legend(results, references)
    elif out is None:
        click.echo(render(rows, form, figures, without), nl=False)
    else:
        kind = {"": "markdown", ".md": "markdown"}.get(out.suffix, out.suffix[1:])
        out.write_text(render(rows, kind, figures, without), "utf-8")
    if pair := call.values["compare"]:
        _compare(results, pair, difference)


def _compare(results: Sequence[Mapping[str, Any]], pair: tuple[str, str], difference: Any) -> None:
    """Print how much better the first model is on each task that both have, with an interval."""
    by = {(result["model"], result["task"]): result for result in results}
    tasks = [task for model, task in by if model == pair[0] and (pair[1], task) in by]
    if not tasks:
        raise UsageError(f"{pair[0]} and {pair[1]} have no task in common", hint="jnlp evaluate table lists the models")
    for task in tasks:
        try:
            apart, low, high = difference(by[pair[0], task], by[pair[1], task])
        except JnlpError as error:
            click.echo(f"{task}: {error.message}", err=True)
            continue
        click.echo(
            f"{task}: {pair[0]} − {pair[1]} = {100 * apart:+.2f} points (95 %: {100 * low:+.2f} to {100 * high:+.2f})"
        )


table = build_command(
    "table",
    _work,
    summary="Print the results of models side by side.",
    params=[
        click.Argument(["folder"], default="evaluation", type=click.Path(path_type=Path), metavar="[DIR]"),
        SectionOption(
            ["--format", "form"],
            type=click.Choice(_FORMS),
            default="table",
            show_default=True,
            help="How to print it.",
            section="Output",
        ),
        SectionOption(
            ["-o", "--out"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write it to a .md, .csv or .html file.",
            section="Output",
        ),
        SectionOption(
            ["--reference"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Figures of others (a csv: model, then tasks), such as the model card's.",
            section="Output",
        ),
        SectionOption(
            ["--compare"],
            type=(str, str),
            metavar="MODEL MODEL",
            help="Say how much better the first is, with a paired bootstrap.",
            section="Output",
        ),
    ],
    settings=(),
)
