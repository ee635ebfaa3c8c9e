"""`jnlp models`: lists models; `pull`, `path`, `use` and `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jnlp.cli.suggesting import SuggestingGroup
from jnlp.engine import Engine
from jnlp.loaded_heads import DEFAULT_MODEL
from jnlp.strict_json import dumps_shown

if TYPE_CHECKING:
    from jnlp.models.catalog import ModelStatus


def _engine(ctx: click.Context) -> Engine:
    from jnlp.config import load_config

    return Engine(ctx.find_root().obj, load_config())


@click.group(
    cls=SuggestingGroup,
    help="List models with size, state and licence; download, select and describe them.",
    invoke_without_command=True,
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a model.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """Print the list."""
    if ctx.invoked_subcommand is not None:
        return
    from jnlp.models.catalog import list_models

    engine = _engine(ctx)
    default = engine.settings.model or DEFAULT_MODEL
    for status in list_models(engine.specs()):
        click.echo(dumps_shown(_record(status)) if as_json else _line(status, default))


def _record(status: ModelStatus) -> dict[str, object]:
    spec = status.spec
    return {
        "name": spec.name,
        "state": status.state,
        "bytes": status.bytes,
        "parameters": spec.parameters,
        "heads": list(spec.heads),
        "licence": spec.licence,
        "repo": spec.repo,
        "revision": spec.revision,
        "folder": None if status.folder is None else str(status.folder),
        "summary": spec.summary,
    }


def _line(status: ModelStatus, default: str) -> str:
    spec = status.spec
    mark = "*" if spec.name == default else " "
    size = "" if status.bytes is None else f"{status.bytes / 1e6:,.0f} MB"
    return f"{mark} {spec.name:<27} {status.state:<8} {size:>9}  {spec.licence or '':<13} {spec.summary}"


@models.command(help="Download MODEL into the cache, so that it works offline.")
@click.argument("model")
@click.pass_context
def pull(ctx: click.Context, model: str) -> None:
    """Fetch one model."""
    from jnlp.cli.console import progress
    from jnlp.models import catalog

    specs = _engine(ctx).specs()
    size = specs[model].size if model in specs else None
    seen = 0
    with progress(f"fetching {model} (bytes)", total=size) as advance:

        def update(done: int, total: int) -> None:
            nonlocal seen
            advance(done - seen)
            seen = done

        resolved = catalog.pull(model, specs, update)
    click.echo(str(resolved.folder))


@models.command(help="Print the folder of MODEL.")
@click.argument("model")
@click.pass_context
def path(ctx: click.Context, model: str) -> None:
    """Print one folder."""
    from jnlp.models import catalog

    click.echo(str(catalog.path(model, _engine(ctx).specs())))


@models.command(help="Make MODEL the default; `jnlp config unset model` restores the built-in one.")
@click.argument("model")
@click.pass_context
def use(ctx: click.Context, model: str) -> None:
    """Set the default."""
    from pathlib import Path

    from jnlp import config
    from jnlp.models.resolve import find, present

    spec = find(model, _engine(ctx).specs())
    if spec is None:
        model = str(Path(model).expanduser().resolve())
    click.echo(f"{config.set_value('model', model)}: model = {model}")
    if spec is not None and present(spec) is None:
        click.echo(f"jnlp: {model} is not on this machine yet: jnlp models pull {model}", err=True)


@models.command(help="Print MODEL's properties and its card.")
@click.argument("model")
@click.pass_context
def show(ctx: click.Context, model: str) -> None:
    """Print one model's spec and card."""
    from jnlp.models import catalog
    from jnlp.models.resolve import find, present, resolve

    specs = _engine(ctx).specs()
    spec = find(model, specs)
    folder = None if spec is None else present(spec)
    if spec is None or folder is not None:
        resolved = resolve(model, specs, allow_download=False)
        spec, folder = resolved.spec, resolved.folder
    facts = {
        "name": spec.name,
        "summary": spec.summary,
        "heads": ", ".join(spec.heads),
        "labels": ", ".join(spec.labels),
        "problem type": spec.problem_type or "",
        "architecture": spec.architecture,
        "parameters": f"{'about ' * (folder is None)}{spec.parameters:,}" if spec.parameters else "",
        "max length": f"{spec.max_length:,} tokens",
        "pooling": spec.pooling,
        "prefixes": ", ".join(f"{purpose}: {prefix!r}" for purpose, prefix in spec.prefixes.items()),
        "licence": spec.licence or "",
        "repository": f"{spec.repo} ({spec.revision})" if spec.repo else "",
        "folder": str(folder) if folder else f"not on this machine (jnlp models pull {spec.name})",
    }
    for key, value in facts.items():
        if value:
            click.echo(f"{key:<13} {value}")
    if folder is not None and (card := catalog.card(folder)):
        click.echo(f"\n{card}", nl=False)
