"""The executor of several processes on one machine: each has its own interpreter and threads, all map the same weights.

A worker runs `jnlp.worker`. It receives the job as JSON and rebuilds it, receives texts, and sends results
back; the records themselves stay here.
"""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from jnlp.errors import JnlpError
from jnlp.executors.answers import outcomes_of, work_of
from jnlp.executors.chunks import weight
from jnlp.executors.ordered import Future, run
from jnlp.executors.pipes import receive, send
from jnlp.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jnlp.types import Apply, Failed, Job, Outcome, Record

IN_FLIGHT = 2
"""Chunks that one worker has at once."""


class ProcessesExecutor:
    """Runs a job on worker processes of this machine, as many as the setting `workers` says.

    Args:
        prepare: What makes a job's function: the workers make their own; its `usage`, where it has one, counts what
            they report.
    """

    def __init__(self, prepare: Callable[[Job], Apply[Any]], /) -> None:
        self._usage: Usage = getattr(prepare, "usage", None) or Usage()

    def map(self, job: Job, records: Iterable[Record | Failed], /) -> Iterator[Outcome[Any]]:
        """Yield one outcome per record, in order.

        Raises:
            JnlpError: As the local executor does; and where a worker process ends by itself.
        """
        count = job.settings.workers
        with Pool(job, count, self._usage) as pool:
            yield from run(pool.submit, records, IN_FLIGHT * count, weight=job.task.weight)


class Pool:
    """Worker processes, started at once and killed at the end.

    Args:
        job: What they are to do.
        count: How many.
        usage: Collects their reports.
    """

    def __init__(self, job: Job, count: int, usage: Usage, /) -> None:
        self._stack = ExitStack()
        # The weights in the dtype of the run lie here once, for all of them.
        shared = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="jnlp-", ignore_cleanup_errors=True))
        each = _share(job.settings.threads, count)
        of_worker = dataclasses.replace(job.settings, workers=1, executor="local", threads=each)
        message = (dataclasses.replace(job, settings=of_worker).to_json(), shared, sys.path)
        self._workers: list[Worker] = []
        try:
            for _ in range(count):
                self._workers.append(self._stack.enter_context(Worker(message, usage)))
        except BaseException:
            self._stack.close()
            raise

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.pid for worker in self._workers]

    def submit(self, records: Sequence[Record], /) -> Future:
        """Hand a chunk to the worker that has least to do."""
        return min(self._workers, key=lambda worker: worker.load).submit(records)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


def _share(threads: int | None, workers: int) -> int:
    from jnlp.encoder.threads import default_threads

    return max(1, (threads or default_threads()) // workers)


class Worker:
    """One worker process, and a thread that takes what it sends.

    Args:
        message: Its first message: the job as JSON, the folder of shared weights, where Python finds modules.
        usage: Collects its reports.
    """

    def __init__(self, message: tuple[str, str, list[str]], usage: Usage, /) -> None:
        # The package may be importable through `sys.path` alone; a worker is sent the whole of it, once it runs.
        root = str(Path(__file__).resolve().parents[2])
        start = f"import sys; sys.path.insert(0, {root!r}); from jnlp.worker import main; main()"
        command = [sys.executable, "-c", start]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in: BinaryIO = self._process.stdin  # type: ignore[assignment]  # buffered bytes, typed as IO[bytes]
        self._out: BinaryIO = self._process.stdout  # type: ignore[assignment]
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._waiting: dict[int, tuple[Future, Sequence[Record]]] = {}
        self._number = 0
        self._over: BaseException | None = None
        self._usage = usage
        self._listener = threading.Thread(target=self._listen, daemon=True, name="jnlp-worker-results")
        self._listener.start()
        with suppress(OSError):  # the listener reports its end
            send(self._in, message, self._sending)

    @property
    def load(self) -> int:
        """The characters it has been sent and not answered."""
        with self._lock:
            return sum(1 + sum(map(weight, records)) for _, records in self._waiting.values())

    def submit(self, records: Sequence[Record], /) -> Future:
        """Send it a chunk."""
        future = Future()
        with self._lock:
            if self._over is not None:
                future.fail(self._over)
                return future
            self._number += 1
            number = self._number
            self._waiting[number] = future, records
        with suppress(OSError):  # the listener reports its end
            send(self._in, (number, work_of(records)), self._sending)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with suppress(OSError):
            self._in.close()
        self._process.wait()
        self._listener.join()
        self._out.close()

    def _listen(self) -> None:
        try:
            while True:
                number, answer, report, memory = receive(self._out)
                self._usage.add(report, worker=self.pid, memory=memory)
                if number is None:
                    raise answer
                with self._lock:
                    future, records = self._waiting.pop(number)
                if isinstance(answer, BaseException):
                    future.fail(answer)
                else:
                    future.resolve(outcomes_of(records, answer))
        except EOFError:
            self._end(self._crash())
        except BaseException as error:  # it could not prepare the job, or a bug: raised where outcomes are taken
            self._end(error)

    def _crash(self) -> JnlpError:
        code = self._process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        hint = "the system may be short of memory: use fewer --workers" if code == -9 else "see its error above"
        return JnlpError(f"worker process {self.pid} {how}", hint=hint)

    def _end(self, error: BaseException) -> None:
        with self._lock:
            self._over = error
            waiting = list(self._waiting.values())
            self._waiting = {}
        for future, _ in waiting:
            future.fail(error)
