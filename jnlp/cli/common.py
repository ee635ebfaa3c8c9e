"""What commands share: the engine's flags, and the engine they make. Plugins' commands use these too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from jnlp import config as configuration
from jnlp.cli.options import SectionCommand, SectionOption, click_options, given
from jnlp.config import Settings
from jnlp.encoder.threads import limit_threads
from jnlp.engine import DEFAULT_MODEL, Engine
from jnlp.errors import JnlpError
from jnlp.io.options import ReadOptions
from jnlp.options import build
from jnlp.usage import peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jnlp.types import Failed
    from jnlp.usage import Usage

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
    if usage.budgets:
        before, after = usage.budgets
        click.echo(
            f"jnlp: memory ran out at {before:,} tokens a batch; went on with {after:,} (--batch-tokens {after})",
            err=True,
        )
    if usage.cut:
        click.echo(f"jnlp: {usage.cut:,} characters were cut off (--on-overflow truncate)", err=True)


def report_stats(usage: Usage, /) -> None:
    """Say on stderr what the runs have cost, in three lines."""
    done = f"{_counted(usage.texts, 'text')}, {_counted(usage.tokens, 'token')} in {usage.working:.1f} s"
    loading = f" (and {usage.loading:.1f} s to load)" if usage.loading else ""
    rates = f"{usage.tokens / usage.working:,.0f} tokens/s, {usage.texts / usage.working:,.1f} texts/s"
    click.echo(f"jnlp: {done}{loading}: {rates}", err=True)
    shares = ", ".join(f"{stage.value} {seconds / usage.working:.1%}" for stage, seconds in usage.seconds.items())
    click.echo(
        f"jnlp: {_counted(usage.batches, 'batch', 'batches')}, padding {usage.padding:.1%}; busy: {shares}", err=True
    )
    memory = f"peak memory {peak_memory() / 1e6:,.0f} MB"
    if usage.workers:
        memory += f", of the workers {', '.join(f'{peak / 1e6:,.0f}' for peak in usage.workers.values())} MB"
    click.echo(f"jnlp: {usage.ran or 'no model'}; {memory}", err=True)


def _counted(count: int, one: str, more: str | None = None, /) -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"
