"""`jnlp search`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.common import command
from jnlp.cli.messages import print_failure
from jnlp.cli.options import given
from jnlp.config import Settings
from jnlp.strict_json import dumps_shown
from jnlp_search.options import Retriever, SearchOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.engine import Engine
    from jnlp.types import Hit

NO_GOOD = 0.1
"""A best hit under this score is said to be no good match."""

NAMES = [retriever.value for retriever in Retriever]


@command(
    SearchOptions,
    name="search",
    summary="Search an index: passages with offsets and highlights.",
    hint={"then": "index again with --model {larger} --rebuild"},
)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("query", metavar="QUERY")
@click.option(
    "--format", "form", type=click.Choice(["table", "jsonl"]), help="Default: a table on a terminal, JSONL in a pipe."
)
@click.option("--legs", type=click.Choice(NAMES), hidden=True, help="The former name of --retriever.")
def search(
    engine: Engine,
    options: SearchOptions,
    folder: Path,
    query: str,
    form: str | None,
    legs: str | None,
    quiet: bool,
) -> None:
    """Print the passages that answer a query; `-` reads queries from standard input, one per line."""
    from jnlp.cli.console import is_terminal
    from jnlp_search.index import Index

    chosen = dataclasses.replace(options, retriever=Retriever(legs)) if legs else options
    table = form == "table" or (form is None and is_terminal())
    with Index.open(folder, engine, model=asked_model(), create=False) as opened:
        if not quiet and chosen.retriever is not Retriever.DENSE and opened.is_outdated():
            click.echo(
                "jnlp: another dictionary made this index: some words may be missed; run jnlp index again", err=True
            )
        for asked in [query] if query != "-" else _lines():
            hits = opened.search(asked, **dataclasses.asdict(chosen))
            if not quiet:
                _remark(hits, chosen)
            if not table:
                _print(hits, {"query": asked} if query == "-" else {})
                continue
            if query == "-":
                click.echo(f"■ {asked}")
            print_hits(hits)


def _lines() -> Iterator[str]:
    """Yield the queries on standard input as they come; report undecodable lines."""
    from jnlp.io import read
    from jnlp.types import Failed

    for record in read(["-"]):
        if isinstance(record, Failed):
            print_failure(record)
        elif isinstance(record.text, str):
            yield record.text


def _remark(hits: list[Hit], options: SearchOptions) -> None:
    if not hits:
        what = f"no good match: none scores {options.min_score:g}" if options.min_score else "nothing was found"
        click.echo(f"jnlp: {what}", err=True)
    elif options.retriever is Retriever.HYBRID and not any(hit.highlights for hit in hits):
        click.echo("jnlp: no passage has a word of the query; these are the nearest by their vectors", err=True)
    elif (best := max(hit.score for hit in hits)) < NO_GOOD and not options.offset:
        click.echo(f"jnlp: no good match: the best score is {best:.2f}", err=True)


def _print(hits: list[Hit], head: dict[str, str]) -> None:
    from jnlp_search.show import as_json

    for hit in hits:
        click.echo(dumps_shown({**head, **as_json(hit)}))
    sys.stdout.flush()  # whoever asks line by line waits for the answer


def print_hits(hits: list[Hit], /) -> None:
    """Print hits for a terminal: the place, and the best sentence."""
    from jnlp.cli.console import passage
    from jnlp_search.show import explanation, heading, sharing, snippet

    for hit in hits:
        text, highlights = snippet(hit)
        passage(heading(hit), text, highlights, foot="\n".join(filter(None, (sharing(hit), explanation(hit)))))


def asked_model() -> str | None:
    """Return the model given on the command line; a configured model does not override the index's own."""
    model: str | None = given(click.get_current_context(), Settings).get("model")
    return model
