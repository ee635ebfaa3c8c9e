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
from jnlp_search.options import READING, Retriever, SearchOptions

if TYPE_CHECKING:
    from jnlp.engine import Engine
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Hit

FORMATS = ("table", "jsonl", "csv", "tsv", "parquet")
NAMES = [retriever.value for retriever in Retriever]


@command(
    SearchOptions,
    name="search",
    summary="Search an index, or a folder or file without one: passages with offsets and highlights.",
    reading=READING,
    hint={"then": "index again with --model {larger} --rebuild"},
)
@click.argument("words", nargs=-1, required=True, metavar="[INDEX|FOLDER|FILE] QUERY")
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
    from jnlp_search.cli.inputs import asked_model, has_no_index, query_lines, target_and_query
    from jnlp_search.cli.unindexed import opened_indexes

    chosen = dataclasses.replace(options, retriever=Retriever(legs)) if legs else options
    form = form or ("table" if out is None and is_terminal() else None)
    asked = given(click.get_current_context(), SearchOptions)
    if form == "table" and "evidence" not in asked:
        chosen = dataclasses.replace(chosen, evidence=True)  # the sentence that a person is shown
    target, query = target_and_query(words, folders)
    if target is not None and target.is_file() and "per_document" not in asked:
        chosen = dataclasses.replace(chosen, per_document=0)  # it may be the only document
    good_only = form == "table" and out is None and not chosen.explain and "min_score" not in asked
    kept = folders if target is None else () if has_no_index(target) else (target,)
    printer = hit_printer(out, form, OutputEncoding(output_encoding), inputs=[target] if target else [], quiet=quiet)
    if kept and query != "-":
        found = asked_elsewhere(engine, kept, query, chosen, model=asked_model())
        if found is not None:
            hits, outdated = found
            with printer as show:
                show(_judged(hits, chosen, outdated=outdated, quiet=quiet, good_only=good_only), None)
            return
    from jnlp_search.several import search_all

    with opened_indexes(engine, target, folders, reading, quiet=quiet) as indexes, printer as show:
        outdated = not quiet and any(index.is_outdated() for index in indexes)
        for line in [query] if query != "-" else query_lines():
            hits = search_all(indexes, line, **dataclasses.asdict(chosen))
            shown = _judged(hits, chosen, outdated=outdated, quiet=quiet, good_only=good_only)
            outdated = False  # said once
            show(shown, line if query == "-" else None)


def _judged(hits: list[Hit], options: SearchOptions, *, outdated: bool, quiet: bool, good_only: bool) -> list[Hit]:
    """Print on stderr what the hits do not say, and return those to print.

    They are none if a person who has not set `--min-score` would get no good one. That is said under `--quiet` too:
    else the output would be empty without a word.
    """
    good = bool(options.offset) or any(hit.score >= GOOD_SCORE for hit in hits)
    hidden = good_only and bool(hits) and not good
    if not quiet and outdated and options.retriever is not Retriever.DENSE:
        click.echo("jnlp: another dictionary made this index: some words may be missed; run jnlp index again", err=True)
    if (hidden or not quiet) and (remark := _remark(hits, options, good=good, hidden=hidden)):
        click.echo(f"jnlp: {remark}", err=True)
    return [] if hidden else hits


def _remark(hits: list[Hit], options: SearchOptions, *, good: bool, hidden: bool) -> str:
    """Return what a list of hits does not say: that it is empty, that none is good, or that none has a word."""
    from jnlp_search.render import printed_score

    if not hits:
        return f"no good match: none scores {options.min_score:g}" if options.min_score else "nothing was found"
    said = []
    if not good:
        said.append(f"no good match: the best score is {printed_score(max(hit.score for hit in hits))}")
    if hidden:
        said.append("--min-score 0 shows the nearest passages")
    elif options.retriever is Retriever.HYBRID and not any(hit.highlights for hit in hits):
        said.append("these passages have no word of the query; they are the nearest by their vectors")
    return "; ".join(said)
