"""`jnlp index`: a command that indexes, with subcommands for an existing index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


class IndexGroup(click.Group):
    """Runs `default` unless the first argument is a subcommand, and `--index` is not given or its own option.

    `jnlp index verify DIR` checks an index; `jnlp index verify --index DIR` indexes a folder named `verify`. `watch`
    has an option `--index` of its own: `jnlp index ./watch --index DIR` indexes a folder of that name.

    Args:
        default: The command that indexes.
    """

    def __init__(self, default: click.Command, **attributes: Any) -> None:
        super().__init__(default.name, help=default.help, params=list(default.params), **attributes)
        self.default = default

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments for the command that will run."""
        if self._is_below(args):
            return super().make_context(info_name, args, parent, **extra)
        if args and args[0] in ("-h", "--help"):
            with click.Context(self, parent, info_name) as ctx:
                click.echo(self.get_help(ctx), color=ctx.color)
                ctx.exit()
        return self.default.make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments of a subcommand, without the options of indexing."""
        params, self.params = self.params, []
        try:
            return super().parse_args(ctx, args)
        finally:
            self.params = params

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters of indexing; the usage of a subcommand asks too, and has none of them."""
        return super().get_params(ctx) if ctx.command is self else []

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the usage of indexing."""
        return self.default.collect_usage_pieces(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of indexing, then the subcommands."""
        self.default.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def _is_below(self, args: Sequence[str]) -> bool:
        if not args or args[0] not in self.commands:
            return False
        named = any(word == "--index" or word.startswith("--index=") for word in args)
        return not named or any("--index" in param.opts for param in self.commands[args[0]].params)
