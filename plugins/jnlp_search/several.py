"""`search_all`: one search over several indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Hit
    from jnlp_search.index import Index


def search_all(indexes: Sequence[Index], query: str, /, **options: Any) -> list[Hit]:
    """Return the best passages of several indexes together, best first; each hit says in which `index` it is.

    BM25 counts words in each index by itself, so it compares best between indexes of like documents.

    Args:
        indexes: Open indexes made with one model.
        query: As `Index.search` takes it.
        options: Fields of `SearchOptions`.

    Raises:
        UsageError: No index is given, the query is empty, or an option is unknown.
        JnlpError: The indexes were made with different models, or one cannot be read.

    Example:
        >>> with Index.open("a.idx") as a, Index.open("b.idx") as b:  # doctest: +SKIP
        ...     search_all([a, b], "契約を途中で解約する条件", top=5)
    """
    from jnlp.options import build as checked
    from jnlp_search.options import SearchOptions
    from jnlp_search.query.ask import search

    if not indexes:
        raise UsageError("no index to search is given", hint="search_all([index, …], query)")
    once = {index.path.resolve(): index for index in reversed(indexes)}  # the first of those that are one
    chosen = [index for index in indexes if once[index.path.resolve()] is index]
    return search(
        [index._reader() for index in dict.fromkeys(chosen)], query, checked(SearchOptions, options, where="search")
    )
