"""A workbook reduced to what is read of it: sheets, shared strings and number formats.

openpyxl checks styles, names, views and properties against the specification, and refuses a workbook for one that Excel
opens without a word.
"""

from __future__ import annotations

import io
import zipfile
from typing import IO, TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from jnlp.io.reading.office.package import main_part, relations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jnlp.io.reading.archive import Archive

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_EMPTY_STYLES = (
    "<fonts count='1'><font/></fonts><fills count='1'><fill><patternFill/></fill></fills>"
    "<borders count='1'><border/></borders><cellStyleXfs count='1'><xf/></cellStyleXfs>"
)


def simplified(archive: Archive, /) -> IO[bytes]:
    """Return a workbook with the sheets, strings and number formats of another.

    Raises:
        KeyError, ParseError: The workbook itself, or a sheet, is missing or damaged.
    """
    main = main_part(archive, "xl/workbook.xml")
    known = relations(archive, main)
    workbook = archive.xml(main)
    named = [(sheet, known.get(sheet.get("r:id", ""))) for sheet in workbook.iterfind("sheets/sheet")]
    sheets = [(sheet, relation.path) for sheet, relation in named if relation and relation.kind == "worksheet"]
    parts = {f"xl/s{number}.xml": archive.read(path) for number, (_, path) in enumerate(sheets, start=1)}
    targets = [("worksheet", path) for path in parts]
    for relation in known.values():
        if relation.kind == "sharedStrings" and relation.path in archive:
            parts["xl/strings.xml"] = archive.read(relation.path)
            targets.append(("sharedStrings", "xl/strings.xml"))
        elif relation.kind == "styles" and relation.path in archive:
            parts["xl/styles.xml"] = _styles(archive, relation.path).encode()
            targets.append(("styles", "xl/styles.xml"))
    listed = "".join(
        f"<sheet name={quoteattr(sheet.get('name', ''))} sheetId='{number}' state='{_state(sheet.get('state'))}' "
        f"r:id='r{number}'/>"
        for number, (sheet, _) in enumerate(sheets, start=1)
    )
    settings = workbook.find("workbookPr")
    since_1904 = settings is not None and settings.get("date1904") in ("1", "true")
    head = f"<workbookPr date1904='{int(since_1904)}'/>"
    parts["xl/workbook.xml"] = (
        f"<workbook xmlns='{_MAIN}' xmlns:r='{_OFFICE}'>{head}<sheets>{listed}</sheets></workbook>".encode()
    )
    parts["xl/_rels/workbook.xml.rels"] = _related(targets)
    parts["_rels/.rels"] = _related([("officeDocument", "xl/workbook.xml")])
    parts["[Content_Types].xml"] = _types([*targets, ("sheet.main", "xl/workbook.xml")])
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as whole:
        for path, data in parts.items():
            whole.writestr(path, data)
    made.seek(0)
    return made


def _state(state: str | None) -> str:
    return state if state in ("hidden", "veryHidden") else "visible"


def _related(targets: Iterable[tuple[str, str]]) -> bytes:
    rows = (
        f"<Relationship Id='r{number}' Type='{_OFFICE}/{kind}' Target='/{path}'/>"
        for number, (kind, path) in enumerate(targets, start=1)
    )
    return f"<Relationships xmlns='{_RELATIONS}'>{''.join(rows)}</Relationships>".encode()


def _types(targets: Iterable[tuple[str, str]]) -> bytes:
    rows = "".join(f"<Override PartName='/{path}' ContentType='{_TYPE}.{kind}+xml'/>" for kind, path in targets)
    space = "http://schemas.openxmlformats.org/package/2006/content-types"
    default = "<Default Extension='rels' ContentType='application/vnd.openxmlformats-package.relationships+xml'/>"
    return f"<Types xmlns='{space}'>{default}{rows}</Types>".encode()


def _styles(archive: Archive, path: str) -> str:
    """The number formats of the cells' styles, without fonts, fills and borders."""
    root = archive.xml(path)
    formats = "".join(
        f"<numFmt numFmtId='{number}' formatCode={quoteattr(format.get('formatCode', ''))}/>"
        for format in root.iterfind("numFmts/numFmt")
        if (number := _number(format.get("numFmtId"))) is not None
    )
    cells = "".join(f"<xf numFmtId='{_number(style.get('numFmtId')) or 0}'/>" for style in root.iterfind("cellXfs/xf"))
    inside = f"<numFmts>{formats}</numFmts>{_EMPTY_STYLES}<cellXfs>{cells}</cellXfs>"
    return f"<styleSheet xmlns='{_MAIN}'>{inside}</styleSheet>"


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 9 else None
