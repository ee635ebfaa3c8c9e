"""The options of reading: `ReadOptions`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from jnlp.types import Option


class Unit(StrEnum):
    """What becomes one record of a text.

    Example:
        >>> from jnlp.io import read
        >>> len(list(read(["文書/規程.txt"], ReadOptions(unit=Unit.DOCUMENT))))
        1
    """

    LINE = "line"
    PARAGRAPH = "paragraph"
    DOCUMENT = "document"


class EncodingErrors(StrEnum):
    """What happens with undecodable bytes: the file fails, or they are read as U+FFFD."""

    STRICT = "strict"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How inputs become records; the same flags for every command.

    Example:
        >>> ReadOptions(text="本文", unit=Unit.PARAGRAPH).encoding is None
        True
    """

    text: Annotated[str | None, Option("Text column.", metavar="COLUMN")] = None
    text_pair: Annotated[str | None, Option("Column of the second text of a pair.", metavar="COLUMN")] = None
    label: Annotated[
        tuple[str, ...],
        Option("Label column; it must exist. Several: a column of 0 and 1 for each label.", metavar="COLUMN"),
    ] = ()
    id: Annotated[str | None, Option("Id column (default: `id`, else SOURCE:LINE).", metavar="COLUMN")] = None
    unit: Annotated[Unit | None, Option("What becomes one record of a text file; rows stay rows.")] = None
    encoding: Annotated[str | None, Option("Codec of the input (default: detected).", metavar="CODEC")] = None
    encoding_errors: Annotated[
        EncodingErrors, Option("Undecodable bytes: the file fails, or they are read as U+FFFD (�).")
    ] = EncodingErrors.STRICT
    input_format: Annotated[
        str | None, Option("Format of every input: jsonl, csv, md … (default: by extension).", metavar="FORMAT")
    ] = None
    literal: Annotated[bool, Option("Treat every argument as text, never as a path.")] = False
    include: Annotated[
        tuple[str, ...],
        Option("Read only files that match: `*.md`, `規程/**` (patterns as in .gitignore).", metavar="GLOB"),
    ] = ()
    exclude: Annotated[tuple[str, ...], Option("Leave out files and folders that match.", metavar="GLOB")] = ()
    ignore: Annotated[bool, Option("Leave out of folders what .gitignore and .ignore files name.")] = True
    recursive: Annotated[bool, Option("Read folders recursively.")] = True

    def __post_init__(self) -> None:
        """Take one label column given as a text."""
        label: object = self.label
        if isinstance(label, str):
            object.__setattr__(self, "label", (label,))

    @property
    def replace(self) -> bool:
        """Whether undecodable bytes are read as U+FFFD.

        Example:
            >>> ReadOptions(encoding_errors=EncodingErrors.REPLACE).replace
            True
        """
        return self.encoding_errors is EncodingErrors.REPLACE
