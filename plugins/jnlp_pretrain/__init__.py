"""`jnlp pretrain`: train a tokenizer and a masked language model from raw text, by a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp import hookimpl

if TYPE_CHECKING:
    from jnlp.hookspecs import Register


jnlp_api = 1


@hookimpl
def register_commands(register: Register) -> None:
    """Register the command."""
    register("pretrain", "jnlp_pretrain.cli:pretrain", summary="Pre-train a tokenizer and a masked LM by a recipe.")
