"""`jnlp config`: prints every setting, its value and the value's source; `set` and `unset` change the file."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

from jnlp import config as configuration
from jnlp import options
from jnlp.cli.options import SectionCommand
from jnlp.cli.suggesting import SuggestingGroup
from jnlp.config import DEFAULT, Settings
from jnlp.errors import JnlpError, UsageError
from jnlp.registry import Kind
from jnlp.strict_json import dumps_shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp.config import Config
    from jnlp.registry import Registry

WITH_OPTIONS = (Kind.TASK, Kind.COMMAND, Kind.TRAINER)
"""The kinds whose options have a table in the config file."""


@click.group(cls=SuggestingGroup, invoke_without_command=True, help="Print settings and sources; change the config.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def config(ctx: click.Context, as_json: bool) -> None:
    """Print the current settings."""
    if ctx.invoked_subcommand is not None:
        return
    loaded = configuration.load_config()
    keys = [*_settings(loaded), *_task_options(loaded, ctx.find_root().obj.registry)]
    if as_json:
        values = {field.key: getattr(loaded.settings, field.name) for field in options.fields(Settings)}
        click.echo(dumps_shown({"file": str(loaded.path), "settings": values, "tasks": loaded.tasks, "keys": keys}))
        return
    click.echo(f"file: {loaded.path}{'' if loaded.path.exists() else ' (not there yet)'}")
    for key in keys:
        click.echo(key.line())


@dataclasses.dataclass(frozen=True, slots=True)
class _Key:
    """A key of the config file: its value, its default, and the source of the value."""

    key: str
    value: Any
    default: Any
    source: str
    none: str | None = None

    def line(self) -> str:
        """Return it as a line, and the default as a second one where the value is another."""
        value, default = (self.none or "-" if x is None else _format_value(x) for x in (self.value, self.default))
        line = (
            f"{self.key} = {value}  {self.source}" if "." in self.key else f"{self.key:<13} {value:<12} {self.source}"
        )
        return line if self.source == DEFAULT else f"{line}\n  default: {default}"


def _settings(loaded: Config) -> Iterator[_Key]:
    for field in options.fields(Settings):
        value = getattr(loaded.settings, field.name)
        yield _Key(field.key, value, field.default, loaded.origins[field.name], field.option.none)


def _task_options(loaded: Config, registry: Registry) -> Iterator[_Key]:
    """Yield the options of all tasks, commands and trainers, then what the file has besides them."""
    known = {}
    for kind in WITH_OPTIONS:
        for entry in registry.entries(kind):
            with suppress(JnlpError):  # a broken plugin is reported by `jnlp plugins`
                known[entry.name] = _options_type(registry.get(kind, entry.name))
    for name in dict.fromkeys([*known, *loaded.tasks]):
        cls = known.get(name)
        given = {key.replace("_", "-"): value for key, value in loaded.tasks.get(name, {}).items()}
        for field in () if cls is None else options.fields(cls):
            value, source = (given.pop(field.key), "config") if field.key in given else (field.default, DEFAULT)
            yield _Key(f"{name}.{field.key}", value, field.default, source, field.option.none)
        for key, value in given.items():
            yield _Key(f"{name}.{key}", value, None, "config")


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()  # as the file has it
    if isinstance(value, list | tuple):
        return ",".join(map(_format_value, value)) or "-"
    return str(value.value if isinstance(value, Enum) else value)


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
    for kind in WITH_OPTIONS:
        if registry.find(kind, name) is not None and (cls := _options_type(registry.get(kind, name))) is not None:
            return cls
    known = sorted({entry.name for kind in (Kind.TASK, Kind.TRAINER) for entry in registry.entries(kind)})
    raise UsageError(f"no task, command or trainer with options is called '{name}'", hint=f"such as {', '.join(known)}")


def _options_type(made: object) -> type | None:
    """Return the options of what is registered as a task, a command or a trainer, or None."""
    command = getattr(made, "default", made)  # a group that runs a command by default, such as `index`
    cls = command.options_type if isinstance(command, SectionCommand) else getattr(made, "options", None)
    return cls if isinstance(cls, type) else None
