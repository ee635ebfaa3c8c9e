"""A worker process of the executor `processes`: rebuilds its job, then processes texts until its input ends."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jnlp.executors.answers import answer, portable, unpickled
from jnlp.executors.pipes import receive, send
from jnlp.executors.processes import IN_FLIGHT
from jnlp.usage import Usage, peak_memory

if TYPE_CHECKING:
    from typing import BinaryIO

    from jnlp.executors.answers import Work
    from jnlp.types import Apply


def main() -> None:
    """Serve the parent process over standard input and output; exit when it has gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they may meet the whole group: the parent decides
        signal.signal(number, signal.SIG_IGN)
    inbox = os.fdopen(os.dup(0), "rb")
    outbox = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the results
    with suppress(EOFError, OSError):
        _serve(inbox, outbox)
    os._exit(0)  # threads at work do not hold the process


def _serve(inbox: BinaryIO, outbox: BinaryIO) -> None:
    text, shared, path = receive(inbox)
    sys.path[:] = path
    answers = _Answers(outbox)
    try:
        from jnlp.jobs import rebuild

        engine, job = rebuild(text)
        engine.converted = Path(shared)
        answers.usage = engine.usage
        apply = engine.prepare(job)
    except BaseException as error:
        answers.send(None, portable(error))
        receive(inbox)  # its end: the parent knows
        return
    work: queue.SimpleQueue[tuple[int, Work]] = queue.SimpleQueue()
    for _ in range(IN_FLIGHT):
        threading.Thread(target=_work, args=(work, apply, answers), daemon=True).start()
    while True:
        work.put(receive(inbox))


def _work(jobs: queue.SimpleQueue[tuple[int, Work]], apply: Apply[Any], answers: _Answers) -> None:
    while True:
        number, texts = jobs.get()
        try:
            answers.send(number, answer(apply, texts))
        except OSError:
            os._exit(0)
        except Exception as error:  # a result that does not pickle
            answers.send(number, unpickled(error))


class _Answers:
    """Sends answers, each with the counts since the last one."""

    def __init__(self, outbox: BinaryIO) -> None:
        self.usage = Usage()
        self._outbox = outbox
        self._lock = threading.Lock()

    def send(self, number: int | None, value: Any) -> None:
        send(self._outbox, (number, value, self.usage.drain(), peak_memory()), self._lock)
