"""The store `local`: an index in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp.types import IndexEngine, SearchIndex, Store


class LocalStore:
    """Opens an index folder: an SQLite catalogue and FAISS segments."""

    def open(self, path: Path, engine: IndexEngine, /, *, create: bool = False) -> SearchIndex:
        """Open the index at `path`. With `create`, a missing index is created when the first document is added."""
        from jnlp_search.index import Index

        return Index.open(path, engine, create=create)


STORE: Store = LocalStore()
