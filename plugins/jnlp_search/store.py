"""The store `local`: an index in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp.types import Models, SearchIndex, Store


class LocalStore:
    """Opens an index folder: an SQLite catalogue and FAISS segments."""

    def open(self, path: Path, models: Models, /) -> SearchIndex:
        """Open the index at `path` for reading."""
        from jnlp_search.search import open_index

        return open_index(path, models)


STORE: Store = LocalStore()
