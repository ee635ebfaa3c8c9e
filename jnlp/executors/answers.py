"""A chunk in another process: the texts that go there, the answer that comes back."""

from __future__ import annotations

import pickle
import traceback
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.executors.ordered import apply_isolating
from jnlp.types import Done, Failed, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Apply, Outcome, Text

Work = list[tuple[str, "Text"]]
"""The ids and texts of a chunk's records."""

Answer = list[tuple[bool, Any]] | BaseException
"""For each record whether it succeeded, and its result or exception; or what ends the run."""


def work_of(records: Sequence[Record], /) -> Work:
    """Return what another process needs of records."""
    return [(record.id, record.text) for record in records]


def answer(apply: Apply[Any], work: Work, /) -> Answer:
    """Apply a task to a chunk in another process; nothing is raised, and what is returned can be pickled."""
    try:
        outcomes = apply_isolating(apply, [Record(id, text) for id, text in work])
    except BaseException as error:  # raised in the parent
        return portable(error)
    return [
        (True, outcome.result) if isinstance(outcome, Done) else (False, portable(outcome.error))
        for outcome in outcomes
    ]


def unpickled(error: Exception, /) -> JnlpError:
    """Return the error of an answer that cannot be pickled."""
    return JnlpError(f"the task's results cannot leave a worker process: {error}")


def outcomes_of(records: Sequence[Record], answered: Sequence[tuple[bool, Any]], /) -> list[Outcome[Any]]:
    """Return the outcomes of records from the answer to them."""
    return [
        Done(record, value) if ok else Failed.of(record, value)
        for record, (ok, value) in zip(records, answered, strict=True)
    ]


def portable(error: BaseException, /) -> BaseException:
    """Return an exception that can be sent to the parent; a bug gets its traceback as a note."""
    if not isinstance(error, JnlpError):
        error.add_note("in a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # one with arguments of its own
        if isinstance(error, JnlpError):
            return JnlpError(error.message, hint=error.hint)
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
