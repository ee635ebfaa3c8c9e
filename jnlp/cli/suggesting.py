"""A group of commands that suggests the closest names where one is not known."""

from __future__ import annotations

import click


class SuggestingGroup(click.Group):
    """A group of which the error for an unknown name suggests the closest ones."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command, or raise an error that suggests similar names."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if not args or self.get_command(ctx, args[0]) is not None:
                raise
            from jnlp.cli.wrong_calls import no_such_command

            unknown = no_such_command(ctx.command_path, args[0], self.list_commands(ctx))
            for remark in self.remarks():
                unknown.add_note(remark)
            raise unknown from error

    def remarks(self) -> list[str]:
        """Return lines to print below the error for an unknown name."""
        return []
