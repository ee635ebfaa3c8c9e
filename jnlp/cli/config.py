"""`jnlp config`: prints every setting, its value and the value's source; `set` and `unset` change the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jnlp import config as configuration
from jnlp import options
from jnlp.cli.options import SectionCommand
from jnlp.config import Settings
from jnlp.errors import UsageError
from jnlp.registry import Kind
from jnlp.strict_json import dumps_shown

if TYPE_CHECKING:
    from jnlp.registry import Registry


@click.group(help="Print settings and their sources; change the config file.", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def config(ctx: click.Context, as_json: bool) -> None:
    """Print the current settings."""
    if ctx.invoked_subcommand is not None:
        return
    loaded = configuration.load_config()
    values = {field.key: getattr(loaded.settings, field.name) for field in options.fields(Settings)}
    if as_json:
        click.echo(dumps_shown({"file": str(loaded.path), "settings": values, "tasks": loaded.tasks}))
        return
    click.echo(f"file: {loaded.path}{'' if loaded.path.exists() else ' (not there yet)'}")
    for field in options.fields(Settings):
        value = values[field.key]
        shown = "-" if value is None else str(value)
        click.echo(f"{field.key:<13} {shown:<12} {loaded.origins[field.name]}")
    for task, table in loaded.tasks.items():
        for key, value in table.items():
            click.echo(f"{task}.{key} = {value}  config")


@config.command("set", help="Set KEY in the config file: `jnlp config set model 130m`, `… set fill-mask.top 10`.")
@click.argument("key")
@click.argument("value")
@click.pass_context
def set_command(ctx: click.Context, key: str, value: str) -> None:
    """Write one setting."""
    _check_task_key(ctx, key, value)
    click.echo(f"{configuration.set_value(key, value)}: {key} = {value}")


@config.command("unset", help="Remove KEY from the config file.")
@click.argument("key")
def unset_command(key: str) -> None:
    """Remove one setting."""
    path, removed = configuration.unset_value(key)
    click.echo(f"{path}: {key} {'removed' if removed else 'was not set'}")


@config.command("path", help="Print where the config file is.")
def path_command() -> None:
    """Print the path."""
    click.echo(str(configuration.config_path()))


def _check_task_key(ctx: click.Context, key: str, value: str) -> None:
    """Raise if KEY is an option (`index.chunk-tokens`) that does not exist or cannot have this value."""
    table, _, name = key.rpartition(".")
    if key == "model":
        from jnlp.engine import Engine
        from jnlp.models.resolve import find

        find(value, Engine(ctx.find_root().obj).specs())
    if table:
        options.build(_options_of(ctx, table), {name: value}, where=table)


def _options_of(ctx: click.Context, name: str) -> type:
    """Return the options of a task, a command or a trainer: the keys of its table in the config file."""
    registry: Registry = ctx.find_root().obj.registry
    for kind in (Kind.TASK, Kind.COMMAND, Kind.TRAINER):
        if registry.find(kind, name) is not None:
            made = registry.get(kind, name)
            command = getattr(made, "default", made)  # a group that runs a command by default, such as `index`
            cls = command.options_type if isinstance(command, SectionCommand) else getattr(made, "options", None)
            if isinstance(cls, type):
                return cls
    known = sorted({entry.name for kind in (Kind.TASK, Kind.TRAINER) for entry in registry.entries(kind)})
    raise UsageError(f"no task, command or trainer with options is called '{name}'", hint=f"such as {', '.join(known)}")
