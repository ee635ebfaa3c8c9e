"""The workers of a job on a Ray cluster: started where there is room, replaced when they are lost."""

from __future__ import annotations

import dataclasses
import os
import pickle
import queue
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from jnlp.errors import JnlpError
from jnlp.executors.answers import outcomes_of, work_of
from jnlp.executors.chunks import CHUNK_RECORDS, GPU_CHUNK_RECORDS
from jnlp.executors.ordered import Future, run
from jnlp_ray.cluster import first_line, ray_module
from jnlp_ray.disks import HINT, is_full
from jnlp_ray.pieces import Piece, cut
from jnlp_ray.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jnlp.executors.answers import Answer
    from jnlp.types import Failed, Job, Outcome, Record, Settings
    from jnlp.usage import Usage
    from jnlp_ray.cluster import Cluster

IN_FLIGHT = 2
"""Chunks that one worker has at once: while one is in the forward pass, the other is tokenised."""

AHEAD = 2
"""Chunks that wait, for each that a worker has: one slow chunk does not leave the others without work."""

TICK = 1.0
"""Seconds between two looks at the cluster."""

MANY = 8
"""With so many workers, chunks are cut where that lets all end at about the same time; else they are a local run's."""

PARTS = 16
"""A chunk of full size is cut into so many pieces at most, so that a piece is worth its message."""

MOST_LOST = 20
"""Workers that may end one after the other, with no chunk done between, before the run ends."""

LEANER = "fewer --workers, more --threads each; see the logs of Ray"
"""What to do where workers are short of memory."""

REST = 2.0
"""Seconds before a worker is replaced whose node has no space on its disk: the next may start there again."""

_CARRIED = ("JNLP_", "HF_", "OMP_", "TRANSFORMERS_")
"""The beginnings of environment variables that workers get from this process."""


class Pool:
    """Workers of a cluster, and a thread that hands out chunks and takes answers.

    Args:
        job: What the workers do.
        cluster: Where they run.
        usage: Collects their reports.

    Example:
        >>> with Pool(job, cluster, usage) as pool:  # doctest: +SKIP
        ...     [outcome] = pool.submit([jnlp.Record("1", "猫")]).result()
    """

    def __init__(self, job: Job, cluster: Cluster, usage: Usage, /) -> None:
        self._cluster, self._usage, self._weight = cluster, usage, job.task.weight
        self._most = GPU_CHUNK_RECORDS if cluster.gpus else CHUNK_RECORDS
        self._ray = ray_module()
        needs = {**cluster.needs(), "max_restarts": 0, "max_concurrency": IN_FLIGHT, "scheduling_strategy": "SPREAD"}
        self._actor = self._ray.remote(Worker).options(**needs)
        self._message = _message(job, cluster)
        self._events: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._workers: list[_Hand] = []
        self._waiting: deque[Piece] = deque()
        self._futures: set[Future] = set()
        self._over: BaseException | None = None
        self._lost = 0  # workers, since a chunk was done
        self._made = 0  # workers so far
        self._rested = 0.0  # when workers may be started again
        self._room = cluster.room()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="jnlp-ray")

    @property
    def started(self) -> int:
        """The number of workers that are ready."""
        return sum(worker.started for worker in self._workers)

    def window(self) -> int:
        """Return the number of chunks to have at work, which follows the size of the cluster.

        Example:
            >>> pool.window()  # doctest: +SKIP
            8
        """
        return self._room * IN_FLIGHT * AHEAD

    def outcomes(self, records: Iterable[Record | Failed], /) -> Iterator[Outcome[Any]]:
        """Yield one outcome per record, in order; see `jnlp.executors.ordered.run`.

        Args:
            records: The input.

        Example:
            >>> list(pool.outcomes([jnlp.Record("1", "猫")]))  # doctest: +SKIP
            [Done(...)]
        """
        width = max(self._cluster.room() // 4, 1)
        return run(self.submit, records, self.window, most=self._most, width=width, weight=self._weight)

    def submit(self, records: Sequence[Record], /) -> Future:
        """Hand over a chunk.

        Args:
            records: Its records.

        Example:
            >>> pool.submit([jnlp.Record("1", "猫")]).result()  # doctest: +SKIP
            [Done(...)]
        """
        future = Future()
        self._events.put(lambda: self._take(future, records))
        return future

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._events.put(None)
        self._thread.join()
        for worker in self._workers:
            worker.kill(self._ray)

    # --- in the thread -----------------------------------------------------------------------------------------

    def _serve(self) -> None:
        looked = -TICK
        while True:
            try:
                if time.monotonic() - looked >= TICK:
                    self._look()
                    looked = time.monotonic()
                self._hand_out()
                with suppress(queue.Empty):
                    event = self._events.get(timeout=TICK)
                    if event is None:
                        return
                    event()
            except BaseException as error:  # raised where the outcomes are taken
                self._end(error)

    def _take(self, future: Future, records: Sequence[Record]) -> None:
        if self._over is not None:
            future.fail(self._over)
            return
        self._futures.add(future)

        def done(outcomes: list[Any]) -> None:
            self._futures.discard(future)
            future.resolve(outcomes)

        self._waiting.append(Piece(records, done))

    def _look(self) -> None:
        """Start workers where there is room, and call off those for which there is none any more."""
        if self._over is not None:
            return
        self._room = self._cluster.room()
        while len(self._workers) > self._room and (pending := [w for w in self._workers if not w.started]):
            self._workers.remove(pending[-1])
            pending[-1].kill(self._ray)
        while len(self._workers) < self._room and time.monotonic() >= self._rested:
            self._made += 1
            worker = _Hand(self._actor.remote(*self._message), self._made)
            self._workers.append(worker)
            self._follow(worker.actor.start.remote(), partial(self._started, worker))

    def _follow(self, ref: Any, then: Callable[[Any], None]) -> None:
        """Call `then` in the thread once the answer of a worker is there; with the answer as a future."""
        ref.future().add_done_callback(lambda made: self._events.put(lambda: then(made)))

    def _started(self, worker: _Hand, made: Any) -> None:
        try:
            failed = made.result()
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            self._lose(worker, error)
            return
        if full := _full_disk(failed):
            self._lose(worker, full)
            return
        if failed is not None:
            raise failed
        worker.started = True

    def _hand_out(self) -> None:
        """Give the chunks that wait to the workers that have least to do."""
        while self._waiting:
            able = [worker for worker in self._workers if worker.takes(self._waiting[0])]
            if not able:
                return
            if len(self._workers) >= MANY:
                cut(self._waiting, len(self._workers), max(self._most // self._weight // PARTS, 1))
            worker, piece = min(able, key=lambda worker: worker.load), self._waiting.popleft()
            worker.pieces.append(piece)
            ref = worker.actor.run.remote(work_of(piece.records))
            self._follow(ref, partial(self._answered, worker, piece))

    def _answered(self, worker: _Hand, piece: Piece, made: Any) -> None:
        try:
            answer, (report, memory) = pickle.loads(made.result())
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:  # the worker has ended, or its node with the answer
            self._lose(worker, error)
            return
        if piece not in worker.pieces:  # counted as lost with the worker already
            return
        if full := _full_disk(answer):
            self._lose(worker, full)
            return
        worker.pieces.remove(piece)
        self._lost = 0
        self._usage.add(report, worker=worker.number, memory=memory)
        if isinstance(answer, BaseException):
            raise answer
        piece.done(outcomes_of(piece.records, answer))

    def _lose(self, worker: _Hand, error: BaseException) -> None:
        """Take a lost worker's chunks back, to the front; `_look` starts another, later where a disk is full."""
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        worker.kill(self._ray)
        self._lost += 1
        full = _full_disk(error)
        if self._lost >= MOST_LOST:
            raise JnlpError(
                f"{MOST_LOST} workers of the Ray cluster ended one after the other: {first_line(error)}",
                hint=HINT if full else f"they may be short of memory: {LEANER}",
            ) from error
        again = worker.pieces if full else [new for piece in worker.pieces for new in piece.lost()]
        self._waiting.extendleft(reversed(again))
        if full:
            self._rested = time.monotonic() + REST
        else:
            self._look()

    def _end(self, error: BaseException) -> None:
        self._over = error
        for future in self._futures:
            future.fail(error)
        self._futures.clear()
        self._waiting.clear()


class _Hand:
    """A worker as the pool sees it.

    Args:
        actor: Its actor.
        number: A number for the counts: processes of two machines may have the same.
    """

    def __init__(self, actor: Any, number: int) -> None:
        self.actor, self.number = actor, number
        self.started = False
        self.pieces: list[Piece] = []

    @property
    def load(self) -> int:
        """The characters that it has been sent and has not answered."""
        return sum(piece.weight for piece in self.pieces)

    def takes(self, piece: Piece) -> bool:
        """Return whether it has room for a chunk; a suspect one is to be alone."""
        if not self.started or len(self.pieces) >= IN_FLIGHT:
            return False
        return not self.pieces or not (piece.suspect or self.pieces[0].suspect)

    def kill(self, ray: Any) -> None:
        """End it."""
        with suppress(Exception):  # it may have ended, and the cluster too
            ray.kill(self.actor)


def _full_disk(answer: Answer | None) -> BaseException | None:
    """Return the error of a worker whose disk is full, met in preparing the job or in one of a chunk's records."""
    errors = [error for ok, error in answer if not ok] if isinstance(answer, list) else [answer]
    return next((error for error in errors if is_full(error)), None)


def surroundings() -> tuple[str, list[str], dict[str, str]]:
    """Return the working folder, the places of modules and the variables that workers get from this process.

    Example:
        >>> folder, path, variables = surroundings()
        >>> folder == str(Path.cwd())
        True
    """
    variables = {name: value for name, value in os.environ.items() if name.startswith(_CARRIED)}
    return str(Path.cwd()), sys.path, variables


def settings_there(settings: Settings, cluster: Cluster, /) -> Settings:
    """Return the settings of one worker.

    Args:
        settings: Those of this process.
        cluster: Where it runs.

    Example:
        >>> settings_there(jnlp.Settings(executor="ray"), Cluster(gpus=False, cpus=4, limit=None)).threads
        4
    """
    return dataclasses.replace(
        settings,
        model=_place(settings.model),
        device="cuda" if cluster.gpus else "cpu",
        workers=1,
        executor="local",
        ray_address=None,
        threads=cluster.cpus,
    )


def _message(job: Job, cluster: Cluster) -> tuple[str, str, list[str], dict[str, str]]:
    """Return the arguments of `Worker`."""
    sent = dataclasses.replace(job, settings=settings_there(job.settings, cluster), model=_place(job.model))
    return sent.to_json(), *surroundings()


def _place(model: str | None) -> str | None:
    """Return the whole path of a model's folder, or its name."""
    return str(Path(model).resolve()) if model is not None and Path(model).is_dir() else model
