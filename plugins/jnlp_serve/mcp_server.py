"""Indexes as tools of the Model Context Protocol: search, get_document, list_indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from jnlp import __version__
from jnlp.errors import JnlpError
from jnlp_serve.errors import ApiError
from jnlp_serve.found import describe_indexes, find, find_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from jnlp_serve.indexes import Indexes

LONGEST = 20_000
"""Characters of a document in one answer."""

_INSTRUCTIONS = (
    "Search Japanese documents. `search` returns passages with their place, headings and score (the share of questions"
    " for which such a hit was right); `good_match` false means that nothing fits well. `get_document` returns the text"
    " around a passage. Write queries in Japanese, as words or as a question."
)


def make_server(indexes: Indexes, /) -> MCPServer[Any]:
    """Return a server with the tools; it answers over stdio or streamable HTTP.

    Args:
        indexes: What is searched.
    """
    server: MCPServer[Any] = MCPServer("jnlp", version=__version__, instructions=_INSTRUCTIONS, log_level="WARNING")

    @server.tool()
    def list_indexes() -> dict[str, Any]:
        """List the indexes that can be searched, with how many documents each holds."""
        return {"indexes": _call(lambda: describe_indexes(indexes))}

    @server.tool()
    def search(
        query: Annotated[
            str, Field(description='Words or a question; "…" for a phrase, -word to exclude.', max_length=2000)
        ],
        index: Annotated[str | None, Field(description="An index by name; default: all.")] = None,
        top: Annotated[int, Field(description="How many passages.", ge=1, le=50)] = 5,
        where: Annotated[
            str | None, Field(description="A condition: kind = 'pdf' and path like '規程/%' and mtime >= 2026-01-01.")
        ] = None,
    ) -> dict[str, Any]:
        """Search documents and return passages with their place, headings and score."""
        given = {"top": top, "where": where, "evidence": True}
        found: dict[str, Any] = _call(lambda: find(indexes, query, index, given))
        return found

    @server.tool()
    def get_document(
        id: Annotated[str, Field(description="The `id` of a hit.")],
        index: Annotated[str | None, Field(description="The index of the hit.")] = None,
        chunk: Annotated[
            int | None, Field(description="The `chunk` of a hit: the text around it is returned.", ge=0)
        ] = None,
        offset: Annotated[int | None, Field(description="The first character to return.", ge=0)] = None,
    ) -> dict[str, Any]:
        """Return a document's text, at most 20,000 characters from a passage or an offset on."""
        found: dict[str, Any] = _call(lambda: find_document(indexes, id, index, chunk))
        place = found.pop("place")
        found.pop("passages")
        start = offset if offset is not None else max(0, place["start"] - LONGEST // 4) if place else 0
        text = found.pop("text")
        end = min(len(text), start + LONGEST)
        more = {"start": start, "end": end, "characters": len(text), "text": text[start:end]}
        return found | more | ({"passage": [place["start"], place["end"]]} if place else {})

    return server


def _call(work: Callable[[], Any]) -> Any:
    """Run a tool; an error that has a reason becomes the tool's own, in one line."""
    try:
        return work()
    except ApiError as error:
        raise ToolError(" ".join(filter(None, (error.message, error.hint)))) from error
    except JnlpError as error:
        raise ToolError(str(error)) from error
