"""click's own errors in jnlp's words: what is wrong, and where; and a hint that says what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from jnlp.cli.errors import BadValue
from jnlp.cli.options import Checked, field_choices
from jnlp.errors import UsageError
from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Iterable

_NO_CHOICE = deferred(r"'(.*)' is not (?:one of|a valid) ", re.DOTALL)


def did_you_mean(word: str, known: Iterable[str], /) -> str:
    """Return "did you mean …? " with the names that are most like a word; empty if none is.

    Example:
        >>> did_you_mean("--fromat", ["--format", "--from", "--top"])
        'did you mean --format or --from? '
        >>> did_you_mean("猫", ["--format"])
        ''
    """
    import difflib

    close = difflib.get_close_matches(word, list(known), n=2)
    return f"did you mean {' or '.join(close)}? " if close else ""


def no_such_command(path: str, word: str, known: Iterable[str], /) -> UsageError:
    """Return the error for an unknown command of a group.

    Args:
        path: The group as it is called: `jnlp train`.
        word: The unknown name.
        known: The names of its commands.
    """
    name = " ".join([*path.split()[1:], word])
    return UsageError(f"no command is called '{name}'", hint=f"{did_you_mean(word, known)}{path} --help lists all")


def usage_error(error: click.UsageError, /) -> UsageError:
    """Return the error of a wrong call in jnlp's words."""
    ctx = error.ctx
    if ctx is None:
        return UsageError(_sentence(error.format_message()), hint="jnlp --help")
    where = "".join(f"{part}: " for part in [" ".join(ctx.command_path.split()[1:])] if part)
    message, hint = _told(error, ctx)
    return UsageError(f"{where}{message}", hint=hint)


def _told(error: click.UsageError, ctx: click.Context) -> tuple[str, str]:
    """Return what is wrong and what to do."""
    usage = " ".join(ctx.get_usage().split()).removeprefix("Usage: ")
    more = f"{ctx.command_path} --help"
    if isinstance(error, click.NoSuchOption):
        options = {name for param in ctx.command.get_params(ctx) if not _is_hidden(param) for name in param.opts}
        close = did_you_mean(error.option_name, sorted(name for name in options if name.startswith("-")))
        return f"no option is called '{error.option_name}'", f"{close}{more} lists all"
    if isinstance(error, click.BadOptionUsage):
        known = [param for param in ctx.command.get_params(ctx) if error.option_name in (*param.opts, param.name)]
        name, param = error.option_name, known[0] if known else None
        if isinstance(param, click.Option) and param.is_flag:
            return f"{name} takes no value", more
        return f"{name} needs a value", f"{name} {_metavar(param, ctx)}".rstrip()
    if isinstance(error, click.MissingParameter) and error.param is not None:
        name, metavar = _name(error.param), _metavar(error.param, ctx)
        if isinstance(error.param, click.Argument):
            return f"{metavar} is missing", usage
        return f"{name} is missing", f"{usage} {name} {metavar}".rstrip()
    if isinstance(error, click.BadParameter) and error.param is not None:
        return _bad_value(error, error.param, more)
    return _sentence(error.format_message()), usage


def _bad_value(error: click.BadParameter, param: click.Parameter, more: str) -> tuple[str, str]:
    """Return what is wrong with a value, and the values that are allowed, the likeliest first."""
    name = _name(param)
    if isinstance(error, BadValue):
        close = did_you_mean(str(error.value), _choices(param))
        return f"{name}{error.reason}", f"{close}{error.allowed or more}"
    if (found := _NO_CHOICE.match(error.message)) is not None:
        choices = _choices(param)
        allowed = f"{did_you_mean(found[1], choices)}it is one of {', '.join(choices)}" if choices else more
        return f"{name} cannot be '{found[1]}'", allowed
    return f"{name}: {_sentence(error.message)}", more


def _choices(param: click.Parameter) -> tuple[str, ...]:
    if isinstance(param.type, Checked):
        return field_choices(param.type.field)
    return tuple(map(str, param.type.choices)) if isinstance(param.type, click.Choice) else ()


def _name(param: click.Parameter) -> str:
    """Return the longest spelling of an option, or the placeholder of an argument."""
    if isinstance(param, click.Argument):
        return param.metavar or str(param.name).upper()
    return max(param.opts, key=len)


def _metavar(param: click.Parameter | None, ctx: click.Context) -> str:
    return "" if param is None else param.make_metavar(ctx)


def _is_hidden(param: click.Parameter) -> bool:
    return isinstance(param, click.Option) and param.hidden


def _sentence(message: str) -> str:
    """Return a message of click as jnlp's begin and end: in lower case, without a full stop."""
    return f"{message[:1].lower()}{message[1:]}".rstrip(".")
