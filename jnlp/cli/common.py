"""What commands share: the engine's flags, and the engine they make. Plugins' commands use these too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from jnlp import config as configuration
from jnlp.cli.options import SectionCommand, SectionOption, click_options, given
from jnlp.config import Settings
from jnlp.engine import DEFAULT_MODEL, Engine
from jnlp.errors import JnlpError
from jnlp.io.options import ReadOptions
from jnlp.options import build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jnlp.types import Failed

C = TypeVar("C", bound="Callable[..., Any]")

ENGINE_SECTION = "Model and machine"


def engine_params() -> list[click.Parameter]:
    """Return the options that stand for `Settings`."""
    return list(click_options(Settings, ENGINE_SECTION))


def quiet_param() -> click.Parameter:
    """Return `--quiet`."""
    return SectionOption(
        ["-q", "--quiet", "quiet"], is_flag=True, help="Say nothing on stderr but errors.", section=ENGINE_SECTION
    )


def make_engine(ctx: click.Context, /) -> Engine:
    """Return the engine of a command: plugins, configuration, and the flags that were given."""
    engine = Engine(ctx.find_root().obj, configuration.load_config())
    return engine.with_settings(given(ctx, Settings))


def command(
    options: type | None = None, *, name: str, summary: str, section: str = "Options", reading: Sequence[str] = ()
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
                report_usage(engine)
            return result

        return SectionCommand(name, callback=callback, params=params, help=summary)

    return decorate


def tell_failed(failed: Failed, /) -> None:
    """Say on stderr what failed, in one line: a user's error as its line and hint, a bug by its type."""
    error = failed.error
    text = str(error) if isinstance(error, JnlpError) else f"{type(error).__name__}: {error}"
    where = "" if failed.id in text else f"{failed.id}: "
    line = " ".join(f"{where}{text}".split())  # an id, or a library's message, may hold line breaks
    click.echo(f"jnlp: skipped {line}", err=True)


def report_usage(engine: Engine, /) -> None:
    """Say on stderr which built-in model answered and how to get a larger one, and what was windowed or cut."""
    usage = engine.usage
    builtin = [spec.name for spec in usage.models.values() if spec.builtin]
    if builtin and engine.settings.hints and engine.settings.model is None:
        names = " and ".join(builtin)
        larger = "for better answers: jnlp models pull 130m, then --model 130m"
        advice = larger if DEFAULT_MODEL in builtin else f"what it can do: jnlp models show {builtin[0]}"
        click.echo(f"jnlp: answered by the small built-in model {names}; {advice}", err=True)
    if usage.windowed:
        what = "1 text was" if usage.windowed == 1 else f"{usage.windowed:,} texts were"
        click.echo(f"jnlp: {what} longer than the model and read in windows", err=True)
    if usage.cut:
        click.echo(f"jnlp: {usage.cut:,} characters were cut off (--on-overflow truncate)", err=True)
