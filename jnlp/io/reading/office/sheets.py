"""Excel: a record per row, as of any table, or a whole workbook with its sheets and rows as one document."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from jnlp.errors import MissingExtraError, RecordError, UsageError
from jnlp.io.reading.archive import open_archive
from jnlp.io.reading.columns import choose, distinct_names, to_record
from jnlp.io.reading.damage import not_understood
from jnlp.io.reading.office.package import main_part, properties, relations
from jnlp.io.reading.office.simplified import simplified
from jnlp.io.reading.office.values import cell_text, field_of
from jnlp.io.reading.options import Unit
from jnlp.io.reading.outlined import Outlined
from jnlp.io.reading.units import Whole, cut
from jnlp.patterns import deferred
from jnlp.types import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jnlp.io.reading.archive import Archive
    from jnlp.io.reading.inputs import Input
    from jnlp.io.reading.options import ReadOptions
    from jnlp.types import Failed

_BATCH = 500  # rows read at once
_MERGED = deferred(rb'<(?:\w+:)?mergeCell [^>]*ref="([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})"')
_ROW = deferred(rb'<(?:\w+:)?row [^<>]*?\br="([0-9]+)"')
_LAST_ROW = 1_048_576  # of any sheet of Excel; openpyxl counts to the row that a file names
_MOST_CELLS = 50_000_000  # of a sheet, those between the cells of a row included: openpyxl makes them all
_MOST_FILLED = 1_000_000  # cells of merged areas that are filled; a sheet can merge all of its cells


@dataclass(frozen=True, slots=True)
class _Cell:
    value: object = None
    text: str = ""


_EMPTY = _Cell()


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A visible sheet: `rows` yields the number and the cells of each row that is not empty."""

    name: str
    rows: Iterator[tuple[int, list[_Cell]]]


def read_xlsx(source: Input, options: ReadOptions, /) -> Iterator[Record | Failed]:
    """Yield a record per row below each sheet's header, or the workbook as one record.

    It is one record where documents are read (an index) and no column is named, or one that only other files have.
    Hidden sheets are left out. Formulas have the values that were saved with them. A merged area has its value in each
    of its rows.

    Raises:
        MissingExtraError: openpyxl is not installed.
        RecordError: The file is encrypted, damaged or too large.
        UsageError: No sheet has a column that was asked for.
    """
    try:
        import openpyxl
    except ImportError:
        raise MissingExtraError("office", "reading xlsx") from None
    with open_archive(source, "xlsx") as archive:
        archive.check()
        book = _load(openpyxl.load_workbook, archive)
        try:
            whole = options.unit is Unit.DOCUMENT
            try:
                if not whole or options.text is not None:
                    yield from _tables(source, _sheets(archive, book, source), options)
                    return
            except UsageError:
                if not whole or source.named:
                    raise  # in a folder, the column named is that of other files
            yield from _document(source, archive, _sheets(archive, book, source))
        finally:
            book.close()


def _load(load_workbook: Callable[..., Any], archive: Archive) -> Any:
    """Open a workbook; one that openpyxl refuses for its styles, names or properties is opened without them.

    Raises:
        RecordError: It is damaged.
    """
    refused: Exception | None = None
    for as_it_is in (True, False):
        try:
            file = archive.file if as_it_is else simplified(archive)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its notes on what it leaves out are not for the user
                return load_workbook(file, read_only=True, data_only=True, keep_links=False)
        except RecordError:
            raise
        # openpyxl raises nearly anything for a file that it does not understand; none of it is a bug of ours.
        except Exception as error:
            refused = refused or error
    assert refused is not None
    raise not_understood(archive.name, "xlsx", refused, archive.file) from refused


def _document(source: Input, archive: Archive, sheets: Iterator[_Sheet]) -> Iterator[Record | Failed]:
    written = Outlined()
    for number, sheet in enumerate(sheets, start=1):
        written.mark("sheet", 1, sheet.name, number)
        written.add(sheet.name)
        last = 0
        for line, cells in sheet.rows:
            written.mark("row", 2, "", line)
            written.add("\t".join(cell.text for cell in cells), "\n" if last and line == last + 1 else "\n\n")
            last = line
    title, about = properties(archive)
    whole = Whole(written.text(), None, None, None, title, about, written.outline())
    yield from cut(source, whole, Unit.DOCUMENT)


def _tables(source: Input, sheets: Iterator[_Sheet], options: ReadOptions) -> Iterator[Record | Failed]:
    """Yield the rows of each sheet. A sheet without the columns asked for is a failure, unless all are."""
    refused: list[UsageError] = []
    read = False
    for count, sheet in enumerate(sheets, start=1):
        _, header = next(sheet.rows, (0, []))
        names = distinct_names([cell.text for cell in header])
        if not names:
            continue
        try:
            columns = choose(names, options, f"{source.name} (sheet '{sheet.name}')")
        except UsageError as error:
            refused.append(error)
            continue
        read = True
        for line, cells in sheet.rows:
            row: dict[str, object] = {name: field_of(cell.value) for name, cell in zip(names, cells, strict=False)}
            row |= dict.fromkeys(names[len(cells) :])
            for name, cell in zip(names, cells, strict=False):
                if name in (columns.text, columns.pair) and not isinstance(cell.value, str):
                    row[name] = cell.text
            record = to_record(row, columns, source, line, None)
            if count > 1 and isinstance(record, Record) and record.id == f"{source.name}:{line}":
                record = replace(record, id=f"{source.name}:{sheet.name}:{line}")
            yield record
    if refused and not read:
        raise refused[0]
    for refusal in refused:
        yield source.failed(refusal.message.removeprefix(f"{source.name} "))


def _sheets(archive: Archive, book: Any, source: Input) -> Iterator[_Sheet]:
    paths = _paths(archive)
    for sheet in book.worksheets:
        if sheet.sheet_state == "visible":
            merged = _merged_areas(archive, paths.get(sheet.title))
            yield _Sheet(sheet.title, _fill_merged(_rows(sheet, source), merged))


def _rows(sheet: Any, source: Input) -> Iterator[tuple[int, list[_Cell]]]:
    """Yield the rows of a sheet that hold something, without empty cells at their end."""
    sheet.reset_dimensions()  # what a file states of its size is often wrong
    rows = sheet.iter_rows()
    number = count = 0
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                batch = list(islice(rows, _BATCH))
        except RecordError:
            raise
        except Exception as error:
            raise not_understood(source.name, "xlsx", error) from error
        if not batch:
            return
        for row in batch:
            number += 1
            count += len(row)
            if count > _MOST_CELLS:
                raise RecordError(f"{source.name}: a sheet of more than {_MOST_CELLS:,} cells")
            cells = [_EMPTY if cell.value is None else _cell(cell) for cell in row]
            while cells and not cells[-1].text:
                cells.pop()
            if cells:
                yield number, cells


def _cell(cell: Any) -> _Cell:
    value = cell.value
    return _Cell(value, cell_text(value) if isinstance(value, str) else cell_text(value, cell.number_format))


def _fill_merged(
    rows: Iterator[tuple[int, list[_Cell]]], merged: Sequence[tuple[int, int, int, int]]
) -> Iterator[tuple[int, list[_Cell]]]:
    """Put the value of a merged area into each of its rows, in its first column."""
    waiting = sorted(merged, reverse=True)
    held: list[tuple[int, int, _Cell]] = []  # the last row of an area, its column, its value
    for number, cells in rows:
        held = [area for area in held if area[0] >= number]
        for _, column, cell in held:
            cells += [_EMPTY] * (column + 1 - len(cells))
            if not cells[column].text:
                cells[column] = cell
        while waiting and waiting[-1][0] <= number:
            first, last, column, _ = waiting.pop()
            if first == number and last > first and column < len(cells) and cells[column].text:
                held.append((last, column, cells[column]))
        yield number, cells


def _paths(archive: Archive) -> dict[str, str]:
    """The part of each sheet by the sheet's name."""
    main = main_part(archive, "xl/workbook.xml")
    known = relations(archive, main)
    sheets = archive.xml(main).iterfind("sheets/sheet")
    named = ((sheet.get("name", ""), known.get(sheet.get("r:id", ""))) for sheet in sheets)
    return {name: relation.path for name, relation in named if relation is not None}


def _merged_areas(archive: Archive, path: str | None) -> list[tuple[int, int, int, int]]:
    """The merged areas of a sheet that span rows: first and last row, first and last column from 0."""
    if path is None or path not in archive:
        return []
    areas = []
    filled = 0
    data = archive.read(path)
    if any(len(row[1]) > 7 or int(row[1]) > _LAST_ROW for row in _ROW.finditer(data)):
        raise RecordError(f"{archive.name}: cannot be read as xlsx: a row beyond the last that Excel has")
    for match in _MERGED.finditer(data):
        first, last = int(match[2]), int(match[4])
        filled += last - first
        if first < last and filled <= _MOST_FILLED:
            areas.append((first, last, _column(match[1]), _column(match[3])))
    return areas


def _column(letters: bytes) -> int:
    """Return 0 for A, 26 for AA."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1
