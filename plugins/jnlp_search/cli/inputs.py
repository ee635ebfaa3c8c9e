"""The inputs of `jnlp search`: indexes or a file, and queries."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.messages import counted, print_failure
from jnlp.cli.options import given
from jnlp.config import Settings
from jnlp.errors import JnlpError, UsageError
from jnlp_search.roots import escape_path
from jnlp_search.store.shards import is_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
            f"search '{words[0]}' where? no index is named",
            hint=f"jnlp search my.idx '{words[0]}'; jnlp index FOLDER --index my.idx makes an index",
        )
    if len(words) != wanted:
        what = "a query" if folders else "an index or a file, and a query"
        raise UsageError(
            f"search takes {what}, not {len(words)} arguments", hint='quote the query: jnlp search my.idx "解約 条件"'
        )
    return (None, words[0]) if folders else (Path(words[0]), words[1])


@contextmanager
def opened_indexes(
    engine: Engine, target: Path | None, folders: Sequence[Path], reading: ReadOptions
) -> Iterator[list[Index]]:
    """Open the indexes; for a file, make a temporary index."""
    from jnlp_search.index import Index

    with ExitStack() as stack:
        if target is not None and target.is_file():
            index = stack.enter_context(Index.temporary(engine, model=asked_model()))
            report = index.add([target], read=dataclasses.asdict(reading), on_failed=print_failure)
            if not report.documents:
                raise JnlpError(f"{target} has no text to search", hint="see the message above")
            yield [index]
            return
        if target is not None and target.is_dir() and not is_index(target):
            raise UsageError(
                f"there is no index at {target}",
                hint=f"index the folder first: jnlp index {target} --index my.idx, then jnlp search my.idx QUERY",
            )
        opened = [
            stack.enter_context(Index.open(folder, engine, model=asked_model(), create=False))
            for folder in ([target] if target is not None else folders)
        ]
        yield opened


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
