"""`jnlp pii`: the command of the task, with the subcommand `restore`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from jnlp.cli.default_group import DefaultGroup
from jnlp.cli.task import task_command
from jnlp.io.durable import replacing
from jnlp_pii.labels import read_map
from jnlp_pii.restoring import restore_file
from jnlp_pii.spec import PII

pii = DefaultGroup(task_command(PII))


@pii.command("restore")
@click.argument("file", metavar="FILE|-")
@click.option(
    "--map",
    "map_file",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The map that --map wrote.",
)
@click.option(
    "-o", "--out", metavar="FILE", type=click.Path(path_type=Path), help="Write to FILE; only you can read it."
)
def restore(file: str, map_file: Path, out: Path | None) -> None:
    """Put the original values back in a file that `jnlp pii --pseudonymise` wrote, or that was made from it.

    JSON lines (.jsonl), csv and tsv are restored cell by cell, any other text as a whole.
    """
    texts = read_map(map_file)
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    restored, missing = restore_file(content, Path(file).suffix.lower(), texts)
    if out is None:
        sys.stdout.buffer.write(restored)
        sys.stdout.buffer.flush()
    else:
        with replacing(out, private=True) as target:
            target.write(restored)
    if missing:
        few = ", ".join(sorted(missing)[:3])
        click.echo(f"jnlp: {len(missing)} labels are not in {map_file} and stay: {few}", err=True)
