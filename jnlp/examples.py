"""Labelled records as training examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, UsageError
from jnlp.io.reading.inputs import PassedOver
from jnlp.io.reading.readers import read
from jnlp.types import Example, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from jnlp.io.reading.options import ReadOptions
    from jnlp.io.reading.readers import Loaders
    from jnlp.types import Record


def read_examples(
    inputs: Sequence[str | Path],
    options: ReadOptions,
    readers: Loaders | None = None,
    /,
    *,
    pairs: bool = False,
    single: bool = False,
    negatives: str | None = None,
    group: str | None = None,
    passed_over: PassedOver | None = None,
) -> tuple[list[Example], list[Failed]]:
    """Return the labelled rows of files, and the rows that could not be read or have no label.

    Args:
        inputs: Files with a header or JSON objects.
        options: `label` names the column of the target; `text` and `text_pair` those of the text.
        readers: Readers by extension; None for jnlp's own.
        pairs: Each row is a pair; a label is optional.
        single: A row of one text will do too.
        negatives: The column of hard negatives: one text or a list.
        group: The column whose rows with equal values are held out together.
        passed_over: Counts the files of folders that have no reader.

    Raises:
        UsageError: `label` (for pairs: `text_pair`) is not given or is also a text column, or a column or file does not
            exist.
        JnlpError: No row has a text and a label.
    """
    if pairs and not single and options.text_pair is None:
        raise UsageError("no column of second texts is named", hint="--text COLUMN --text-pair COLUMN")
    if options.label is None and not pairs:
        raise UsageError("no column of labels is named", hint="--label COLUMN")
    for name in ("text", "text_pair"):
        if options.label is not None and options.label == getattr(options, name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} and --label are the same column '{options.label}'", hint="name two columns")
    examples: list[Example] = []
    failed: list[Failed] = []
    for record in _records(inputs, options, readers, passed_over):
        if isinstance(record, Failed):
            failed.append(record)
            continue
        for asked in (negatives, group):
            if asked is not None and asked not in record.fields:
                names = ", ".join(record.fields) or "none"
                raise UsageError(f"{record.id}: no column is called '{asked}'", hint=f"the other columns are: {names}")
        value = record.fields.get(options.label) if options.label else ""
        if options.label and value in (None, ""):
            empty = JnlpError(f"{record.id}: the label in column '{options.label}' is empty")
            failed.append(Failed(record.id, record.source, empty))
        else:
            of = record.fields.get(group) if group else None
            wrong = _texts(record.fields.get(negatives)) if negatives else ()
            examples.append(Example(record.text, _target(value), None if of is None else str(of), wrong))
    if not examples:
        why = f": {failed[0].error}" if failed else ""
        what, hint = ("pair", "check --text and --text-pair") if pairs else ("labelled row", "check --text and --label")
        raise JnlpError(f"no {what} in {', '.join(map(str, inputs))}{why}", hint=hint)
    return examples, failed


def read_training(
    inputs: Sequence[str | Path],
    valid: Sequence[str | Path],
    options: ReadOptions,
    readers: Loaders,
    /,
    *,
    warn: Callable[[str], None],
    **columns: Any,
) -> tuple[list[Example], list[Example] | None]:
    """Return training examples, and validation examples where there are files of them.

    Args:
        inputs: Files of training rows.
        valid: Files of validation rows.
        options: How they are read.
        readers: Readers by ending.
        warn: Called with one line for the rows of each, and one for the files, that were left out.
        columns: `pairs`, `single`, `negatives` and `group` of `read_examples`.

    Raises:
        UsageError, JnlpError: As `read_examples`.
    """
    passed_over = PassedOver()
    columns["passed_over"] = passed_over
    examples, failed = read_examples(inputs, options, readers, **columns)
    held, failed_valid = read_examples(valid, options, readers, **columns) if valid else (None, [])
    for left_out in (failed, failed_valid):
        if left_out:
            warn(f"{len(left_out):,} rows were left out; the first: {left_out[0].error}")
    if passed_over:
        warn(str(passed_over))
    return examples, held


def _records(
    inputs: Sequence[str | Path], options: ReadOptions, readers: Loaders | None, passed_over: PassedOver | None
) -> Iterator[Record | Failed]:
    try:
        return read(inputs, options, readers, paths_only=True, passed_over=passed_over)
    except UsageError as error:
        hint = error.hint or "training rows come from files: csv, tsv, jsonl, parquet"
        raise UsageError(error.message, hint=hint) from error


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(str(text) for text in values if text is not None and str(text).strip())


def _target(value: object) -> str | tuple[str, ...] | float:
    if isinstance(value, float):
        return value
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return str(value)
