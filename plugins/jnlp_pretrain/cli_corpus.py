"""How `--corpus` is read: it takes all paths that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.cli.options import SectionCommand

if TYPE_CHECKING:
    import click


class CorpusCommand(SectionCommand):
    """A command whose `--corpus` takes all paths that follow it; the recipe comes first."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write `--corpus` before each of its paths."""
        spread: list[str] = []
        taking = False
        for arg in args:
            if arg.startswith("-"):
                taking = False
            if taking and spread[-1] != "--corpus":
                spread.append("--corpus")
            spread.append(arg)
            taking = taking or (arg == "--corpus" and not args[0].startswith("-"))
        return super().parse_args(ctx, spread)
