"""Output that is written to a part file, journalled each second, and renamed when complete."""

from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from jnlp.errors import JnlpError
from jnlp.io.writing import journal
from jnlp.io.writing.rejects import RejectsFile, reject_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from jnlp.io.durable import Lock
    from jnlp.io.writing.sinks import Position, Row, Sink, Target
    from jnlp.types import Failed

_BEAT = 0.5  # seconds between looks at what waits


class Output:
    """An open output: one call of `write` or `reject` for each input record, in the order of the input.

    Rows wait in memory for at most a second, then go to the part file. The journal then records how many records are
    done and where the files end. After an interrupt at any moment, part file and journal agree.

    Example:
        >>> from pathlib import Path
        >>> from jnlp.io import open_writer
        >>> with open_writer("csv", Path("表.csv")) as output:
        ...     output.write({"文": "猫", "数": 1})
        ...     output.records
        1
    """

    def __init__(
        self,
        sink: Sink | None,
        target: Target | None,
        *,
        rejects: RejectsFile | None = None,
        state_path: Path | None = None,
        job: journal.Job | None = None,
        state: journal.State | None = None,
        table: Callable[[Row], None] | None = None,
        lock: Lock | None = None,
    ) -> None:
        self.skip = state.records if state else 0
        """How many input records an earlier run has done: leave out as many."""
        self.mark = state.mark if state else ""
        """The mark of the last record that an earlier run has done."""
        self.how_on = "continue with --resume"
        """What is said of going on with what is kept."""
        self.kept: str | None = None
        """After an error: what is kept and how to go on, for the last line of stderr."""
        self._sink, self._target, self._rejects, self._table = sink, target, rejects, table
        self._state_path, self._job, self._held = state_path, job, lock
        # One tuple, replaced in one step: records done, output's position, rejects' position, the last one's mark,
        # records that wait.
        self._now: tuple[int, Position, int, str, list[tuple[Any, bytes, str]]]
        self._now = (self.skip, sink.start if sink else {}, rejects.start if rejects else 0, self.mark, [])
        self._weight = 0
        self._saved = time.monotonic()
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._error: Exception | None = None
        self._broken = False
        self._withheld = False
        self._beat = threading.Thread(target=self._keep_flushing, name="jnlp-output", daemon=True)

    @property
    def records(self) -> int:
        """Input records done so far, those of an earlier run included.

        Example:
            >>> from jnlp.io import open_writer
            >>> with open_writer("jsonl", Path("記録.jsonl")) as output:
            ...     output.write({"文": "猫"}, {"文": "犬"})  # two rows of one record
            ...     output.records
            1
        """
        return self._now[0] + len(self._now[4])

    def write(self, *rows: Row, mark: str = "") -> None:
        """Write the output of one input record: one row, several or none.

        Args:
            rows: The rows.
            mark: Identifies the record, so that a resumed run can check whether it reads the same input.

        Raises:
            RecordError: It cannot be written in this format or codec; nothing of it has been, and `reject` may follow.
            JnlpError: The disk is full or the file is gone; what was written before is kept.

        Example:
            >>> from jnlp.io import open_writer
            >>> with open_writer("jsonl", Path("行.jsonl")) as output:
            ...     output.write({"文": "猫"})
            >>> Path("行.jsonl").read_text(encoding="utf-8").splitlines()
            ['{"文": "猫"}']
        """
        if self._table is not None:
            for row in rows:
                self._table(row)
        prepared, size = self._sink.prepare(rows) if self._sink else (None, 0)
        self._take(prepared, b"", size, mark)

    def reject(self, failed: Failed, mark: str = "") -> None:
        """Count a failed input record, and write it to the rejects file, if there is one.

        Example:
            >>> from jnlp.io import open_writer
            >>> failed = jnlp.Failed.of(jnlp.Record("1", "猫"), jnlp.RecordError("too short"))
            >>> with open_writer("jsonl", Path("良.jsonl"), rejects=Path("否.jsonl")) as output:
            ...     output.reject(failed)
            >>> "too short" in Path("否.jsonl").read_text(encoding="utf-8")
            True
        """
        line = reject_line(failed).encode("utf-8", "backslashreplace") if self._rejects else b""
        self._take(None, line, len(line), mark)

    def withhold(self) -> None:
        """Write no file at the end, because no record has a result; keep an old file of that name.

        Example:
            >>> from jnlp.io import open_writer
            >>> with open_writer("jsonl", Path("空.jsonl")) as output:
            ...     output.withhold()
            >>> Path("空.jsonl").exists()
            False
        """
        self._withheld = self._target is not None and self._target.stream is None

    def flush(self) -> None:
        """Put all that was written into the files now, and the journal after it.

        Example:
            >>> from jnlp.io import open_writer
            >>> with open_writer("jsonl", Path("流.jsonl")) as output:
            ...     output.write({"文": "猫"})
            ...     output.flush()
        """
        with self._lock:
            self._checkpoint()

    def __enter__(self) -> Self:
        self._beat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._beat.join()
        try:
            if kind is not None:
                self._keep()
                return
            try:
                self._complete()
            except BaseException:
                self._keep()
                raise
        finally:
            if self._held is not None:
                self._held.release()

    def _take(self, prepared: Any, line: bytes, size: int, mark: str) -> None:
        with self._lock:
            if self._error is not None:
                raise self._error
            self._now[4].append((prepared, line, mark))  # one step: the record is done, or it is not
            self._weight += size
            if self._weight >= (self._sink.chunk if self._sink else 1 << 20) or len(self._now[4]) >= 10_000:
                self._note_on_error(self._drain)

    def _drain(self) -> None:
        """Append what waits. Done twice, or broken off and done again, it comes to the same."""
        records, position, rejected, _, waiting = self._now
        if not waiting:
            return
        if self._sink is not None:
            position = self._sink.append([rows for rows, _, _ in waiting if rows is not None], position)
        if self._rejects is not None and (lines := b"".join(line for _, line, _ in waiting)):
            self._rejects.file.write(lines, rejected)
            rejected += len(lines)
        self._now = (records + len(waiting), position, rejected, waiting[-1][2], [])
        self._weight = 0

    def _checkpoint(self) -> None:
        self._note_on_error(self._drain)
        self._note_on_error(self._save)

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self._state_path is None or self._sink is None or self._job is None:
            return
        self._sink.sync()
        rejects = None
        if self._rejects is not None:
            self._rejects.file.sync()
            rejects = str(self._rejects.path.absolute())
        records, position, rejected, mark, _ = self._now
        journal.save(journal.State(self._job, records, position, rejects, rejected, mark), self._state_path)

    def _keep_flushing(self) -> None:
        seen = -1
        while not self._closing.wait(_BEAT):
            with self._lock:
                due = time.monotonic() - self._saved >= (self._sink.seconds if self._sink else 1.0) - _BEAT
                if self._error is not None or self.records == seen or not due:
                    continue
                seen = self.records
                try:
                    self._checkpoint()
                except Exception as error:  # a bug too: the main thread raises it
                    self._error = error  # raised where the next record is written

    def _note_on_error(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            self._broken = True
            if isinstance(error, BrokenPipeError):
                raise
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            name = self._target.out if self._target and self._target.out else "standard output"
            reason = "no space left on the disk" if full else (error.strerror or str(error)).lower()
            hint = "free some space first" if full else None
            raise JnlpError(f"{name}: {reason}, after {self._now[0]} records", hint=hint) from error

    def _complete(self) -> None:
        if self._error is not None:
            raise self._error
        self._checkpoint()
        if self._sink is not None and self._withheld:
            self._sink.close()
        elif self._sink is not None:
            self._note_on_error(lambda: self._sink.finish(self._now[1]) if self._sink else None)
        if self._rejects is not None:
            self._rejects.file.close()
        if self._state_path is not None:
            journal.remove(self._state_path)
        if self._sink is not None:  # after the journal, which would speak of parts that are gone
            self._sink.discard()
        self._close_special()

    def _keep(self) -> None:
        """Save what there is after an error, and say what is kept."""
        # The first error is the one to report. Where these fail too, the last checkpoint is kept; a stream that failed
        # is left alone, since it may have taken a part of what waits.
        if not (self._broken and self._target is not None and self._target.stream is not None):
            with suppress(Exception):
                self._note_on_error(self._drain)
            with suppress(Exception):
                self._note_on_error(self._save)
        if self._rejects is not None:
            self._rejects.file.close()
        if self._sink is None or self._target is None:
            return
        self._sink.close()
        self._close_special()
        part = None if self._target.stream is not None else self._target.part
        if part is None:
            return
        if self._now[0] == 0:
            self._sink.discard()
            if self._state_path is not None:
                journal.remove(self._state_path)
            return
        how = f" ({self.how_on})" if self._state_path is not None else ""
        self.kept = f"partial output kept: {_short(part)}, {self._now[0]} records{how}"

    def _close_special(self) -> None:
        if self._target is not None and self._target.out is not None and self._target.stream is not None:
            self._target.stream.close()


def _short(path: Path) -> str:
    """A path below the working folder without it."""
    try:
        return os.fspath(path.relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)
