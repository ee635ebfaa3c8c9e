"""`jnlp index watch`: follows folders and updates an index."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.common import command
from jnlp.cli.messages import print_failure
from jnlp_search.cli.inputs import open_folder, summary_of
from jnlp_search.options import READING, IndexOptions

if TYPE_CHECKING:
    from jnlp.engine import Engine
    from jnlp.errors import JnlpError
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed


@command(
    IndexOptions,
    name="watch",
    summary="Update an index, and again whenever files of the folders change, until Ctrl-C.",
    reading=READING,
    hint={"did": "indexed with", "then": "index again with --model {larger} --rebuild"},
)
@click.argument("paths", nargs=-1, required=True, metavar="FOLDER…")
@click.option("--index", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The index.")
@click.option(
    "--debounce",
    type=click.FloatRange(0.05, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long files must stay unchanged before an update.",
)
def watch(
    engine: Engine,
    options: IndexOptions,
    paths: tuple[str, ...],
    folder: Path,
    debounce: float,
    reading: ReadOptions,
    quiet: bool,
) -> None:
    """Print a line for each update that changed something."""
    failures, errors = _Once(), _Once()

    def print_failed(failed: Failed) -> None:
        if failures.is_new(f"{failed.id}\0{failed.error}"):
            print_failure(failed)

    def print_error(error: JnlpError) -> None:
        if errors.is_new(str(error)):
            click.echo(f"jnlp: {error}; trying again", err=True)

    first = True
    try:
        with open_folder(engine, folder) as index:
            reports = index.watch(
                paths,
                debounce=debounce,
                on_error=print_error,
                on_failed=print_failed,
                read=dataclasses.asdict(reading),
                **dataclasses.asdict(options),
            )
            for report in reports:
                if first or report.added or report.updated or report.removed:
                    click.echo(summary_of(report, folder))
                if first and not quiet:
                    click.echo(f"jnlp: following {', '.join(paths)}; Ctrl-C ends", err=True)
                first = False
                errors.clear()
    except KeyboardInterrupt:
        if first:  # before all documents were indexed once
            raise


class _Once:
    """Tells which messages are new."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def is_new(self, message: str) -> bool:
        new = message not in self._seen
        self._seen.add(message)
        return new

    def clear(self) -> None:
        self._seen.clear()
