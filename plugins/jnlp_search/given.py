"""What is given to an index: records, or paths whose documents are read."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from jnlp.errors import UsageError
from jnlp.types import Failed, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from jnlp.io import PassedOver
    from jnlp.types import IndexEngine


def records_of(
    documents: Iterable[Record | Failed | str | Path] | str | Path,
    read: Mapping[str, Any],
    engine: IndexEngine,
    passed_over: PassedOver | None,
    only: Callable[[Path], bool] | None = None,
    /,
    apart: Sequence[Path] = (),
) -> tuple[Iterator[Record | Failed], list[str | Path]]:
    """Return the records, and the given paths, if any, whose documents they are.

    Args:
        documents: Records or paths.
        read: Fields of `jnlp.io.ReadOptions`.
        engine: Has the readers.
        passed_over: Counts the files that have no reader.
        only: Returns False for files that need not be read.
        apart: Folders that are not read with the folder they are in: the index's own.

    Raises:
        UsageError: Records and paths are mixed.
    """
    from pathlib import Path

    if isinstance(documents, str | Path):
        documents = [documents]
    items = iter(documents)
    first = next(items, None)
    if not isinstance(first, str | Path):
        return _check_items(chain([] if first is None else [first], items)), []
    from jnlp.io import ReadOptions
    from jnlp.io import documents as read_documents
    from jnlp.options import build as checked

    paths: list[str | Path] = []
    for item in chain([first], items):
        if not isinstance(item, str | Path):
            raise UsageError("records and paths are mixed", hint="add records in one call and paths in another")
        paths.append(item)
    options = checked(ReadOptions, read, where="input")
    return read_documents(paths, options, engine.readers(), passed_over=passed_over, only=only, apart=apart), paths


def non_default(read: Mapping[str, Any], /) -> dict[str, Any]:
    """Return the fields of `ReadOptions` that differ from the defaults.

    Example:
        >>> non_default({"text": "本文", "encoding": None})
        {'text': '本文'}
    """
    from dataclasses import asdict

    from jnlp.io import ReadOptions

    plain = asdict(ReadOptions())
    return {name: value for name, value in read.items() if name not in plain or value != plain[name]}


def _check_items(items: Iterable[Record | Failed | str | Path]) -> Iterator[Record | Failed]:
    for number, item in enumerate(items, 1):
        if not isinstance(item, Record | Failed):
            raise UsageError(
                f"document {number} is not a Record but {type(item).__name__}", hint="jnlp.Record(id, text, fields)"
            )
        yield item
