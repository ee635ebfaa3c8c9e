"""`jnlp index`: a command that indexes, with subcommands for an existing index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.cli.default_group import DefaultGroup

if TYPE_CHECKING:
    from collections.abc import Sequence


class IndexGroup(DefaultGroup):
    """Runs `default` unless the first argument is a subcommand, and `--index` is not given or its own option.

    `jnlp index verify DIR` checks an index; `jnlp index verify --index DIR` indexes a folder named `verify`. `watch`
    has an option `--index` of its own: `jnlp index ./watch --index DIR` indexes a folder of that name.
    """

    def is_below(self, args: Sequence[str], /) -> bool:
        """Return whether arguments are those of a subcommand."""
        if not super().is_below(args):
            return False
        named = any(word == "--index" or word.startswith("--index=") for word in args)
        return not named or any("--index" in param.opts for param in self.commands[args[0]].params)
