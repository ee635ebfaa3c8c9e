"""`jnlp index`: indexing, and the group of the subcommands."""

from __future__ import annotations

import dataclasses
import functools
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.common import command
from jnlp.cli.messages import Unread
from jnlp_search.cli.group import IndexGroup
from jnlp_search.cli.inputs import document_bar, estimated, open_folder, summary_of
from jnlp_search.cli.kept import compact, export, info, list_, remove, repair, upgrade, verify
from jnlp_search.cli.watch import watch
from jnlp_search.options import READING, IndexOptions

if TYPE_CHECKING:
    from jnlp.engine import Engine
    from jnlp.io.reading.options import ReadOptions

SUMMARY = "Index documents for search; only what changed is indexed again."


@command(
    IndexOptions,
    name="index",
    summary=SUMMARY,
    reading=READING,
    hint={"did": "indexed with", "then": "index again with --model {larger} --rebuild"},
    running=True,
)
@click.argument("paths", nargs=-1, metavar="[PATH…]")
@click.option("--index", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The index.")
def add(
    engine: Engine, options: IndexOptions, paths: tuple[str, ...], folder: Path, reading: ReadOptions, quiet: bool
) -> None:
    """Update an index with files and folders, by default those that it was made of, and print numbers of documents."""
    from jnlp.io import PassedOver

    read = dataclasses.asdict(reading)
    shows_bar = not quiet and _is_terminal()
    total = estimated(paths, engine, reading) if shows_bar and paths else None
    passed_over, unread = PassedOver(), Unread()
    with (
        ExitStack() as last,
        document_bar(total, quiet=not shows_bar) as progress,
        open_folder(engine, folder) as index,
    ):
        last.callback(unread.print)
        change = functools.partial(index.add, paths) if paths else index.update
        report = change(
            read=read, on_failed=unread.add, progress=progress, passed_over=passed_over, **dataclasses.asdict(options)
        )
    click.echo(summary_of(report, folder))
    if passed_over and not quiet:
        click.echo(f"jnlp: {passed_over}", err=True)
    if report.failed and not report.documents:
        raise click.exceptions.Exit(1)
    if not report.failed and not report.documents and not quiet:
        click.echo("jnlp: no document was found there", err=True)


def _is_terminal() -> bool:
    return sys.stderr.isatty()


_COMMANDS: list[click.Command] = [verify, repair, upgrade, compact, remove, info, list_, export, watch]
index = IndexGroup(add, commands=_COMMANDS, context_settings={})
