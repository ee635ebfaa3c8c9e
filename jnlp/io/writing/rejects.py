"""Records that failed, as lines of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.io.writing.record_columns import carry, head
from jnlp.io.writing.sinks import Growing
from jnlp.strict_json import dumps_shown

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from jnlp.types import Failed


def reject_line(failed: Failed, /) -> str:
    """Return `{"id", "text", "path", "line", "error"}`, the record's other columns, and a line break.

    An unreadable input has no record, so it has no text, and columns only if it is a row. The file can be read again as
    an input; a record that is rejected again keeps only the newer place and error.

    Example:
        >>> reject_line(jnlp.Failed.of(jnlp.Record("1", "猫"), jnlp.RecordError("too short"))).strip()
        '{"id": "1", "text": "猫", "path": "arg", "line": null, "error": "too short"}'
    """
    record = failed.record
    where = {"path": failed.source.path, "line": failed.source.line, "error": reason(failed.error)}
    row = {**(head(record) if record is not None else {"id": failed.id}), **where}
    fields = failed.fields if record is None else record.fields
    if record is None and str(fields.get("id")) == failed.id:
        fields = {name: value for name, value in fields.items() if name != "id"}  # the row's own id is there already
    again = where.keys() <= fields.keys()
    others = {name: value for name, value in fields.items() if not (again and name in where)}
    return dumps_shown(carry(row, others)) + "\n"


def reason(error: Exception, /) -> str:
    """Return an error in one line; one that is no `JnlpError` with its type.

    Example:
        >>> reason(jnlp.RecordError("too short")), reason(ValueError("bad"))
        ('too short', 'ValueError: bad')
    """
    text = str(error) if isinstance(error, JnlpError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


class RejectsFile:
    """The file of rejects.

    Args:
        path: The file, created unless `at` is given.
        at: Where to continue.
        stream: Written to in place of the file.
    """

    def __init__(self, path: Path, at: int | None, stream: BinaryIO | None = None) -> None:
        self.path = path
        self.start = at or 0
        self.file = Growing(path, at, stream=stream)
