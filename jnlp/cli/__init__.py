"""The command line: built from the plugins, one command a file."""

from jnlp.cli.app import build_cli, main

__all__ = ["build_cli", "main"]
