"""The store `local`: an index in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jnlp.types import Hit, IndexEngine, SearchIndex, Store


class LocalStore:
    """Opens an index folder: an SQLite catalogue and FAISS segments."""

    def open(self, path: Path, engine: IndexEngine, /, *, create: bool = False) -> SearchIndex:
        """Open the index at `path`. With `create`, a missing index is created when the first document is added."""
        from jnlp_search.index import Index

        return Index.open(path, engine, create=create)

    def search(self, indexes: Sequence[SearchIndex], query: str, /, **options: Any) -> list[Hit]:
        """Return the best passages of several indexes of this store together; see `jnlp_search.search_all`."""
        from jnlp_search.index import Index
        from jnlp_search.several import search_all

        return search_all([index for index in indexes if isinstance(index, Index)], query, **options)


STORE: Store = LocalStore()
