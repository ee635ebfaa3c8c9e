"""Labelled records as training examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, UsageError
from jnlp.io.readers import read
from jnlp.types import Example, Failed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jnlp.io.options import ReadOptions
    from jnlp.io.readers import Loaders


def read_examples(
    inputs: Sequence[str | Path], options: ReadOptions, readers: Loaders | None = None, /
) -> tuple[list[Example], list[Failed]]:
    """Return the labelled rows of files, and the rows that could not be read or have no label.

    Args:
        inputs: Files with a header or JSON objects.
        options: `label` names the column of the target; `text` and `text_pair` those of the text.
        readers: Readers by ending; None for jnlp's own.

    Raises:
        UsageError: No `label` is named, or a column does not exist.
        JnlpError: No row has a text and a label.
    """
    if options.label is None:
        raise UsageError("no column of labels is named", hint="--label COLUMN")
    examples: list[Example] = []
    failed: list[Failed] = []
    for record in read(inputs, options, readers):
        if isinstance(record, Failed):
            failed.append(record)
            continue
        value = record.fields.get(options.label)
        if value is None or value == "":
            empty = JnlpError(f"{record.id}: the label in column '{options.label}' is empty")
            failed.append(Failed(record.id, record.source, empty))
        else:
            examples.append(Example(record.text, _target(value)))
    if not examples:
        why = f": {failed[0].error}" if failed else ""
        raise JnlpError(f"no labelled row in {', '.join(map(str, inputs))}{why}", hint="check --text and --label")
    return examples, failed


def _target(value: object) -> str | tuple[str, ...] | float:
    if isinstance(value, float):
        return value
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return str(value)
