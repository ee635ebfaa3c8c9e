"""The subcommands for an existing index: `jnlp index verify | repair | upgrade | compact | remove | info | list …`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.common import command
from jnlp.cli.messages import counted
from jnlp.io.writing.sinks import OutputEncoding
from jnlp.strict_json import dumps_shown
from jnlp_search.cli.inputs import name_of, open_folder
from jnlp_search.export import FORMATS

if TYPE_CHECKING:
    from jnlp.engine import Engine

FOLDER = click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
_FEW = 3  # files that a message names


@command(name="verify", summary="Check an index: every row, the full text and the segment files.")
@FOLDER
def verify(engine: Engine, folder: Path, quiet: bool) -> None:
    """Print what is damaged; exit status 1 if anything is."""
    found = open_folder(engine, folder).verify()
    for problem in found.problems:
        click.echo(f"{name_of(folder)}: {problem}")
    if found.problems:
        click.echo(f"      hint: jnlp index repair {name_of(folder)} keeps the intact documents", err=True)
        raise click.exceptions.Exit(1)
    counts = found.counts
    documents, passages = counted(counts["documents"], "document"), counted(counts["chunks"], "passage")
    click.echo(f"{name_of(folder)}: {documents} and {passages}, all whole")
    if found.leftovers and not quiet:
        click.echo(f"jnlp: left by an interrupted run; the next run removes it: {', '.join(found.leftovers)}", err=True)


@command(name="repair", summary="Keep the intact documents of a damaged index; nothing is embedded.")
@FOLDER
def repair(engine: Engine, folder: Path, quiet: bool) -> None:
    """Rebuild segments and full text from the catalogue; drop damaged documents and print their names."""
    report = open_folder(engine, folder).repair()
    for name in report.dropped:
        click.echo(f"{name_of(folder)}: dropped {name}")
    click.echo(f"{name_of(folder)}: {report.documents:,} documents kept, {len(report.dropped):,} dropped")
    if report.dropped and not quiet:
        click.echo("jnlp: index their files again to bring them back", err=True)


@command(name="upgrade", summary="Rewrite an index of an earlier format; nothing is read or embedded again.")
@FOLDER
def upgrade(engine: Engine, folder: Path, quiet: bool) -> None:
    """Add what an earlier format lacks, or replace the index in one step; print the number of documents."""
    report = open_folder(engine, folder).upgrade()
    click.echo(f"{name_of(folder)}: {report.documents:,} documents, of this format")


@command(name="compact", summary="Make an index smaller: remove what deleted documents left behind.")
@FOLDER
def compact(engine: Engine, folder: Path, quiet: bool) -> None:
    """Rewrite segments, full text and catalogue, and print the bytes before and after; answers stay the same."""
    report = open_folder(engine, folder).compact()
    removed = counted(report.tombstones, "deleted passage")
    click.echo(f"{name_of(folder)}: {report.before:,} bytes before, {report.after:,} after; {removed} removed")


@command(name="remove", summary="Remove documents from an index by id, file or folder.")
@FOLDER
@click.argument("names", nargs=-1, required=True, metavar="ID|FILE|FOLDER…")
def remove(engine: Engine, folder: Path, names: tuple[str, ...], quiet: bool) -> None:
    """Remove documents; their files are not touched."""
    kept: list[str] = []
    click.echo(f"{name_of(folder)}: {open_folder(engine, folder).remove(names, on_kept=kept.append):,} removed")
    if kept and not quiet:
        some = ", ".join(kept[:_FEW]) + (f" and {len(kept) - _FEW:,} more" if len(kept) > _FEW else "")
        click.echo(f"jnlp: still on the disk, so the next jnlp index of the folder adds it again: {some}", err=True)


@command(name="info", summary="Print the contents and settings of an index as JSON.")
@FOLDER
def info(engine: Engine, folder: Path, quiet: bool) -> None:
    """Print one JSON object."""
    click.echo(dumps_shown(open_folder(engine, folder).info(), indent=2))


@command(name="list", summary="List the documents of an index, one JSON object a line; `remove` takes a `name`.")
@FOLDER
def list_(engine: Engine, folder: Path, quiet: bool) -> None:
    """Print each document's id, file and row, and the name that no other document has."""
    with open_folder(engine, folder) as index:
        for place in index.documents():
            click.echo(dumps_shown({**dataclasses.asdict(place), "name": place.name}))


@command(name="export", summary="Write the passages of an index to a file, with their places and metadata.")
@FOLDER
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="The file; else standard output.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Else by the ending of FILE.")
@click.option(
    "--output-encoding",
    type=click.Choice([member.value for member in OutputEncoding]),
    default=OutputEncoding.UTF_8.value,
    help="Codec of the output, for spreadsheets.",
)
@click.option("--vectors", is_flag=True, help="Write the vectors too.")
def export(
    engine: Engine, folder: Path, out: Path | None, form: str | None, output_encoding: str, vectors: bool, quiet: bool
) -> None:
    """Write a row for each passage."""
    rows = open_folder(engine, folder).export(out or "-", format=form, encoding=output_encoding, vectors=vectors)
    if not quiet:
        click.echo(f"jnlp: {counted(rows, 'passage')} written", err=True)
