"""`jnlp index` and `jnlp search`."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.common import command
from jnlp.cli.options import given
from jnlp.cli.report import tell_failed
from jnlp.config import Settings
from jnlp.engine import DEFAULT_EMBEDDER
from jnlp_search.options import IndexOptions, Legs, SearchOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.engine import Engine
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Hit
    from jnlp_search.builder import BuildReport


@command(
    IndexOptions,
    name="index",
    summary="Index documents for search; only what changed is read again.",
    reading=("text", "id", "encoding", "encoding_errors", "input_format", "recursive"),
    hint={"did": "indexed with", "then": "index again with --model {larger} --rebuild"},
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--index", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The index.")
def index(
    engine: Engine, options: IndexOptions, paths: tuple[str, ...], folder: Path, reading: ReadOptions, quiet: bool
) -> None:
    """Bring an index up to date with files and folders, and say what became of them."""
    from jnlp.cli.console import progress
    from jnlp.io import PassedOver, documents
    from jnlp_search.index import build, recorded_model

    model = asked_model() or recorded_model(folder) or engine.settings.model or DEFAULT_EMBEDDER
    if model not in engine.specs() and Path(model).is_dir():
        model = str(Path(model).resolve())  # a search may run elsewhere
    done, passed_over = 0, PassedOver()
    with progress("documents", quiet=quiet) as advance:

        def show(report: BuildReport) -> None:
            nonlocal done
            advance(report.documents - done)
            done = report.documents

        report = build(
            folder,
            documents(paths, reading, engine.readers(), passed_over=passed_over),
            engine.models().embedder(model),
            options,
            model=model,
            sources=paths,
            on_failed=tell_failed,
            progress=show,
        )
    click.echo(
        f"{folder}: {report.added:,} added, {report.updated:,} updated, {report.unchanged:,} unchanged, "
        f"{report.removed:,} removed, {report.failed:,} failed; "
        f"{report.chunks:,} new passages in {report.seconds:.1f} s"
    )
    if passed_over and not quiet:
        click.echo(f"jnlp: {passed_over}", err=True)
    if report.failed and not report.documents:
        raise click.exceptions.Exit(1)
    if not report.failed and not report.documents and not quiet:
        click.echo("jnlp: no document was found there", err=True)


@command(
    SearchOptions,
    name="search",
    summary="Search an index: passages with offsets and highlights.",
    hint={"then": "index again with --model {larger} --rebuild"},
)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("query", metavar="QUERY")
@click.option(
    "--format", "form", type=click.Choice(["table", "jsonl"]), help="Else a table at a terminal, JSONL in a pipe."
)
def search(engine: Engine, options: SearchOptions, folder: Path, query: str, form: str | None, quiet: bool) -> None:
    """Print the passages that answer a query; `-` takes queries from standard input, a line each."""
    from jnlp.cli.console import is_terminal
    from jnlp_search.search import open_index

    chosen = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    table = form == "table" or (form is None and is_terminal())
    with open_index(folder, engine.models(), model=asked_model()) as opened:
        for asked in [query] if query != "-" else _lines():
            hits = opened.search(asked, **chosen)
            if not quiet:
                _remark(hits, options.legs)
            if not table:
                _print(hits, {"query": asked} if query == "-" else {})
                continue
            if query == "-":
                click.echo(f"■ {asked}")
            show_hits(hits)


def _lines() -> Iterator[str]:
    """Yield the queries on standard input as they come; what is no text is told."""
    from jnlp.io import read
    from jnlp.types import Failed

    for record in read(["-"]):
        if isinstance(record, Failed):
            tell_failed(record)
        elif isinstance(record.text, str):
            yield record.text


def _remark(hits: list[Hit], legs: Legs) -> None:
    if not hits:
        click.echo("jnlp: nothing was found", err=True)
    elif legs is Legs.HYBRID and not any(hit.highlights for hit in hits):
        click.echo("jnlp: no passage has a word of the query; these are the nearest by their vectors", err=True)


def _print(hits: list[Hit], head: dict[str, str]) -> None:
    from jnlp_search.show import as_json

    for hit in hits:
        click.echo(json.dumps({**head, **as_json(hit)}, ensure_ascii=False))
    sys.stdout.flush()  # whoever asks line by line waits for the answer


def show_hits(hits: list[Hit], /) -> None:
    """Print hits for a person: where, and the sentence that answers best."""
    from jnlp.cli.console import passage
    from jnlp_search.show import snippet

    for hit in hits:
        text, highlights = snippet(hit)
        passage(f"{hit.rank}. {hit.document} {hit.start}–{hit.end}  {hit.score:.3f}", text, highlights)


def asked_model() -> str | None:
    """Return the model that stands on the command line: a configured one does not override an index's own."""
    model: str | None = given(click.get_current_context(), Settings).get("model")
    return model
