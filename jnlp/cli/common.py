"""What commands share: the engine's flags, and the engine they make. Plugins' commands use these too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from jnlp import config as configuration
from jnlp.cli.options import SectionCommand, SectionOption, click_options, given
from jnlp.cli.report import report_usage
from jnlp.config import Settings
from jnlp.encoder.threads import limit_threads
from jnlp.engine import Engine
from jnlp.io.reading.options import ReadOptions
from jnlp.options import build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


NO_HINT: Mapping[str, str] = {}

C = TypeVar("C", bound="Callable[..., Any]")

ENGINE_SECTION = "Model and machine"


RUNNING = ("workers", "executor")
"""Settings that matter where a task runs over records."""


def engine_params(*, runs: bool = False) -> list[click.Parameter]:
    """Return the options that stand for `Settings`, those of `RUNNING` where records are run over."""
    return [option for option in click_options(Settings, ENGINE_SECTION) if runs or option.name not in RUNNING]


def stats_param() -> click.Parameter:
    """Return `--stats`."""
    return SectionOption(
        ["--stats"], is_flag=True, help="Say on stderr what the run cost: tokens, time, memory.", section=ENGINE_SECTION
    )


def quiet_param() -> click.Parameter:
    """Return `--quiet`."""
    return SectionOption(
        ["-q", "--quiet", "quiet"], is_flag=True, help="Say nothing on stderr but errors.", section=ENGINE_SECTION
    )


def make_engine(ctx: click.Context, /) -> Engine:
    """Return the engine of a command: plugins, configuration, and the flags that were given."""
    engine = Engine(ctx.find_root().obj, configuration.load_config()).with_settings(given(ctx, Settings))
    limit_threads(engine.settings.threads)  # before a library starts its threads
    return engine


def command(
    options: type | None = None,
    *,
    name: str,
    summary: str,
    section: str = "Options",
    reading: Sequence[str] = (),
    hint: Mapping[str, str] = NO_HINT,
) -> Callable[[C], click.Command]:
    """Make a click command with the engine's flags and those of an options dataclass.

    The decorated function is called as `function(engine, options, quiet=…, **others)`; `others` are the parameters
    added by `@click.argument` and `@click.option` below this decorator, and `reading=ReadOptions(…)` where fields of it
    are named.

    Args:
        options: The options dataclass of the command, or None.
        name: The command's name.
        summary: The command's help.
        section: The title of its options in `--help`.
        reading: The fields of `ReadOptions` that are flags of this command: `("text", "encoding")`.
        hint: `did` and `then` of `report_usage`, where its own do not fit.
    """

    def decorate(function: C) -> click.Command:
        declared: list[click.Parameter] = list(reversed(getattr(function, "__click_params__", [])))
        for param in declared:
            if isinstance(param, click.Option):
                param.section = section  # type: ignore[attr-defined]
        own = list(click_options(options, section)) if options is not None else []
        inputs = [option for option in click_options(ReadOptions, "Input") if option.name in reading]
        params = [*declared, *own, *inputs, *engine_params(), quiet_param()]

        def callback(**values: Any) -> Any:
            ctx = click.get_current_context()
            engine = make_engine(ctx)
            others = {"quiet": values["quiet"], **{p.name: values[p.name] for p in declared if p.name}}
            if reading:
                others["reading"] = build(ReadOptions, given(ctx, ReadOptions), where="input")
            if options is None:
                result = function(engine, **others)
            else:
                made: Any = configuration.task_options(engine.config, name, options, given(ctx, options))
                result = function(engine, made, **others)
            if not values["quiet"]:
                report_usage(engine, **hint)
            return result

        return SectionCommand(name, callback=callback, params=params, help=summary)

    return decorate
