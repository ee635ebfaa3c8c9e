"""What `jnlp search` searches: indexes, or a file or a folder without one, which is read for one search."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from jnlp.cli.messages import Unread, counted
from jnlp.errors import JnlpError
from jnlp_search.cli.inputs import asked_model, document_bar, estimated, has_no_index, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jnlp.engine import Engine
    from jnlp.io.reading.options import ReadOptions
    from jnlp_search.index import Index

MANY = 200
"""More documents, or passages, and it is worth keeping an index."""


@contextmanager
def opened_indexes(
    engine: Engine, target: Path | None, folders: Sequence[Path], reading: ReadOptions, /, *, quiet: bool
) -> Iterator[list[Index]]:
    """Open the indexes; for a file or a folder without one, make a temporary index."""
    from jnlp_search.index import Index

    with ExitStack() as stack:
        if target is not None and has_no_index(target):
            index = stack.enter_context(Index.temporary(engine, model=asked_model()))
            _read_into(index, target, engine, reading, quiet=quiet)
            yield [index]
            return
        opened = [
            stack.enter_context(Index.open(folder, engine, model=asked_model(), create=False))
            for folder in ([target] if target is not None else folders)
        ]
        yield opened


def _read_into(index: Index, target: Path, engine: Engine, reading: ReadOptions, /, *, quiet: bool) -> None:
    """Index a file or a folder for one search; print how much was read, and for much of it how to read it once.

    Raises:
        JnlpError: It has no text.
    """
    from jnlp.io import PassedOver

    name = name_of(target)
    keep = f"jnlp index {name} --index my.idx reads once for all searches"
    total = None if quiet else estimated([target], engine, reading)
    advised = not quiet and target.is_dir() and (total is None or total > MANY)
    if advised:
        many = "very many documents" if total is None else f"about {total:,} documents"
        click.echo(f"jnlp: reading {many} of {name} for this search; {keep}", err=True)
    passed_over, unread = PassedOver(), Unread()
    with document_bar(total, quiet=quiet) as progress:
        report = index.add(
            [target],
            read=dataclasses.asdict(reading),
            on_failed=unread.add,
            progress=progress,
            passed_over=passed_over,
        )
    unread.print()
    if passed_over and not quiet:
        click.echo(f"jnlp: {passed_over}", err=True)
    if not report.documents:
        what = "a folder without an index, and without documents" if target.is_dir() else "a file without text"
        raise JnlpError(
            f"{name} has no text to search", hint="see above" if report.failed or passed_over else f"it is {what}"
        )
    if not quiet and (target.is_dir() or report.chunks > MANY):
        made = f"{counted(report.documents, 'document')} and {counted(report.chunks, 'passage')}"
        more = f"; {keep}" if report.chunks > MANY and not advised else ""
        click.echo(f"jnlp: searched {made} of {name}, read in {report.seconds:.1f} s{more}", err=True)
