"""The decorator of a plugin's command: a function with the engine's flags and those of an options dataclass."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jnlp.cli.builder import RUNNING, SETTINGS, Call, build_command
from jnlp.cli.messages import print_notices

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

NO_HINT: Mapping[str, str] = {}

C = TypeVar("C", bound="Callable[..., Any]")


def command(
    options: type | None = None,
    *,
    name: str,
    summary: str,
    section: str = "Options",
    reading: Collection[str] = (),
    hint: Mapping[str, str] = NO_HINT,
    running: bool = False,
) -> Callable[[C], click.Command]:
    """Make a click command with the engine's flags and those of an options dataclass.

    The decorated function is called as `function(engine, options, **others)`, or without `options` if the command has
    none. `others` are the parameters added by `@click.argument` and `@click.option` below this decorator,
    `reading=ReadOptions(…)` if `reading` names fields, and `quiet=…` if the function has such a parameter.

    Args:
        options: The options dataclass of the command, or None.
        name: The command's name.
        summary: The command's help.
        section: The title of its options in `--help`.
        reading: The fields of `ReadOptions` that are flags of this command: `("text", "encoding")`.
        hint: `did` and `then` for `print_notices`, to replace its defaults.
        running: Whether it works through records, which an executor can do.
    """

    def decorate(function: C) -> click.Command:
        declared: list[click.Parameter] = list(reversed(getattr(function, "__click_params__", [])))
        for param in declared:
            if isinstance(param, click.Option):
                param.section = section  # type: ignore[attr-defined]

        def call(call: Call) -> Any:
            others = {param.name: call.values[param.name] for param in declared if param.name}
            if _takes(function, "quiet"):
                others["quiet"] = call.quiet
            if reading:
                others["reading"] = call.reading
            result = function(call.engine, *(() if options is None else (call.options,)), **others)
            if not call.quiet:
                print_notices(call.engine, **hint)
            return result

        return build_command(
            name,
            call,
            summary=summary,
            options=options,
            section=section,
            params=declared,
            reading=reading,
            settings=[field for field in SETTINGS if running or field not in RUNNING],
        )

    return decorate


def _takes(function: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(param.name == name or param.kind is param.VAR_KEYWORD for param in parameters)
