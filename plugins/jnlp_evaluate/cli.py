"""`jnlp evaluate`: measures models on tasks; subcommands for data, tables and labelled files."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import click

from jnlp.cli.builder import Call, build_command
from jnlp.cli.default_group import DefaultGroup
from jnlp.cli.options import SectionOption
from jnlp.errors import UsageError
from jnlp_evaluate.cli_data import data
from jnlp_evaluate.cli_file import file
from jnlp_evaluate.cli_models import models, open_model
from jnlp_evaluate.cli_table import print_rows, table
from jnlp_evaluate.options import EvaluateOptions
from jnlp_evaluate.registered import evaluations

RESULTS = Path("evaluation")


def _work(call: Call) -> None:
    from jnlp.cli.training_progress import Steps
    from jnlp_evaluate.data import data_folder
    from jnlp_evaluate.protocols import PROTOCOLS
    from jnlp_evaluate.run import evaluate as measure

    known = evaluations(call.engine)
    names = call.values["tasks"]
    for name in names:
        if name not in known:
            raise UsageError(f"no task is called '{name}'", hint=f"tasks: {', '.join(known)}")
    model = open_model(call.engine, trust=call.values["trust_remote_code"])
    spread = _spread(call)
    results = []
    for name in names:
        with Steps(call.quiet) as steps:
            result = measure(
                known[name],
                PROTOCOLS[call.options.protocol],
                model,
                lambda: call.engine.models(None),
                call.values["data"] or data_folder(),
                call.values["out"],
                limit=call.options.limit,
                device=call.engine.settings.device,
                jobs=call.options.jobs,
                spread=spread,
                progress=steps,
            )
        results.append(result)
        if not call.quiet:
            click.echo(_line(result), err=True)
    print_rows(results)


def _spread(call: Call) -> Any:
    """Return what runs the cells with `--executor`, or None: this machine does."""
    from jnlp.types.tasks import CallExecutor

    settings = call.engine.settings
    if settings.executor == "local":
        return None
    executor = call.engine.executor()
    if not isinstance(executor, CallExecutor):
        raise UsageError(
            f"--executor {settings.executor} runs no cells", hint="--jobs N runs N at a time on this machine"
        )
    return partial(executor.calls, dataclasses.replace(settings, workers=call.options.jobs))


def _line(result: dict[str, Any]) -> str:
    chosen = result.get("chosen")
    said = f"jnlp: {result['task']}: {result['metric']} {result['score']:.4f}"
    if chosen is None:
        return said
    return (
        f"{said} (rate {chosen['rate']:g}, {chosen['epochs']} epochs, {chosen['runs']} runs, {result['seconds']:g} s)"
    )


run = build_command(
    "evaluate",
    _work,
    summary="Measure a model on tasks, and write the results to a folder.",
    options=EvaluateOptions,
    params=[
        click.Argument(["tasks"], nargs=-1, required=True, metavar="TASK…"),
        SectionOption(
            ["--data"],
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Folder of the data (default: where `jnlp evaluate data pull` leaves it).",
            section="Input",
        ),
        SectionOption(
            ["-o", "--out"],
            type=click.Path(path_type=Path),
            default=RESULTS,
            show_default=True,
            metavar="DIR",
            help="Folder of the results; a stopped run continues there.",
            section="Output",
        ),
        SectionOption(
            ["--trust-remote-code"],
            is_flag=True,
            help="Run code of the model's repository, where its architecture needs it.",
            section="Model",
        ),
    ],
    settings=("model", "device", "dtype", "threads", "executor", "ray_address"),
)

evaluate = DefaultGroup(run, commands={"data": data, "table": table, "file": file, "models": models})
