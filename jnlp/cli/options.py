"""Options dataclasses as click options, in titled sections of `--help`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from jnlp import options
from jnlp.cli.errors import BadValue
from jnlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


class SectionOption(click.Option):
    """An option with its section of `--help`."""

    def __init__(self, *args: Any, section: str = "Options", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return flags and help, without a `--no-` flag that only overrides the configuration."""
        record = super().get_help_record(ctx)
        if record is None or not self.secondary_opts or self.default:
            return record
        return record[0].replace(f" / {self.secondary_opts[0]}", ""), record[1]


class SectionCommand(click.Command):
    """A command whose `--help` shows options by section."""

    options_type: type | None = None
    """The options dataclass of the command: the keys of its table in the config file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; an error knows of which command they are."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections in order, each with its options in order."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (row := param.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(param, "section", "Help"), []).append(row)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


class Checked(click.ParamType[Any]):
    """A click type that checks a value by its options field, so that bounds are written only once."""

    def __init__(self, field: options.Field) -> None:
        self.field = field
        self.name = field.kind.__name__

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the placeholder of the value: its choices, or its kind."""
        field = self.field
        if field.option.metavar:
            return field.option.metavar
        if choices := field_choices(field):
            return "|".join(choices)
        words = {int: "N", float: "X", str: "TEXT", Path: "PATH", tuple: "A,B,…"}
        word = words.get(field.kind, "VALUE")
        return f"{field.option.none}|{word}" if field.option.none else word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check one value."""
        try:
            return options.check(self.field, value)
        except UsageError as error:
            raise BadValue(value, self.field.key, error, ctx, param) from error

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Complete choices."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(choice) for choice in field_choices(self.field) if choice.startswith(incomplete)]


def field_choices(field: options.Field) -> tuple[str, ...]:
    """Return the allowed values of a field, or nothing if any value is allowed."""
    if field.option.choices:
        return field.option.choices
    if issubclass(field.kind, Enum):
        return tuple(str(member.value) for member in field.kind)
    return ()


def click_options(cls: type, section: str, /) -> Iterator[SectionOption]:
    """Yield the click options of an options dataclass."""
    for field in options.fields(cls):
        flags = field.option.flags or (f"--{field.key}",)
        shared: dict[str, Any] = {
            "help": field.option.help,
            "hidden": field.option.hidden,
            "section": section,
            "default": field.default.value if isinstance(field.default, Enum) else field.default,
            "show_default": not isinstance(field.default, bool) and field.default not in (None, ()),
        }
        if field.kind is bool:
            pair = f"{flags[0]}/--no-{flags[0].removeprefix('--')}"
            yield SectionOption([pair, *flags[1:], field.name], is_flag=True, **shared)
        else:
            if field.kind is tuple:
                shared |= {"multiple": True, "callback": _join, "default": field.default or None}
            elif field.option.metavar == "COLUMN":
                shared |= {"multiple": True, "callback": _once, "default": field.default or None}
            yield SectionOption([*flags, field.name], type=Checked(field), **shared)


def _join(ctx: click.Context, param: click.Parameter, lists: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
    """Join the values of a list option that was given several times."""
    return tuple(item for items in lists or () for item in items)


def _once(ctx: click.Context, param: click.Parameter, values: tuple[Any, ...]) -> Any:
    """Return the one value of a column option; of two columns, neither is left out silently."""
    if len(set(values or ())) > 1:
        raise click.BadParameter(f"one column is wanted, not {len(values)}: {', '.join(map(str, values))}", ctx, param)
    return values[0] if values else None


def given(ctx: click.Context, cls: type, /) -> dict[str, Any]:
    """Return the values given on the command line; the config file supplies the others."""
    names = (field.name for field in options.fields(cls) if field.name in ctx.params)
    return {name: ctx.params[name] for name in names if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT}
