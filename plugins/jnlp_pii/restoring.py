"""Restores files: the strings of JSON lines, the cells of csv and tsv, or the whole of any other text."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.strict_json import dumps
from jnlp_pii.labels import restore

if TYPE_CHECKING:
    from collections.abc import Mapping

_BINARY = frozenset({".parquet", ".npy", ".xlsx", ".docx", ".pptx", ".pdf"})


def restore_file(content: bytes, ending: str, texts: Mapping[str, str], /) -> tuple[bytes, set[str]]:
    """Return a file's content with labels replaced by their texts, and the labels that the map does not have.

    Args:
        content: The file, in UTF-8.
        ending: The ending of its name: `.jsonl`, `.json`, `.csv` and `.tsv` are read as what they are.
        texts: The text of each label.

    Raises:
        JnlpError: It is no text in UTF-8, or a line is no JSON.
    """
    if ending in _BINARY:
        raise JnlpError(f"files {ending} cannot be restored", hint="write jsonl, csv, tsv or text")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JnlpError(f"not UTF-8 ({error})", hint="restore the file that jnlp pii wrote") from error
    missing: set[str] = set()

    def back(value: Any) -> Any:
        if isinstance(value, str):
            return restore(value, texts, missing.add)
        if isinstance(value, dict):
            return {key: back(item) for key, item in value.items()}
        return [back(item) for item in value] if isinstance(value, list) else value

    try:
        if ending == ".jsonl":
            lines = text.split("\n")
            text = "\n".join(dumps(back(json.loads(line))) if line.strip() else line for line in lines)
        elif ending == ".json":
            text = dumps(back(json.loads(text)), indent=1) + "\n"
        elif ending in (".csv", ".tsv"):
            text = _cells(text, "," if ending == ".csv" else "\t", back)
        else:
            text = restore(text, texts, missing.add)
    except ValueError as error:
        raise JnlpError(f"not JSON ({error})", hint="restore the file that jnlp pii wrote") from error
    return text.encode("utf-8"), missing


def _cells(text: str, delimiter: str, back: Any) -> str:
    out = io.StringIO(newline="")
    end = "\r\n" if "\r\n" in text else "\n"
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        writer.writerow([back(cell) for cell in row])
    return out.getvalue()
