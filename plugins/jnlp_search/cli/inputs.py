"""The inputs of `jnlp index` and `jnlp search`: indexes, files and folders, and queries."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.messages import counted, print_failure
from jnlp.cli.options import given
from jnlp.config import Settings
from jnlp.errors import UsageError
from jnlp_search.roots import escape_path
from jnlp_search.store.shards import is_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jnlp.engine import Engine
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import AddReport
    from jnlp_search.index import Index


def open_folder(engine: Engine, folder: Path, /) -> Index:
    """Return the index in a folder, to be opened at its first use, with the model that the user asked for."""
    from jnlp_search.index import Index

    return Index.open(folder, engine, model=asked_model())


def name_of(folder: Path, /) -> str:
    """Return a folder's name as text, with bytes that are not UTF-8 escaped."""
    return escape_path(str(folder))


def summary_of(report: AddReport, folder: Path, /) -> str:
    """Return the line that tells what an update did."""
    return (
        f"{name_of(folder)}: {counted(report.added, 'document')} added, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged, {report.removed:,} removed, {report.failed:,} failed; "
        f"{counted(report.chunks, 'new passage')} in {report.seconds:.1f} s"
    )


def target_and_query(words: Sequence[str], folders: Sequence[Path]) -> tuple[Path | None, str]:
    """Return the index or file, unless given by `--index`, and the query."""
    wanted = 1 if folders else 2
    if len(words) == 1 and wanted == 2 and not Path(words[0]).exists():
        raise UsageError(
            f"search '{words[0]}' where? no index, folder or file is named",
            hint=f"jnlp search FOLDER '{words[0]}', or jnlp index FOLDER --index my.idx and jnlp search my.idx …",
        )
    if len(words) != wanted:
        what = "a query" if folders else "an index, a folder or a file, and a query"
        raise UsageError(
            f"search takes {what}, not {len(words)} arguments", hint='quote the query: jnlp search my.idx "解約 条件"'
        )
    return (None, words[0]) if folders else (Path(words[0]), words[1])


def has_no_index(target: Path | None, /) -> bool:
    """Return True for a file, or a folder that is no index: its documents are read for one search."""
    return target is not None and (target.is_file() or (target.is_dir() and not is_index(target)))


def estimated(paths: Sequence[str | Path], engine: Engine, reading: ReadOptions, /) -> int | None:
    """Return the approximate number of documents in files and folders; None if that would require reading them."""
    from jnlp.io.reading.estimate import estimate
    from jnlp.io.reading.options import Unit

    return estimate(paths, dataclasses.replace(reading, unit=Unit.DOCUMENT), engine.readers())


@contextmanager
def document_bar(total: int | None, /, *, quiet: bool) -> Iterator[Callable[[AddReport], None]]:
    """Show a bar of the documents that are indexed, on a terminal; yield what `Index.add` takes as `progress`."""
    from jnlp.cli.console import progress

    done = 0
    with progress("documents", total=total, quiet=quiet) as advance:

        def print_progress(report: AddReport) -> None:
            nonlocal done
            advance(report.documents + report.failed - done)
            done = report.documents + report.failed

        yield print_progress


def query_lines() -> Iterator[str]:
    """Yield the queries on standard input as they come; report undecodable lines."""
    from jnlp.io import read
    from jnlp.types import Failed

    for record in read(["-"]):
        if isinstance(record, Failed):
            print_failure(record)
        elif isinstance(record.text, str):
            yield record.text


def asked_model() -> str | None:
    """Return the model given on the command line; a configured model does not override the index's own."""
    model: str | None = given(click.get_current_context(), Settings).get("model")
    return model
