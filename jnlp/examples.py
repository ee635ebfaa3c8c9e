"""Labelled records as training examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, UsageError
from jnlp.io.reading.columns import label_columns
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
        options: `label` names the column of the target, or several columns of 0 and 1, one for each label; `text` and
            `text_pair` name those of the text.
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
    _check_columns(options, pairs, single)
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
        try:
            target = _target(record, label_columns(options.label, record.fields))
        except JnlpError as error:
            failed.append(Failed(record.id, record.source, error))
        else:
            of = record.fields.get(group) if group else None
            wrong = _texts(record.fields.get(negatives)) if negatives else ()
            examples.append(Example(record.text, target, None if of is None else str(of), wrong, _place(record)))
    if not examples:
        why = f": {failed[0].error}" if failed else ""
        what, hint = ("pair", "check --text and --text-pair") if pairs else ("labelled row", "check --text and --label")
        raise JnlpError(f"no {what} in {', '.join(map(str, inputs))}{why}", hint=hint)
    return examples, failed


def _place(record: Record) -> str:
    """Return a row's id, and its file and line where the id is not these."""
    path, line = record.source.path, record.source.line
    where = f"{path}:{line}" if path and line else str(path or "")
    return record.id if not where or record.id == where else f"{record.id} ({where})"


def _check_columns(options: ReadOptions, pairs: bool, single: bool) -> None:
    """Raise UsageError where a column that is needed is not named, or is named twice."""
    if pairs and not single and options.text_pair is None:
        raise UsageError("no column of second texts is named", hint="--text COLUMN --text-pair COLUMN")
    if not options.label and not pairs:
        raise UsageError("no column of labels is named", hint="--label COLUMN")
    for name in ("text", "text_pair"):
        if (same := getattr(options, name)) in options.label:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} and --label are the same column '{same}'", hint="name two columns")
    if pairs and len(options.label) > 1:
        raise UsageError("pairs have one column of labels", hint="--label COLUMN")


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


_PRESENT = {"1", "1.0", "true", "yes", "○", "◯", "はい"}
_ABSENT = {"0", "0.0", "false", "no", "×", "いいえ", "", "none"}


def _target(record: Record, columns: Sequence[str]) -> str | tuple[str, ...] | float:
    """Return the target in a row: what its label column holds, or the names of those of several that hold 1."""
    if not columns:
        return ""
    if len(columns) > 1:
        return tuple(name for name in columns if _is_present(record, name))
    value = record.fields.get(columns[0])
    if value in (None, ""):
        raise JnlpError(f"{record.id}: the label in column '{columns[0]}' is empty")
    if isinstance(value, float):
        return value
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return str(value)


def _is_present(record: Record, column: str) -> bool:
    """Return whether a label is present in a row, by a column of its own."""
    said = str(record.fields.get(column)).strip().lower()
    if said not in _PRESENT | _ABSENT:
        raise JnlpError(
            f"{record.id}: the label column '{column}' holds '{said}'; with several label columns each holds 0 or 1",
            hint="name one label column, or make a column of 0 and 1 for each label",
        )
    return said in _PRESENT
