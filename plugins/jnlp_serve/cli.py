"""`jnlp serve`."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING

import click

from jnlp.cli.builder import SETTINGS, build_command
from jnlp.cli.options import SectionOption
from jnlp.errors import JnlpError, MissingExtraError, UsageError
from jnlp_serve.options import TOKEN_VARIABLE, ServeOptions

if TYPE_CHECKING:
    from jnlp.cli.builder import Call
    from jnlp_serve.job import Job

_SECTION = "Service"
_NOT_HERE = ("model",)
"""Settings that are no flags of this command."""


def _serve(call: Call) -> None:
    from jnlp_serve.background import is_child

    if call.values["stop"]:
        _stop(call)
    elif call.values["background"] and not is_child():
        _start(call)
    else:
        _run(call)


def _start(call: Call) -> None:
    from jnlp_serve.background import start

    _job(call)
    state = start(sys.argv[1:], port=call.options.port)
    if not call.quiet:
        idle = f"; it leaves after {state['idle'] / 60:g} minutes without a request" if state["idle"] else ""
        click.echo(f"jnlp: serving on {state['address']} in the background, process {state['process']}{idle}", err=True)
        click.echo(f"      its log: {state['log']}; jnlp serve --stop ends it", err=True)


def _stop(call: Call) -> None:
    from jnlp_serve.background import stop

    ended = stop()
    if not ended:
        raise JnlpError("no service runs in the background", hint="jnlp serve --background starts one")
    if not call.quiet:
        for process in ended:
            click.echo(f"jnlp: process {process} has ended", err=True)


def _run(call: Call) -> None:
    job = _job(call)
    try:
        from jnlp_serve.server import run
    except ImportError as error:
        raise MissingExtraError("serve", "jnlp serve") from error
    run(job, call.engine, quiet=call.quiet)


def _job(call: Call) -> Job:
    from jnlp_serve.background import IDLE
    from jnlp_serve.job import Job, named_indexes, task_models

    options: ServeOptions = call.options
    if options.token is None and (token := os.environ.get(TOKEN_VARIABLE)):
        options = dataclasses.replace(options, token=token)
    if options.idle is None and call.values["background"]:
        options = dataclasses.replace(options, idle=IDLE)
    _check_processes(call, options)
    job = Job(
        options=options,
        settings=call.engine.settings,
        indexes=named_indexes(call.values["index"]),
        models=task_models(call.values["model"]),
    )
    for task in {*job.models, *options.tasks}:
        call.engine.task(task)  # an unknown name is reported here
    return job


def _check_processes(call: Call, options: ServeOptions) -> None:
    """Refuse what several processes cannot do.

    Raises:
        UsageError: It is to leave when it is idle, or to run in the background; or the executor has no replicas.
    """
    from jnlp_serve.job import is_here, replica_executor

    settings = call.engine.settings
    elsewhere = not is_here(settings)
    if options.idle and (elsewhere or settings.workers > 1):
        raise UsageError(
            "a service that leaves when it is idle is one process", hint="--idle 0, or leave --workers out"
        )
    if not elsewhere:
        return
    replica_executor(call.engine)
    if call.values["background"]:
        raise UsageError("a service in the background is one process of this machine", hint="leave --executor out")
    if 1 < settings.workers < options.min_replicas:
        raise UsageError(f"--min-replicas {options.min_replicas} is more than --workers {settings.workers}")


serve = build_command(
    "serve",
    _serve,
    summary="Serve tasks, embeddings and indexes over HTTP: the APIs of Text Embeddings Inference and OpenAI, "
    "a route for each task, search. GET /docs lists the routes.",
    options=ServeOptions,
    section=_SECTION,
    params=[
        SectionOption(
            ["--index"],
            multiple=True,
            metavar="[NAME=]DIR",
            help="An index to search; may be repeated.",
            section=_SECTION,
        ),
        SectionOption(
            ["--model"],
            multiple=True,
            metavar="[TASK=]MODEL",
            help="The model of embeddings, or of a task; default: the index's, or the task's own. May be repeated.",
            section=_SECTION,
        ),
        SectionOption(
            ["--background"],
            is_flag=True,
            help="Start the service as a process of its own, and return when it is ready.",
            section=_SECTION,
        ),
        SectionOption(["--stop"], is_flag=True, help="End your services in the background.", section=_SECTION),
    ],
    settings=[name for name in SETTINGS if name not in _NOT_HERE],
)
