"""`jnlp suggest`: names the texts that are most worth labelling next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from jnlp.cli.builder import Call, build_command
from jnlp.cli.options import SectionOption
from jnlp.errors import JnlpError
from jnlp.io.reading.options import ReadOptions
from jnlp.options import fields
from jnlp.types import Option, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp_classify.suggest import Suggestion


@dataclass(frozen=True, slots=True)
class SuggestOptions:
    """How many texts are named."""

    count: Annotated[int, Option("Texts to name.", ge=1)] = 20


def _work(call: Call) -> None:
    from jnlp.cli.messages import print_failure
    from jnlp.io import read
    from jnlp_classify.suggest import suggest

    records: list[Record] = []
    for record in read(call.values["inputs"], call.reading, call.engine.readers()):
        if isinstance(record, Record):
            records.append(record)
        elif not call.quiet:
            print_failure(record)
    if not records:
        raise JnlpError("there is no text to choose from", hint="name a file with one text a line or row")
    chosen = suggest(call.engine.models(None).classifier(None), records, call.options.count)
    _write(chosen, call.values["out"], call.values["inputs"])
    if not call.quiet:
        click.echo(f"jnlp: {len(chosen)} of {len(records):,} texts: label these first", err=True)


def _write(chosen: Sequence[Suggestion], out: Path | None, inputs: Sequence[str]) -> None:
    """Print a table at a terminal; write a file, or JSON lines, otherwise."""
    from jnlp.cli.console import Pages, is_terminal
    from jnlp.io import format_of, open_writer
    from jnlp.io.writing.record_columns import carry, head

    rows = [
        carry(head(each.record) | {"label": each.label, "probability": each.probability, "doubt": each.doubt}, {})
        for each in chosen
    ]
    if out is None and is_terminal():
        with Pages() as pages:
            for row in rows:
                pages.add(row)
        return
    with open_writer("jsonl" if out is None else format_of(out), out, inputs=inputs) as output:
        output.write(*rows)


suggest = build_command(
    "suggest",
    _work,
    summary="Name the texts that are most worth labelling next: the model is unsure of them, and they differ.",
    options=SuggestOptions,
    params=[
        click.Argument(["inputs"], nargs=-1, required=True, metavar="FILE…"),
        SectionOption(
            ["-o", "--out"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write them to FILE (jsonl, csv, tsv, parquet).",
            section="Output",
        ),
    ],
    reading=[field.name for field in fields(ReadOptions) if field.name != "label"],
    settings=("model", "device", "dtype", "threads"),
)
