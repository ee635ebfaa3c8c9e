"""The output of `jnlp search`: a table for a terminal, a stream of JSON lines, or a file."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from jnlp.strict_json import dumps
from jnlp_search.render import as_json, explanation, heading, in_context, sharing, snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from jnlp.io.writing.sinks import OutputEncoding
    from jnlp.types import Hit

    Show = Callable[[list[Hit], str | None], None]
    """Takes the hits of a query, and the query if there are several."""


@contextmanager
def hit_printer(
    out: Path | None, form: str | None, encoding: OutputEncoding, /, *, inputs: Sequence[Path], quiet: bool
) -> Iterator[Show]:
    """Yield the function that prints or writes hits.

    Args:
        out: The file to write; None is standard output.
        form: `table`, `jsonl`, `csv`, `tsv` or `parquet`; None uses the extension of `out`.
        encoding: The codec of text formats.
        inputs: The inputs, so that they are not overwritten.
        quiet: Print no line on stderr about what was written.
    """
    if form == "table" and out is None:
        yield _for_people
        return
    from jnlp.io import format_of, open_writer
    from jnlp.io.writing.writers import standard_stream

    name = form or format_of(out)
    rows: list[dict[str, Any]] = []
    count = 0
    with open_writer(name, out, encoding=encoding, inputs=inputs) as output:

        def write_hits(hits: list[Hit], query: str | None) -> None:
            nonlocal count
            count += len(hits)
            made = [({} if query is None else {"query": query}) | as_json(hit) for hit in hits]
            if name == "jsonl":
                output.write(*made)
                output.flush()  # a program that sends queries line by line waits for the answer
            else:
                rows.extend(made)

        yield write_hits
        if rows:
            output.write(*(_pack(rows) if name == "parquet" else _flat(rows)))
    if out is not None and standard_stream(out) is None and not quiet:
        click.echo(f"jnlp: {out}: {count:,} hit{'s' * (count != 1)} written", err=True)


def _flat(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, object]]:
    """Yield rows with the same columns: one for each key of the metadata, lists as text, times as dates.

    The path is in the column `path` alone.
    """
    from jnlp.io.writing.flat import flatten

    rows = [{**row, "metadata": _for_sheets(row)} for row in rows]
    keys = {"metadata": list(dict.fromkeys(key for row in rows for key in row["metadata"]))}
    flat = [flatten(row, keys) for row in rows]
    columns = dict.fromkeys(column for row in flat for column in row)
    yield from ({column: row.get(column) for column in columns} for row in flat)


def _for_sheets(row: dict[str, Any]) -> dict[str, object]:
    """Return a row's metadata as people write it: no path that the row has already, the file's time as local time."""
    from datetime import UTC, datetime

    found = {key: value for key, value in row["metadata"].items() if key != "path" or value != row["path"]}
    if isinstance(time := found.get("mtime"), int | float):
        found["mtime"] = datetime.fromtimestamp(time, UTC).astimezone().isoformat(" ", "seconds")
    return found


def _pack(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, object]]:
    """Yield rows with metadata and the like as JSON: their types may differ from row to row."""
    for row in rows:
        yield {key: dumps(value) if isinstance(value, dict | list) else value for key, value in row.items()}


def _for_people(hits: list[Hit], query: str | None) -> None:
    """Print the place and the best sentence of each hit."""
    from jnlp.cli.console import passage

    if query is not None:
        click.echo(f"■ {query}")
    for hit in hits:
        text, highlights = snippet(hit)
        if hit.before or hit.after:
            text, highlights = in_context(hit)
        passage(heading(hit), text, highlights, foot="\n".join(filter(None, (sharing(hit), explanation(hit)))))
