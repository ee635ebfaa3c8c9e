"""`jnlp search`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.common import command
from jnlp.cli.options import given
from jnlp.io.writing.sinks import OutputEncoding
from jnlp_search.options import Retriever, SearchOptions

if TYPE_CHECKING:
    from jnlp.engine import Engine
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Hit

NO_GOOD = 0.1
"""If the best hit scores less, the command says "no good match"."""

FORMATS = ("table", "jsonl", "csv", "tsv", "parquet")
NAMES = [retriever.value for retriever in Retriever]


@command(
    SearchOptions,
    name="search",
    summary="Search an index, or a file without one: passages with offsets and highlights.",
    reading=("text", "id", "encoding", "encoding_errors", "input_format"),
    hint={"then": "index again with --model {larger} --rebuild"},
)
@click.argument("words", nargs=-1, required=True, metavar="[DIR|FILE] QUERY")
@click.option(
    "--index",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="An index; may be repeated.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the hits to FILE.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Default: by the extension of FILE, a table on a terminal, JSONL in a pipe.",
)
@click.option(
    "--output-encoding",
    type=click.Choice([member.value for member in OutputEncoding]),
    default=OutputEncoding.UTF_8.value,
    help="Codec of the output, for spreadsheets.",
)
@click.option("--legs", type=click.Choice(NAMES), hidden=True, help="The former name of --retriever.")
def search(
    engine: Engine,
    options: SearchOptions,
    words: tuple[str, ...],
    folders: tuple[Path, ...],
    out: Path | None,
    form: str | None,
    output_encoding: str,
    legs: str | None,
    reading: ReadOptions,
    quiet: bool,
) -> None:
    """Print the passages that answer a query; `-` reads queries from standard input, one per line."""
    from jnlp.cli.console import is_terminal
    from jnlp_search.cli.hits import hit_printer
    from jnlp_search.cli.inputs import opened_indexes, query_lines, target_and_query
    from jnlp_search.index import search_all

    chosen = dataclasses.replace(options, retriever=Retriever(legs)) if legs else options
    form = form or ("table" if out is None and is_terminal() else None)
    asked = given(click.get_current_context(), SearchOptions)
    if form == "table" and "evidence" not in asked:
        chosen = dataclasses.replace(chosen, evidence=True)  # the sentence that a person is shown
    target, query = target_and_query(words, folders)
    if target is not None and target.is_file() and "per_document" not in asked:
        chosen = dataclasses.replace(chosen, per_document=0)  # it may be the only document
    printer = hit_printer(out, form, OutputEncoding(output_encoding), inputs=[target] if target else [], quiet=quiet)
    with opened_indexes(engine, target, folders, reading) as indexes, printer as show:
        if not quiet and chosen.retriever is not Retriever.DENSE and any(index.is_outdated() for index in indexes):
            click.echo(
                "jnlp: another dictionary made this index: some words may be missed; run jnlp index again", err=True
            )
        for line in [query] if query != "-" else query_lines():
            hits = search_all(indexes, line, **dataclasses.asdict(chosen))
            if not quiet:
                _remark(hits, chosen)
            show(hits, line if query == "-" else None)


def _remark(hits: list[Hit], options: SearchOptions) -> None:
    if not hits:
        what = f"no good match: none scores {options.min_score:g}" if options.min_score else "nothing was found"
        click.echo(f"jnlp: {what}", err=True)
    elif options.retriever is Retriever.HYBRID and not any(hit.highlights for hit in hits):
        click.echo("jnlp: no passage has a word of the query; these are the nearest by their vectors", err=True)
    elif (best := max(hit.score for hit in hits)) < NO_GOOD and not options.offset:
        click.echo(f"jnlp: no good match: the best score is {best:.2f}", err=True)
