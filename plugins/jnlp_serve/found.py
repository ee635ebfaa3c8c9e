"""What a search and a document look like in a reply; the routes, the page and the MCP server share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, UsageError
from jnlp.types.search import GOOD_SCORE
from jnlp_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jnlp.types import Hit, StoredDocument
    from jnlp_serve.indexes import Indexes


def find(indexes: Indexes, query: str, index: str | list[str] | None, options: Mapping[str, Any], /) -> dict[str, Any]:
    """Return the reply of a search: `query`, `hits`, `good_match`, and `next`, the offset of the next page or None.

    Raises:
        ApiError: 404 for an index that is not served.
        JnlpError: The query is empty, an option is not allowed, or an index cannot be read.
    """
    chosen = indexes.chosen(index)
    hits = indexes.search(chosen, query, options)
    last = options.get("offset", 0) + options.get("top", 10)
    return {
        "query": query,
        "good_match": bool(hits) and max(hit.score for hit in hits) >= GOOD_SCORE,
        "next": last if hits and hits[-1].rank >= last else None,
        "hits": [hit_json(hit) for hit in hits],
    }


def hit_json(hit: Hit, /) -> dict[str, Any]:
    """Return a hit as JSON; `id` is what `/documents/{id}` takes."""
    from dataclasses import asdict

    found = asdict(hit)
    found["id"] = document_id(hit)
    return {name: value for name, value in found.items() if value is not None or name in ("path", "line")}


def document_id(hit: Hit, /) -> str:
    """Return the name of a hit's document that no other document of its index has."""
    from jnlp.types import Place

    return Place(hit.document, hit.path, hit.line).name if hit.path is None or hit.document != hit.path else hit.path


def find_document(indexes: Indexes, name: str, index: str | None, chunk: int | None, /) -> dict[str, Any]:
    """Return a document as JSON, and with `chunk` the place of that passage in its text.

    Raises:
        ApiError: 404 for an unknown index, document or passage; 422 if the index must be named.
    """
    chosen = indexes.chosen(index)
    if len(chosen) > 1:
        raise ApiError(422, "index is missing", hint=f"one of {', '.join(chosen)}")
    try:
        found: StoredDocument = indexes.get(chosen[0]).document(name)
    except UsageError as error:
        raise ApiError(404, f"no document of index '{chosen[0]}' has this name") from error
    passages = [
        {
            "chunk": hit.chunk,
            "start": start,
            "end": end,
            "headings": hit.headings,
            "line": hit.line,
            "page": hit.page,
            "slide": hit.slide,
        }
        for hit, (start, end) in zip(found.passages, found.at, strict=True)
    ]
    place = None
    if chunk is not None:
        place = next((passage for passage in passages if passage["chunk"] == chunk), None)
        if place is None:
            raise ApiError(404, f"the document has no passage {chunk}", hint=f"it has {len(passages)}")
    return {
        "id": name,
        "index": chosen[0],
        "document": found.place.document,
        "path": found.place.path,
        "line": found.place.line,
        "title": found.title,
        "metadata": found.metadata,
        "text": found.text,
        "passages": passages,
        "place": place,
    }


def describe_indexes(indexes: Indexes, /) -> list[dict[str, Any]]:
    """Return what each index holds; one that cannot be read has `error`."""
    described: list[dict[str, Any]] = []
    for name in indexes.names:
        try:
            info = indexes.get(name).info()
        except JnlpError as error:
            described.append({"name": name, "error": error.message})
            continue
        described.append(
            {
                "name": name,
                "documents": info.documents,
                "passages": info.chunks,
                "characters": info.characters,
                "model": info.made_with.get("model"),
            }
        )
    return described
