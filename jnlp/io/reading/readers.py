"""Reads any input as a stream of records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from jnlp.errors import MissingExtraError, RecordError, UsageError
from jnlp.io.reading.inputs import Input
from jnlp.io.reading.options import ReadOptions, Unit
from jnlp.io.reading.sources import expand
from jnlp.io.specs import READERS
from jnlp.text.encodings import canonical
from jnlp.types import Failed, Record, Source

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp.io.reading.inputs import PassedOver
    from jnlp.io.reading.sources import Item


_KINDS = {extension: spec.name for spec in READERS for extension in spec.extensions}


class Reader(Protocol):
    """Reads one kind of file.

    It may raise `RecordError` or `OSError` at any point: the file is reported as failed, and the stream continues with
    the next file. A single broken row is yielded as `Failed`.
    """

    def __call__(self, source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
        """Yield the records of one input, lazily."""
        ...


Loaders = Mapping[str, Callable[[], object]]
"""Functions that import and return a reader (`Registration.load`), by file extension (`.csv`)."""


def builtin_readers() -> dict[str, Callable[[], object]]:
    """Return jnlp's own readers by file extension."""
    return {extension: spec.load for spec in READERS for extension in spec.extensions}


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

    A record is a line of txt and stdin, a row of csv, tsv, jsonl and parquet, or a file of md, html and pdf.
    `options.unit` overrides this, except for rows. Unreadable inputs are yielded as `Failed`, and the stream continues.

    Args:
        inputs: Texts and paths, distinguished as `jnlp.io.reading.sources.expand` does; a `Path` is always a path.
        options: How to read.
        readers: Readers by extension; None for jnlp's own.
        stdin: What `-` reads (default: the process's).
        paths_only: True if every argument must be a path.
        passed_over: Counts the files of folders that have no reader.

    Raises:
        UsageError: Immediately, for a path that does not exist, or an unknown format or codec; while reading, for a
            column that does not exist in the only file. One file of several fails alone.

    Example:
        >>> from jnlp.io import ReadOptions, read
        >>> [record.text for record in read(["感想.csv"], ReadOptions(text="本文"))][:1]
        ['受付1は対応が早くて助かった。']
    """
    options = options or ReadOptions()
    readers = _check_options(options, readers)
    if options.text is not None and options.input_format is None and not options.literal and "-" in inputs:
        raise UsageError(
            f"standard input is read as lines of text, which have no column '{options.text}'",
            hint="--input-format csv, tsv or jsonl says what comes there",
        )
    items = expand(inputs, options, readers, stdin=stdin, paths_only=paths_only, passed_over=passed_over)
    return (record for item, alone in _alone(items) for record in _counted(item, options, readers, alone, passed_over))


def documents(
    paths: Sequence[str | Path],
    options: ReadOptions | None = None,
    readers: Loaders | None = None,
    *,
    stdin: BinaryIO | None = None,
    passed_over: PassedOver | None = None,
    only: Callable[[Path], bool] | None = None,
    apart: Sequence[Path] = (),
) -> Iterator[Record | Failed]:
    """Return the documents for an index: a record per file, or per row of a table, in order and lazily.

    The id is the path as given, or for a row its id column, else `PATH:ROW`. `fields` hold `path`, `mtime` (seconds),
    `size` (bytes) and `kind` (`md`, `pdf` …) of the file, its `title`, `author`, `date` and `language` where it has
    them, and the other columns of a row, which win where names clash. `passed_over` counts the files of folders that
    have no reader. Of the files, those for which `only` returns False are not opened; the folders in `apart` are left
    out of the folders they are in.

    Raises:
        UsageError: As `read`; a text in place of a path is one too.

    Example:
        >>> from jnlp.io import documents
        >>> [record.id for record in documents(["文書/"])]
        ['文書/規程.txt']
    """
    options = replace(options or ReadOptions(), unit=Unit.DOCUMENT, literal=False)
    readers = _check_options(options, readers)
    items = expand(paths, options, readers, stdin=stdin, paths_only=True, passed_over=passed_over, apart=apart)
    return (
        replace(record, fields={**about, **_about(record), **record.fields}) if isinstance(record, Record) else record
        for item, alone in _alone(items)
        if only is None or not isinstance(item, Input) or item.path is None or only(item.path)
        for about in (_file_metadata(item),)
        for record in _counted(item, options, readers, alone, passed_over)
    )


def _check_options(options: ReadOptions, readers: Loaders | None) -> Loaders:
    """Return the readers, after checking that the requested format and codec exist."""
    readers = builtin_readers() if readers is None else readers
    if options.input_format is not None and f".{options.input_format}" not in readers:
        known = ", ".join(sorted(extension[1:] for extension in readers))
        raise UsageError(f"no reader for the format '{options.input_format}'", hint=f"there are: {known}")
    if options.encoding is not None:
        canonical(options.encoding)
    return readers


def _alone(items: Iterator[Item]) -> Iterator[tuple[Item, bool]]:
    """Yield each item, and whether it is the only one and named by the user: then a wrong column is a usage error."""
    first, second = next(items, None), next(items, None)
    if first is not None:
        yield first, second is None and isinstance(first, Input) and first.named
    if second is not None:
        yield second, False
    yield from ((item, False) for item in items)


def _counted(
    item: Item, options: ReadOptions, readers: Loaders, alone: bool, passed_over: PassedOver | None
) -> Iterator[Record | Failed]:
    """Yield the records of an item; one without any is counted."""
    nothing = True
    for record in _records(item, options, readers, alone):
        nothing = False
        yield record
    if nothing and passed_over is not None and isinstance(item, Input) and item.path is not None:
        passed_over.empty += 1


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


def _about(record: Record) -> dict[str, object]:
    """Return the metadata stated in a file."""
    return {**({"title": record.title} if record.title else {}), **record.about}


def _file_metadata(item: Item) -> dict[str, object]:
    """Return the file metadata for an index."""
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
