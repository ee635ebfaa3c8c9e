"""Has a running `jnlp serve` of this user answer a query, if it serves the indexes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from jnlp.executors import services

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jnlp.engine import Engine
    from jnlp.types import Hit
    from jnlp_search.options import SearchOptions


def asked_elsewhere(
    engine: Engine, folders: Sequence[Path], query: str, options: SearchOptions, /, *, model: str | None
) -> tuple[list[Hit], bool] | None:
    """Return the hits, and whether an index was made with another dictionary; None if no service serves the indexes.

    Args:
        engine: Its settings must be those of the service.
        folders: The indexes.
        query: The query.
        options: How to search.
        model: The model that the user asked for.

    Raises:
        JnlpError: The service met it: the query is empty, a condition is wrong, an index cannot be read.
    """
    if not services.sockets():
        return None
    values: dict[str, Any] = dataclasses.asdict(options)
    values["rerank"] = services.place_of(options.rerank)
    given = {str(folder.resolve()): str(folder) for folder in folders}
    try:
        hits, outdated = services.ask(
            "search",
            folders=list(given),
            query=query,
            options=values,
            settings=services.settings_of(engine.settings),
            model=services.place_of(model),
        )
    except services.NotServedError:
        return None
    return [dataclasses.replace(hit, index=given.get(str(hit.index), hit.index)) for hit in hits], outdated
