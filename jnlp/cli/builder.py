"""Builds every command: its options, input, output and engine flags; one call is a `Call` value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from jnlp import config as configuration
from jnlp.cli.options import SectionCommand, SectionOption, click_options, given
from jnlp.config import Settings
from jnlp.encoder.threads import limit_threads
from jnlp.engine import Engine
from jnlp.errors import JnlpError
from jnlp.io.reading.options import ReadOptions
from jnlp.options import build, fields

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence


ENGINE_SECTION = "Model and machine"

SETTINGS = tuple(field.name for field in fields(Settings))
"""All settings; each can be a flag of a command."""

RUNNING = ("workers", "executor", "ray_address")
"""Settings that apply only when a task runs over records."""


def stats_param() -> click.Parameter:
    """Return `--stats`."""
    return SectionOption(
        ["--stats"], is_flag=True, help="Print tokens, time and memory of the run on stderr.", section=ENGINE_SECTION
    )


def quiet_param() -> click.Parameter:
    """Return `--quiet`."""
    return SectionOption(
        ["-q", "--quiet", "quiet"], is_flag=True, help="Print only errors on stderr.", section=ENGINE_SECTION
    )


def make_engine(ctx: click.Context, settings: Collection[str] = SETTINGS, /) -> Engine:
    """Return the engine of a command: plugins, configuration, and the flags that were given.

    Args:
        ctx: The command's context.
        settings: The settings that are flags of the command; an option of another meaning may have the name of one.
            With `threads`, the libraries' threads are limited before they start any.
    """
    flags = {name: value for name, value in given(ctx, Settings).items() if name in settings}
    engine = Engine(ctx.find_root().obj, configuration.load_config()).with_settings(flags)
    if "threads" in settings:
        limit_threads(engine.settings.threads)
    return engine


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command.

    Args:
        engine: Plugins, the configuration, and the settings given as flags.
        options: The command's options object: defaults, then the config file's values, then the flags.
        given: The options that were given as flags.
        reading: How inputs become records.
        quiet: True if nothing but errors goes to stderr.
        values: All parameters by name.
    """

    engine: Engine
    options: Any
    given: Mapping[str, Any]
    reading: ReadOptions
    quiet: bool
    values: Mapping[str, Any]


def build_command(
    name: str,
    function: Callable[[Call], Any],
    /,
    *,
    summary: str,
    options: type | None = None,
    section: str = "Options",
    params: Sequence[click.Parameter] = (),
    reading: Collection[str] = (),
    more: Sequence[click.Parameter] = (),
    settings: Collection[str] = SETTINGS,
    noun: str = "command",
    cls: type[SectionCommand] = SectionCommand,
) -> click.Command:
    """Build a command. Its defaults come from the config file's table `[tasks.NAME]`.

    Args:
        name: The name of the command and of its table in the config file.
        function: Called with the `Call`.
        summary: The command's help.
        options: The options dataclass of the command, or None.
        section: The title of its options in `--help`.
        params: Arguments and options to put first.
        reading: The fields of `ReadOptions` that are flags of this command.
        more: Options to put after those of `ReadOptions`.
        settings: The fields of `Settings` that are flags of this command.
        noun: The kind of command, for an error about a name clash.
        cls: The click class.

    Raises:
        JnlpError: Two options have the same name.
    """
    own = list(click_options(options, section)) if options is not None else []
    shared: list[click.Parameter] = [
        *(option for option in click_options(ReadOptions, "Input") if option.name in reading),
        *more,
        *(option for option in click_options(Settings, ENGINE_SECTION) if option.name in settings),
        quiet_param(),
    ]
    if taken := {param.name for param in own} & {param.name for param in (*params, *shared)}:
        raise JnlpError(
            f"{noun} '{name}' has an option '{min(map(str, taken))}', as every {noun} has", hint="rename it"
        )

    def callback(**values: Any) -> Any:
        ctx = click.get_current_context()
        engine = make_engine(ctx, settings)
        given_options = given(ctx, options) if options is not None else {}
        made = configuration.task_options(engine.config, name, options, given_options) if options is not None else None
        read = build(ReadOptions, given(ctx, ReadOptions) if reading else {}, where="input")
        return function(Call(engine, made, given_options, read, values["quiet"], values))

    command = cls(name, callback=callback, params=[*params, *own, *shared], help=summary)
    command.options_type = options
    return command
