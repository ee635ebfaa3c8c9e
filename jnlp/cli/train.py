"""`jnlp train NAME`: one subcommand for each registered trainer."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jnlp.cli.builder import Call, build_command
from jnlp.cli.options import SectionOption, given
from jnlp.cli.suggesting import SuggestingGroup
from jnlp.cli.training_progress import Steps
from jnlp.cli.training_report import print_report
from jnlp.io.reading.options import ReadOptions
from jnlp.options import fields
from jnlp.registry import Kind
from jnlp.training.launch import is_main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.plugins import Plugins
    from jnlp.types import TrainerSpec


class TrainerGroup(SuggestingGroup):
    """A group whose commands are the registered trainers, built on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the trainers' names."""
        plugins: Plugins = ctx.find_root().obj
        return sorted(entry.name for entry in plugins.registry.entries(Kind.TRAINER))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Build one command."""
        plugins: Plugins = ctx.find_root().obj
        if plugins.registry.find(Kind.TRAINER, cmd_name) is None:
            return None
        return trainer_command(plugins.registry.get(Kind.TRAINER, cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and summaries, straight from the registry."""
        plugins: Plugins = ctx.find_root().obj
        with formatter.section("Trainers"):
            formatter.write_dl(sorted((entry.name, entry.summary) for entry in plugins.registry.entries(Kind.TRAINER)))


@click.group(cls=TrainerGroup, help="Train a model on your own data.")
def train() -> None:
    """Hold the trainers."""


def trainer_command(spec: TrainerSpec[Any], /) -> click.Command:
    """Return the command of a trainer."""
    section = "Training"
    params: list[click.Parameter] = [
        click.Argument(["inputs"], nargs=-1, required=True, metavar="TRAIN…"),
        SectionOption(
            ["-o", "--out"],
            required=True,
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="The model folder to make.",
            section=section,
        ),
        SectionOption(
            ["--valid"],
            multiple=True,
            metavar="FILE",
            help="Validation file; without one, part of TRAIN is held out.",
            section=section,
        ),
    ]

    def work(call: Call) -> None:
        quiet = call.quiet or not is_main()
        with saved_when_stopped(), Steps(quiet) as steps:
            report = call.engine.train(
                spec.name,
                call.values["inputs"],
                call.values["out"],
                valid=call.values["valid"],
                read=given(click.get_current_context(), ReadOptions),
                progress=steps,
                warn=lambda line: None if quiet else click.echo(f"jnlp: {line}", err=True),
                **call.given,
            )
        print_report(report, quiet=call.quiet)

    return build_command(
        spec.name,
        work,
        summary=spec.summary,
        options=spec.options,
        section=section,
        params=params,
        reading=[field.name for field in fields(ReadOptions) if field.name not in ("unit", "literal")],
        settings=("model", "device", "threads"),
        noun="trainer",
    )


@contextmanager
def saved_when_stopped() -> Iterator[None]:
    """After Ctrl-C or SIGTERM, print how to continue, and exit with the shell's status for the signal."""
    from jnlp.training.stopping import Stopped

    try:
        yield
    except Stopped as stopped:
        click.echo("jnlp: stopped with a checkpoint; run the same command to continue", err=True)
        raise click.exceptions.Exit(128 + stopped.number) from stopped
