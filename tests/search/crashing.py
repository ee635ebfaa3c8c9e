"""A process that changes an index in forks of itself, each of which is killed, or meets an error, at a chosen step.

Everything is imported once, so that a fork takes milliseconds. It reads one JSON object a line (see `Order`) and writes
one: `steps` that were done, `code` (the exit status, negative for a signal) and `error`, the message of a JnlpError.

With `failing_writes.c` loaded before libc, the steps can be calls of the system, those of SQLite among them; then
`calls` names them.

    python crashing.py TESTS_FOLDER
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import sqlite3
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])

import faiss
from conftest import FakeEngine, OneModel, PairEmbedder
from generations import documents

from jnlp.errors import JnlpError
from jnlp.io import durable
from jnlp_search import Index, build, builder, compact
from jnlp_search.options import IndexOptions
from jnlp_search.store import catalog as catalogs
from jnlp_search.store import kinds
from jnlp_search.store.shards import folders_of

faiss.omp_set_num_threads(1)  # its threads would not live on in a fork

ERRORS = {"ENOSPC": (errno.ENOSPC, "database or disk is full"), "EIO": (errno.EIO, "disk I/O error")}
"""What the system says, and what SQLite makes of it."""

CALLS = {
    "call kill": -1,
    "call kill after": -2,
    "call kill within": -3,
    "call ENOSPC": errno.ENOSPC,
    "call EIO": errno.EIO,
}
"""The faults of calls, as `failing_writes.c` knows them. Of a write, a kill within it leaves half."""


@dataclass
class Order:
    """One change of an index.

    Args:
        how: The change.
        folder: The index.
        stop: The step at which it ends; 0 lets it end by itself.
        fault: `kill`, or the error that the step meets; with `call` before it, steps are calls of the system.
        docs: The folder that `watch` follows.
    """

    how: str
    folder: str
    stop: int = 0
    fault: str = "kill"
    docs: str = ""


class Steps:
    """Counts places to die; ends the process, or raises, at one of them."""

    def __init__(self, stop: int, fault: str) -> None:
        self.done, self._stop, self._fault = 0, stop, fault

    def __call__(self, *_: object, database: bool = False) -> None:
        """Take a step."""
        self.done += 1
        if self.done != self._stop:
            return
        if self._fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        number, message = ERRORS[self._fault]
        raise sqlite3.OperationalError(message) if database else OSError(number, os.strerror(number))

    def around(self, function: Any) -> Any:
        """Return a function with a step before it, and for kills one after it."""

        def wrapped(*args: Any, **named: Any) -> Any:
            self()
            result = function(*args, **named)
            if self._fault == "kill":
                self()
            return result

        return wrapped


class File:
    """A file each of whose writes is a step."""

    def __init__(self, file: Any, step: Steps) -> None:
        self._file, self._step = file, step

    def write(self, data: Any) -> int:
        """Write after a step."""
        self._step()
        return int(self._file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> File:
        self._file.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)


class Database:
    """A connection each of whose statements is a step."""

    def __init__(self, db: Any, step: Steps, *, fault: str, slices: bool) -> None:
        self._db, self._step, self._fault = db, step, fault
        if fault == "kill":
            db.set_trace_callback(step)  # the statements of triggers and of the full text too
            if slices:
                db.set_progress_handler(step, 500)  # within VACUUM too

    def _run(self, name: str, *args: Any) -> Any:
        if self._fault != "kill":
            self._step(database=True)
        return getattr(self._db, name)(*args)

    def execute(self, *args: Any) -> Any:
        """Run a statement."""
        return self._run("execute", *args)

    def executemany(self, *args: Any) -> Any:
        """Run a statement for each row."""
        return self._run("executemany", *args)

    def backup(self, target: Any, **_: Any) -> None:
        """Copy the pages, a step for every two."""
        self._db.backup(target, pages=2, progress=self._step)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def prepare(order: Order) -> Steps:
    """Make every SQL statement, write, wait for the disk and change of a file's name a step."""
    step = Steps(order.stop, order.fault)
    if order.fault in CALLS:
        ctypes.CDLL(None).arm(os.fsencode(order.folder), order.stop, CALLS[order.fault])
        return step
    opened, open_for_writing = durable.open_own, catalogs.Catalog.writing
    durable.open_own = lambda *args, **named: File(opened(*args, **named), step)
    durable.sync_folder = step.around(durable.sync_folder)
    os.fsync = step.around(os.fsync)
    for name in ("rename", "replace", "unlink"):
        setattr(Path, name, step.around(getattr(Path, name)))

    def traced(folder: Path) -> Any:
        catalog = open_for_writing(folder)
        catalog.db = Database(catalog.db, step, fault=order.fault, slices=order.how == "compact")
        return catalog

    catalogs.Catalog.writing = traced
    return step


def change(order: Order) -> None:
    """Change the index."""
    folder, embedder = Path(order.folder), PairEmbedder()
    if order.how == "compact":
        compact.compact(folder)
    elif order.how == "remove":
        held: set[str] = set()
        for shard in folders_of(folder):
            with catalogs.Catalog.reading(shard) as catalog:
                held |= {name for (name,) in catalog.db.execute("SELECT key FROM documents")}
        if names := [name for name in (f"{number:02}.txt" for number in range(4)) if name in held]:
            build.delete(folder, names)
        else:  # it was done: an empty update clears up
            build.build(folder, [], embedder, model="pairs")
    elif order.how == "kind":
        build.build(folder, [], embedder, IndexOptions(flat_below=0, hnsw_below=20), model="pairs")
    elif order.how == "clusters":
        kinds.LEAST, kinds._lists = 10, lambda count: 2  # of few vectors too
        build.build(folder, [], embedder, IndexOptions(flat_below=0, hnsw_below=0), model="pairs")
    elif order.how == "upgrade":
        build.repair_index(folder, upgrade=True)
    elif order.how == "watch":
        watch(folder, Path(order.docs))
    else:
        options = IndexOptions(rebuild=order.how == "rebuild")
        build.build(folder, documents(2), embedder, options, model="pairs", sources=["/文書"])


def watch(folder: Path, docs: Path) -> None:
    """Follow a folder whose files change twice."""
    stop = threading.Event()
    threading.Timer(20, stop.set).start()  # no test waits for ever
    later = iter(
        [{"03.txt": "第3話　鳥の話をする。改訂した。", "30.txt": "第30話　新しい風の話をする。"}, {"01.txt": None}]
    )
    for _report in Index.open(folder, FakeEngine(OneModel(PairEmbedder()))).watch(docs, debounce=0.01, stop=stop):
        changes = next(later, None)
        if changes is None:
            return
        for name, text in changes.items():
            if text is None:
                (docs / name).touch()  # an event too if an earlier run removed it
                os.unlink(docs / name)  # noqa: PTH108 - Path.unlink is a step
            else:
                (docs / name).write_text(text, encoding="utf-8")


def called() -> list[str]:
    """Return the calls that changed a file of the index: what was done, and the file."""
    calls = ctypes.CDLL(None)
    calls.label.restype = ctypes.c_char_p
    return [calls.label(number).decode(errors="replace") for number in range(1, calls.steps() + 1)]


def run(order: Order, out: int) -> None:
    """Do one order in this process, and end it."""
    builder.BATCH_CHUNKS = 6
    step, error = prepare(order), None
    try:
        change(order)
    except JnlpError as caught:
        error = str(caught)
    names = called() if order.fault in CALLS else []
    done = len(names) or step.done
    os.write(out, json.dumps({"steps": done, "error": error, "calls": names}).encode())
    os._exit(0)


def main() -> None:
    """Take orders until there are no more."""
    for line in sys.stdin:
        order = Order(**json.loads(line))
        here, there = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(here)
            try:
                run(order, there)
            except BaseException as error:  # a bug: the test shows it
                os.write(there, json.dumps({"bug": f"{type(error).__name__}: {error}"}).encode())
            os._exit(1)
        os.close(there)
        with os.fdopen(here, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(process, 0)
        answer = {"code": os.waitstatus_to_exitcode(status), **json.loads(said or b"{}")}
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
