"""`jnlp evaluate data`: which data is there, where it comes from, and fetching it."""

from __future__ import annotations

from pathlib import Path

import click

from jnlp.cli.builder import Call, build_command
from jnlp.cli.default_group import DefaultGroup
from jnlp.cli.options import SectionOption
from jnlp.errors import UsageError

_FOLDER = SectionOption(
    ["--data"],
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the data (default: in the user's cache).",
    section="Input",
)


def _list(call: Call) -> None:
    from jnlp.cli.console import Pages, is_terminal
    from jnlp.strict_json import dumps_shown
    from jnlp_evaluate.data import data_folder, presence
    from jnlp_evaluate.registered import evaluations

    folder = call.values["data"] or data_folder()
    people = is_terminal()
    with Pages() as pages:
        for name, evaluation in evaluations(call.engine).items():
            found = presence(evaluation, folder)
            source = evaluation.source
            row = {
                "task": name,
                "here": " ".join(f"{part} {count:,}" for part, count in found.rows.items()) or "–",
                "licence": source.licence,
                "from": source.repository + (f" {source.revision}" if source.revision else ""),
            }
            if people:
                pages.add(row)
            else:
                more = {"credit": source.credit, "note": source.note, "fetched_by_command": bool(source.files)}
                click.echo(dumps_shown(row | more))
    if not call.quiet:
        click.echo(f"jnlp: looked in {folder}; jnlp evaluate data pull NAME fetches what may be fetched", err=True)


def _pull(call: Call) -> None:
    from jnlp_evaluate.data import data_folder, pull
    from jnlp_evaluate.registered import evaluations

    known = evaluations(call.engine)
    for name in call.values["tasks"]:
        if name not in known:
            raise UsageError(f"no task is called '{name}'", hint=f"tasks: {', '.join(known)}")
        for path in pull(known[name], call.values["data"] or data_folder()):
            click.echo(str(path))
        if not call.quiet:
            source = known[name].source
            click.echo(f"jnlp: {name}: {source.licence}; credit {source.credit}", err=True)


_LIST = build_command(
    "data",
    _list,
    summary="List the tasks with licence, source, and whether their data is here.",
    params=[_FOLDER],
    settings=(),
)
_PULL = build_command(
    "pull",
    _pull,
    summary="Fetch the data of tasks at their pinned revision, and keep checksums.",
    params=[click.Argument(["tasks"], nargs=-1, required=True, metavar="TASK…"), _FOLDER],
    settings=(),
)
data = DefaultGroup(_LIST, commands={"pull": _PULL})
