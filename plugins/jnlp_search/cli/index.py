"""`jnlp index`: indexing; and `jnlp index verify | repair | remove | info | list`."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.common import command
from jnlp.cli.messages import Unread, counted
from jnlp.strict_json import dumps_shown
from jnlp_search.cli.group import IndexGroup
from jnlp_search.cli.inputs import asked_model
from jnlp_search.options import IndexOptions
from jnlp_search.roots import escape_path

if TYPE_CHECKING:
    from jnlp.engine import Engine
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import AddReport
    from jnlp_search.index import Index

_FOLDER = click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
_FEW = 3  # files that a message names
SUMMARY = "Index documents for search; only what changed is read again."


@command(
    IndexOptions,
    name="index",
    summary=SUMMARY,
    reading=("text", "id", "encoding", "encoding_errors", "input_format", "include", "exclude", "ignore", "recursive"),
    hint={"did": "indexed with", "then": "index again with --model {larger} --rebuild"},
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--index", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The index.")
def add(
    engine: Engine, options: IndexOptions, paths: tuple[str, ...], folder: Path, reading: ReadOptions, quiet: bool
) -> None:
    """Update an index with files and folders, and print the numbers of documents."""
    from jnlp.cli.console import progress
    from jnlp.io import PassedOver
    from jnlp.io.reading.estimate import estimate
    from jnlp.io.reading.options import Unit

    read = dataclasses.asdict(reading)
    shows_bar = not quiet and _is_terminal()
    documents = dataclasses.replace(reading, unit=Unit.DOCUMENT)
    total = estimate(paths, documents, engine.readers()) if shows_bar else None
    done, passed_over, unread = 0, PassedOver(), Unread()
    with (
        ExitStack() as last,
        progress("documents", total=total, quiet=not shows_bar) as advance,
        _open(engine, folder) as index,
    ):
        last.callback(unread.print)

        def print_progress(report: AddReport) -> None:
            nonlocal done
            advance(report.documents + report.failed - done)
            done = report.documents + report.failed

        report = index.add(
            paths,
            read=read,
            on_failed=unread.add,
            progress=print_progress,
            passed_over=passed_over,
            **dataclasses.asdict(options),
        )
    click.echo(
        f"{_name(folder)}: {counted(report.added, 'document')} added, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged, {report.removed:,} removed, {report.failed:,} failed; "
        f"{counted(report.chunks, 'new passage')} in {report.seconds:.1f} s"
    )
    if passed_over and not quiet:
        click.echo(f"jnlp: {passed_over}", err=True)
    if report.failed and not report.documents:
        raise click.exceptions.Exit(1)
    if not report.failed and not report.documents and not quiet:
        click.echo("jnlp: no document was found there", err=True)


@command(name="verify", summary="Check an index: every row, the full text and the segment files.")
@_FOLDER
def verify(engine: Engine, folder: Path, quiet: bool) -> None:
    """Print what is damaged; exit status 1 if anything is."""
    found = _open(engine, folder).verify()
    for problem in found.problems:
        click.echo(f"{_name(folder)}: {problem}")
    if found.problems:
        click.echo(f"      hint: jnlp index repair {_name(folder)} keeps the intact documents", err=True)
        raise click.exceptions.Exit(1)
    counts = found.counts
    documents, passages = counted(counts["documents"], "document"), counted(counts["chunks"], "passage")
    click.echo(f"{_name(folder)}: {documents} and {passages}, all whole")
    if found.leftovers and not quiet:
        click.echo(f"jnlp: left by an interrupted run; the next run removes it: {', '.join(found.leftovers)}", err=True)


@command(name="repair", summary="Keep the intact documents of a damaged index; nothing is embedded.")
@_FOLDER
def repair(engine: Engine, folder: Path, quiet: bool) -> None:
    """Rebuild segments and full text from the catalogue; drop damaged documents and print their names."""
    report = _open(engine, folder).repair()
    for name in report.dropped:
        click.echo(f"{_name(folder)}: dropped {name}")
    click.echo(f"{_name(folder)}: {report.documents:,} documents kept, {len(report.dropped):,} dropped")
    if report.dropped and not quiet:
        click.echo("jnlp: index their files again to bring them back", err=True)


@command(name="remove", summary="Remove documents from an index by id, file or folder.")
@_FOLDER
@click.argument("names", nargs=-1, required=True, metavar="ID|FILE|FOLDER…")
def remove(engine: Engine, folder: Path, names: tuple[str, ...], quiet: bool) -> None:
    """Remove documents; their files are not touched."""
    kept: list[str] = []
    click.echo(f"{_name(folder)}: {_open(engine, folder).remove(names, on_kept=kept.append):,} removed")
    if kept and not quiet:
        some = ", ".join(kept[:_FEW]) + (f" and {len(kept) - _FEW:,} more" if len(kept) > _FEW else "")
        click.echo(f"jnlp: still there, and indexed again by the next jnlp index of its folder: {some}", err=True)


@command(name="info", summary="Print the contents and settings of an index as JSON.")
@_FOLDER
def info(engine: Engine, folder: Path, quiet: bool) -> None:
    """Print one JSON object."""
    click.echo(dumps_shown(_open(engine, folder).info(), indent=2))


@command(name="list", summary="List the documents of an index, one JSON object a line; `remove` takes a `name`.")
@_FOLDER
def list_(engine: Engine, folder: Path, quiet: bool) -> None:
    """Print each document's id, file and row, and the name that no other document has."""
    with _open(engine, folder) as index:
        for place in index.documents():
            click.echo(dumps_shown({**dataclasses.asdict(place), "name": place.name}))


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def _name(folder: Path) -> str:
    """Return a folder's name as text, with bytes that are not UTF-8 escaped."""
    return escape_path(str(folder))


def _open(engine: Engine, folder: Path) -> Index:
    from jnlp_search.index import Index

    return Index.open(folder, engine, model=asked_model())


index = IndexGroup(add, commands=[verify, repair, remove, info, list_], context_settings={})
