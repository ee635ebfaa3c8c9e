"""Serves tasks and indexes over HTTP: the APIs of TEI and OpenAI, a route for each task, search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp import hookimpl

if TYPE_CHECKING:
    from jnlp.hookspecs import Register

jnlp_api = 1


@hookimpl
def register_commands(register: Register) -> None:
    """Register `jnlp serve` and `jnlp mcp`."""
    register("serve", "jnlp_serve.cli:serve", summary="Serve tasks, embeddings and indexes over HTTP.")
    register("mcp", "jnlp_serve.cli_mcp:mcp", summary="Offer indexes over the Model Context Protocol.")
