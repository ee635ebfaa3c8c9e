"""`jnlp plugins`: lists installed plugins, what each registers, and why one is disabled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.suggesting import SuggestingGroup
from jnlp.strict_json import dumps_shown

if TYPE_CHECKING:
    from jnlp.plugins import PluginInfo, Plugins


@click.group(
    cls=SuggestingGroup, invoke_without_command=True, help="List plugins, what each registers, and why one is disabled."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a plugin.")
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """Print the list."""
    if ctx.invoked_subcommand is not None:
        return
    loaded: Plugins = ctx.find_root().obj
    for info in loaded.infos:
        click.echo(dumps_shown(_record(info)) if as_json else _lines(info))


@plugins.command(help="Write a working plugin package with a test into the folder NAME.")
@click.argument("name")
@click.option(
    "--dir", "parent", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Make it in this folder."
)
def new(name: str, parent: Path) -> None:
    """Write the package and say how to install it."""
    from jnlp.scaffold import write_plugin

    folder = write_plugin(name, parent)
    click.echo(f"{folder}: made; next: pip install -e {folder}, then jnlp {name.removeprefix('jnlp-')} --help")


def _record(info: PluginInfo) -> dict[str, object]:
    return {
        "name": info.name,
        "module": info.module,
        "package": info.distribution,
        "version": info.version,
        "brings": [f"{entry.kind.noun} {entry.name}" for entry in info.registrations],
        "reason": info.reason,
        "note": info.note,
    }


def _lines(info: PluginInfo) -> str:
    package = f" ({info.distribution} {info.version})".replace(" )", ")") if info.distribution else ""
    lines = [f"{info.name}{package}" + ("" if info.reason is None else "  NOT LOADED")]
    if info.reason:
        lines.append(f"  {info.reason}")
    lines += [f"    {line}" for line in info.trace.splitlines()]
    if info.note:
        lines.append(f"  note: {info.note}")
    by_kind: dict[str, list[str]] = {}
    for entry in info.registrations:
        by_kind.setdefault(entry.kind.value, []).append(entry.name)
    lines += [f"  {kind}: {', '.join(names)}" for kind, names in by_kind.items()]
    return "\n".join(lines)
