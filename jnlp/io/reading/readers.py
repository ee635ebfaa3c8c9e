"""Any input as a stream of records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from jnlp.errors import MissingExtraError, RecordError, UsageError
from jnlp.io.reading.inputs import Input
from jnlp.io.reading.options import ReadOptions, Unit
from jnlp.io.reading.sources import expand
from jnlp.io.specs import READERS, FormatSpec
from jnlp.registry import import_target
from jnlp.text.encodings import canonical
from jnlp.types import Failed, Record, Source

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp.io.reading.inputs import PassedOver
    from jnlp.io.reading.sources import Item


_KINDS = {extension: spec.name for spec in READERS for extension in spec.extensions}


class Reader(Protocol):
    """Reads one kind of file.

    It may raise `RecordError` or `OSError` at any point: the file's failure is reported and the stream goes on with
    the next file. One row that is broken is yielded as `Failed`.
    """

    def __call__(self, source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
        """Yield the records of one input, lazily."""
        ...


Loaders = Mapping[str, Callable[[], object]]
"""Readers by file name ending (`.csv`), each behind a function that imports and returns it (`Registration.load`)."""


def loader(spec: FormatSpec, /) -> Callable[[], object]:
    """Return a function that imports what a spec names."""
    return lambda: import_target(spec.target)


def builtin_readers() -> dict[str, Callable[[], object]]:
    """Return jnlp's own readers by file name ending."""
    return {extension: loader(spec) for spec in READERS for extension in spec.extensions}


def read(
    inputs: Sequence[str | Path],
    options: ReadOptions | None = None,
    readers: Loaders | None = None,
    *,
    stdin: BinaryIO | None = None,
    paths_only: bool = False,
    passed_over: PassedOver | None = None,
) -> Iterator[Record | Failed]:
    """Return the records of literal texts, files, folders, globs and standard input (`-`), in order and lazily.

    Lines of txt and stdin, rows of csv, tsv, jsonl and parquet, files of md, html and pdf; `options.unit` overrides
    for all but rows. What cannot be read is a `Failed`, and the stream goes on.

    Args:
        inputs: Texts and paths, distinguished as `jnlp.io.reading.sources.expand` does; a `Path` is always a path.
        options: How to read.
        readers: Readers by ending; None for jnlp's own.
        stdin: What `-` reads (default: the process's).
        paths_only: True where a text cannot stand in place of a path.
        passed_over: Counts the files of folders that have no reader.

    Raises:
        UsageError: At once, for a path that does not exist, an unknown format or codec; while reading, for a column
            that does not exist in the only file that is read. One file of several fails alone.

    Example:
        >>> from jnlp.io import ReadOptions, read
        >>> [record.text for record in read(["感想.csv"], ReadOptions(text="本文"))][:1]
        ['受付1は対応が早くて助かった。']
    """
    options = options or ReadOptions()
    readers = _checked(options, readers)
    if options.text is not None and options.input_format is None and not options.literal and "-" in inputs:
        raise UsageError(
            f"standard input is read as lines of text, which have no column '{options.text}'",
            hint="--input-format csv, tsv or jsonl says what comes there",
        )
    items = expand(inputs, options, readers, stdin=stdin, paths_only=paths_only, passed_over=passed_over)
    return (record for item, alone in _alone(items) for record in _records(item, options, readers, alone))


def documents(
    paths: Sequence[str | Path],
    options: ReadOptions | None = None,
    readers: Loaders | None = None,
    *,
    stdin: BinaryIO | None = None,
    passed_over: PassedOver | None = None,
) -> Iterator[Record | Failed]:
    """Return what an index is made of: a record per file, or per row of a table, in order and lazily.

    The id is the path as given, or for a row its id column, else `PATH:ROW`. `fields` hold `path`, `mtime` (seconds),
    `size` (bytes) and `kind` (`md`, `pdf` …) of the file, its `title`, `author`, `date` and `language` where it has
    them, and the other columns of a row, which win where names clash. `passed_over` counts the files of folders that
    have no reader.

    Raises:
        UsageError: As `read`; a text in place of a path is one too.

    Example:
        >>> from jnlp.io import documents
        >>> [record.id for record in documents(["文書/"])]
        ['文書/規程.txt']
    """
    options = replace(options or ReadOptions(), unit=Unit.DOCUMENT, literal=False)
    readers = _checked(options, readers)
    items = expand(paths, options, readers, stdin=stdin, paths_only=True, passed_over=passed_over)
    return (
        replace(record, fields={**about, **_said(record), **record.fields}) if isinstance(record, Record) else record
        for item, alone in _alone(items)
        for about in (_about(item),)
        for record in _records(item, options, readers, alone)
    )


def _checked(options: ReadOptions, readers: Loaders | None) -> Loaders:
    """The readers, once the format and the codec asked for are known to exist."""
    readers = builtin_readers() if readers is None else readers
    if options.input_format is not None and f".{options.input_format}" not in readers:
        known = ", ".join(sorted(extension[1:] for extension in readers))
        raise UsageError(f"no reader for the format '{options.input_format}'", hint=f"there are: {known}")
    if options.encoding is not None:
        canonical(options.encoding)
    return readers


def _alone(items: Iterator[Item]) -> Iterator[tuple[Item, bool]]:
    """Each item, and whether it is the only one and was named: then a wrong column is a wrong call."""
    first, second = next(items, None), next(items, None)
    if first is not None:
        yield first, second is None and isinstance(first, Input) and first.named
    if second is not None:
        yield second, False
    yield from ((item, False) for item in items)


def _records(item: Item, options: ReadOptions, readers: Loaders, alone: bool) -> Iterator[Record | Failed]:
    if not isinstance(item, Input):
        yield item
        return
    # A file named by the user whose ending says nothing is text until its bytes say otherwise.
    reader = cast("Reader", (readers.get(item.extension) or readers[".txt"])())
    try:
        yield from reader(item, options)
    except (RecordError, MissingExtraError) as error:
        yield Failed(item.name, Source(item.name), error)
    except UsageError as error:
        if alone:
            raise
        yield Failed(item.name, Source(item.name), error)  # one table must not stop the others
    except OSError as error:
        yield item.failed(f"cannot be read: {(error.strerror or str(error)).lower()}")


def _said(record: Record) -> dict[str, object]:
    """What a file says of itself."""
    return {**({"title": record.title} if record.title else {}), **record.about}


def _about(item: Item) -> dict[str, object]:
    """What an index keeps of a file besides its text."""
    if not isinstance(item, Input):
        return {}
    try:
        status = item.path.stat() if item.path is not None else None
    except OSError:  # gone meanwhile: reading it will say so
        status = None
    return {
        "path": item.name,
        **({"mtime": status.st_mtime, "size": status.st_size} if status else {}),
        "kind": _KINDS.get(item.extension, item.extension[1:] or "txt"),
    }
