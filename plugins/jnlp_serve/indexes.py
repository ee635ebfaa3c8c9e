"""The indexes of a service, by name; one that is replaced on disk is opened again."""

from __future__ import annotations

import dataclasses
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jnlp.types import Hit

STORE = "local"
"""The kind of index that is served."""


class Indexes:
    """Open indexes by name. Several threads may search them.

    Changes by `jnlp index` are seen by the next search. If the folder was deleted and made again, it is opened again.

    Args:
        given: By name, an open index or its folder.
        engine: Supplies models and stores.
    """

    def __init__(self, given: Mapping[str, Any], engine: Any, /) -> None:
        self._engine, self._given = engine, dict(given)
        self._opened: dict[str, Any] = {}
        self._files: dict[str, object] = {}
        self._lock = threading.Lock()
        self._model: str | None = None

    @property
    def names(self) -> list[str]:
        """The names, in the order they were given."""
        return list(self._given)

    def __bool__(self) -> bool:
        return bool(self._given)

    def model(self) -> str | None:
        """Return the model that the first index was made with; None without an index."""
        if self._model is None and self._given:
            with suppress(JnlpError):  # an index that cannot be read is reported when it is searched
                self._model = str(self.get(self.names[0]).info().made_with["model"])
        return self._model

    def chosen(self, asked: str | Sequence[str] | None, /) -> list[str]:
        """Return the names that a request asks for; all without a wish.

        Raises:
            ApiError: 404 for a name that was not given at start.
        """
        if not self._given:
            raise ApiError(404, "no index is served", hint="start the service with --index DIR")
        names = self.names if asked is None else [asked] if isinstance(asked, str) else list(dict.fromkeys(asked))
        for name in names:
            if name not in self._given:
                raise ApiError(404, f"no index is called '{name[:80]}'", hint=f"there are: {', '.join(self.names)}")
        return names

    def at(self, folder: str, /) -> Any | None:
        """Return the open index of a folder, by the folder's whole path; None if that folder is not served."""
        for name, given in self._given.items():
            place = given if isinstance(given, str | Path) else given.path
            if str(Path(place).resolve()) == folder:
                return self.get(name)
        return None

    def get(self, name: str, /) -> Any:
        """Return an open index."""
        given = self._given[name]
        if not isinstance(given, str | Path):
            return given
        with self._lock:
            identity = _identity(Path(given))
            if name not in self._opened or identity != self._files[name]:
                store = self._store()
                self._opened[name] = store.open(Path(given), self._engine)  # an old one lives on in its searches
                self._files[name] = identity
            return self._opened[name]

    def search(self, names: Sequence[str], query: str, options: Mapping[str, Any], /) -> list[Hit]:
        """Return hits of some indexes, best first; each says in which index it is, by the name given at start."""
        indexes = {name: self.get(name) for name in names}
        if len(indexes) == 1:
            ((name, index),) = indexes.items()
            return [dataclasses.replace(hit, index=name) for hit in index.search(query, **options)]
        by_path = {str(index.path): name for name, index in indexes.items()}
        hits = self.search_all(list(indexes.values()), query, options)
        return [dataclasses.replace(hit, index=by_path.get(str(hit.index), hit.index)) for hit in hits]

    def search_all(self, indexes: Sequence[Any], query: str, options: Mapping[str, Any], /) -> list[Hit]:
        """Return the hits of open indexes together, best first; each says in which folder its index is."""
        hits: list[Hit] = self._store().search(list(indexes), query, **options)
        return hits

    def warm(self) -> None:
        """Open the indexes, load their models, and read their segments."""
        for name in self.names:
            if self.get(name).info().documents:
                self.search([name], "準備", {"top": 1})

    def close(self) -> None:
        """Close the indexes that were opened here."""
        for index in self._opened.values():
            index.close()

    def _store(self) -> Any:
        return self._engine.store(STORE)


def _identity(folder: Path) -> object:
    """Return what changes when an index's folder is replaced by another."""
    try:
        found = (folder / "catalog.sqlite").stat()
    except OSError:  # an index in shards notices itself that they were replaced
        return (folder / "shards.json").exists() or None
    return found.st_dev, found.st_ino
