"""`jnlp mcp`: indexes for programs that speak the Model Context Protocol."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from jnlp.cli.builder import SETTINGS, build_command
from jnlp.cli.options import SectionOption
from jnlp.errors import MissingExtraError, UsageError
from jnlp.types import Option

if TYPE_CHECKING:
    from jnlp.cli.builder import Call


@dataclass(frozen=True, slots=True)
class McpOptions:
    """How the server is reached."""

    http: Annotated[
        bool, Option("Answer over streamable HTTP at /mcp, on loopback; default: standard input and output.")
    ] = False
    port: Annotated[int, Option("The port, with --http.", ge=1, le=65535)] = 8766


def _work(call: Call) -> None:
    try:
        from jnlp_serve.mcp_server import make_server
    except ImportError as error:
        raise MissingExtraError("mcp", "jnlp mcp") from error
    from jnlp_serve.indexes import Indexes
    from jnlp_serve.job import named_indexes

    folders = named_indexes(call.values["index"])
    if not folders:
        raise UsageError("no index is given", hint="jnlp mcp --index DIR")
    indexes = Indexes(folders, call.engine)
    try:
        server = make_server(indexes)
        if call.options.http:
            if not call.quiet:
                sys.stderr.write(f"jnlp: http://127.0.0.1:{call.options.port}/mcp\n")
            server.run("streamable-http", host="127.0.0.1", port=call.options.port)
        else:
            server.run("stdio")
    finally:
        indexes.close()


mcp = build_command(
    "mcp",
    _work,
    summary="Offer indexes to programs over the Model Context Protocol: search, get_document, list_indexes.",
    options=McpOptions,
    section="Service",
    params=[
        SectionOption(
            ["--index"], multiple=True, metavar="[NAME=]DIR", help="An index; may be repeated.", section="Service"
        )
    ],
    settings=[name for name in SETTINGS if name not in ("model", "executor", "workers", "ray_address")],
)
