"""`jnlp search`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.common import command
from jnlp.cli.options import given
from jnlp.io.writing.sinks import OutputEncoding
from jnlp.types.search import GOOD_SCORE
from jnlp_search.options import Retriever, SearchOptions

if TYPE_CHECKING:
    from jnlp.engine import Engine
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Hit

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
    from jnlp_search.cli.elsewhere import asked_elsewhere
    from jnlp_search.cli.hits import hit_printer
    from jnlp_search.cli.inputs import asked_model, opened_indexes, query_lines, target_and_query

    chosen = dataclasses.replace(options, retriever=Retriever(legs)) if legs else options
    form = form or ("table" if out is None and is_terminal() else None)
    asked = given(click.get_current_context(), SearchOptions)
    if form == "table" and "evidence" not in asked:
        chosen = dataclasses.replace(chosen, evidence=True)  # the sentence that a person is shown
    target, query = target_and_query(words, folders)
    if target is not None and target.is_file() and "per_document" not in asked:
        chosen = dataclasses.replace(chosen, per_document=0)  # it may be the only document
    good_only = form == "table" and out is None and not chosen.explain and "min_score" not in asked
    kept = (target,) if target is not None and not target.is_file() else folders
    printer = hit_printer(out, form, OutputEncoding(output_encoding), inputs=[target] if target else [], quiet=quiet)
    if kept and query != "-":
        found = asked_elsewhere(engine, kept, query, chosen, model=asked_model())
        if found is not None:
            hits, outdated = found
            with printer as show:
                _remark(hits, chosen, outdated=outdated, quiet=quiet, good_only=good_only)
                show(_shown(hits, chosen, good_only=good_only), None)
            return
    from jnlp_search.several import search_all

    with opened_indexes(engine, target, folders, reading) as indexes, printer as show:
        outdated = not quiet and any(index.is_outdated() for index in indexes)
        for line in [query] if query != "-" else query_lines():
            hits = search_all(indexes, line, **dataclasses.asdict(chosen))
            _remark(hits, chosen, outdated=outdated, quiet=quiet, good_only=good_only)
            outdated = False  # said once
            show(_shown(hits, chosen, good_only=good_only), line if query == "-" else None)


def _shown(hits: list[Hit], options: SearchOptions, *, good_only: bool) -> list[Hit]:
    """Return the hits to print: none if a person who has not set `--min-score` would get no good one."""
    return [] if good_only and not _any_good(hits, options) else hits


def _any_good(hits: list[Hit], options: SearchOptions) -> bool:
    return bool(options.offset) or any(hit.score >= GOOD_SCORE for hit in hits)


def _remark(hits: list[Hit], options: SearchOptions, *, outdated: bool, quiet: bool, good_only: bool) -> None:
    """Print on stderr what the hits do not say."""
    from jnlp_search.render import printed_score

    if quiet and (not hits or not good_only or _any_good(hits, options)):  # else the table has none, and says nothing
        return
    if outdated and options.retriever is not Retriever.DENSE:
        click.echo("jnlp: another dictionary made this index: some words may be missed; run jnlp index again", err=True)
    if not hits:
        what = f"no good match: none scores {options.min_score:g}" if options.min_score else "nothing was found"
        click.echo(f"jnlp: {what}", err=True)
        return
    said = []
    if not _any_good(hits, options):
        said.append(f"no good match: the best score is {printed_score(max(hit.score for hit in hits))}")
        if good_only:
            said.append("--min-score 0 shows the nearest passages")
    if not (said and good_only) and options.retriever is Retriever.HYBRID and not any(hit.highlights for hit in hits):
        said.append("these passages have no word of the query; they are the nearest by their vectors")
    if said:
        click.echo(f"jnlp: {'; '.join(said)}", err=True)
