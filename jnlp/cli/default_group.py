"""A command with subcommands: `jnlp index DIR` and `jnlp index verify DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jnlp.cli.suggesting import SuggestingGroup

if TYPE_CHECKING:
    from collections.abc import Sequence


class DefaultGroup(SuggestingGroup):
    """Runs `default` unless the first argument is the name of a subcommand.

    Args:
        default: The command that runs otherwise; its options are those of the group.
    """

    def __init__(self, default: click.Command, **attributes: Any) -> None:
        super().__init__(default.name, help=default.help, params=list(default.params), **attributes)
        self.default = default

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments for the command that will run."""
        if self.is_below(args):
            return super().make_context(info_name, args, parent, **extra)
        if args and args[0] in ("-h", "--help"):
            with click.Context(self, parent, info_name) as ctx:
                click.echo(self.get_help(ctx), color=ctx.color)
                ctx.exit()
        first = args[0] if args else ""  # the parser takes the words from the list
        try:
            return self.default.make_context(info_name, args, parent, **extra)
        except click.MissingParameter as error:
            if first and not Path(first).exists():
                self.refuse_typo(error, info_name, first)
            raise

    def refuse_typo(self, error: click.MissingParameter, name: str | None, word: str, /) -> None:
        """Raise UsageError if a word is like a subcommand's name: the default command lacks what it needs."""
        from jnlp.cli.wrong_calls import did_you_mean, no_such_command

        if did_you_mean(word, self.commands):
            raise no_such_command(f"jnlp {name}", word, self.commands) from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments of a subcommand, without the options of the default command."""
        params, self.params = self.params, []
        try:
            return super().parse_args(ctx, args)
        finally:
            self.params = params

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters of the default command; the usage of a subcommand asks too, and has none of them."""
        return super().get_params(ctx) if ctx.command is self else []

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the usage of the default command."""
        return self.default.collect_usage_pieces(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of the default command, then the subcommands."""
        self.default.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands with their whole summaries."""
        rows = [
            (name, command.get_short_help_str(limit=1_000))
            for name, command in sorted(self.commands.items())
            if not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def is_below(self, args: Sequence[str], /) -> bool:
        """Return whether arguments are those of a subcommand."""
        return bool(args) and args[0] in self.commands
