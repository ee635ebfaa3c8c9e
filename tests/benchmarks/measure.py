"""Runs contenders: one process each, outputs compared first, then in turn, round after round."""

from __future__ import annotations

import json
import statistics
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from tests.benchmarks.contenders import BUILD, COSINE, REFERENCE, ROOT, Contender
from tests.benchmarks.works import Work, mixed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

CHECK = mixed(12, seed=1, name="check")
FAT = 3 << 30
"""Bytes that an idle process may hold; one that holds more is started anew."""
SLOW = 2.0
"""A peer that takes this many times the fastest one's time is timed in `FEWER` rounds only."""
FEWER = 3


class FailedError(Exception):
    """A contender that cannot run; the message says why."""


class Server:
    """A contender's process, started at once and asked for its readiness later."""

    def __init__(self, contender: Contender, folder: Path, /) -> None:
        logs = BUILD / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.contender, self.folder = contender, folder
        self.log = logs / f"{folder.name} {contender.label}.log"
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                contender.command(folder),
                cwd=ROOT,
                env=contender.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.ready = False

    def ask(self, do: str, work: Work, batch: int, /, **more: Any) -> dict[str, Any]:
        """Return the answer to a request.

        Raises:
            FailedError: The process says so, or is gone.
        """
        if not self.ready:
            self._answer()
            self.ready = True
        request = {"do": do, "work": {"name": work.name, "lengths": work.lengths}, "batch": batch, **more}
        stdin = self._pipe(self.process.stdin)
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
        except BrokenPipeError as error:
            raise FailedError(f"the process ended (its log: {self.log.name})") from error
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):  # what was not sent goes nowhere
                self._pipe(pipe).close()

    def _answer(self) -> dict[str, Any]:
        line = self._pipe(self.process.stdout).readline()
        if not line:
            raise FailedError(f"the process ended (its log: {self.log.name})")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise FailedError(answer["error"])
        return answer

    @staticmethod
    def _pipe(pipe: Any) -> TextIO:
        opened: TextIO = pipe
        return opened


@dataclass(slots=True)
class Field:
    """The contenders that run one model.

    Args:
        say: Told of progress.
        servers: By label.
        missing: Why others do not run, by label.
    """

    say: Callable[[str], None]
    servers: dict[str, Server] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def start(self, contenders: Sequence[Contender], folder: Path, /) -> None:
        """Start all, and let go those whose vectors are not the reference's."""
        self.servers = {contender.label: Server(contender, folder) for contender in contenders}
        self._compare(CHECK)

    def _compare(self, work: Work) -> None:
        """Let go of those whose vectors are not the reference's on a work."""
        vectors: dict[str, NDArray[np.float32]] = {}
        for label, server in list(self.servers.items()):
            self.say(f"  {server.folder.name}: comparing {label} on {work.name}")
            out = BUILD / f"{server.folder.name}-vectors.npy"
            if self._try(label, "vectors", work, 8, out=str(out)) is not None:
                vectors[label] = np.load(out)
        wanted = vectors.get(REFERENCE.label, next(iter(vectors.values()), None))
        for label, found in vectors.items():
            assert wanted is not None  # there is at least one
            least = COSINE[self.servers[label].contender.precision]
            if not (cosine := least_cosine(found, wanted)) >= least:
                self.drop(label, f"its vectors have a cosine of {cosine:.4f} to the reference's, under {least}")

    def time(self, work: Work, rounds: int, /) -> dict[str, dict[str, Any]]:
        """Return seconds, batch size and peak memory by label; each peer's best batch size is found first.

        Texts of a length that `start` did not compare are compared before.
        """
        if max(work.lengths) > max(CHECK.lengths):
            self._compare(Work(f"{work.name}, one text", (max(work.lengths),)))
        batches: dict[str, int] = {}
        for label in [label for label, server in self.servers.items() if not server.contender.ours]:
            if size := self._best_batch(label, work):
                batches[label] = size
        found: dict[str, dict[str, Any]] = {}
        for turn in range(rounds):
            for label in list(self.servers):
                if turn >= FEWER and self._slow(label, found):
                    continue
                answer = self._try(label, "time", work, batches.get(label, 1))
                if answer is None:
                    found.pop(label, None)
                    continue
                entry = found.setdefault(label, {"batch": batches.get(label), "seconds": [], "peak": answer["peak"]})
                entry["seconds"].append(round(answer["seconds"], 4))
                if answer["resident"] > FAT:
                    self._renew(label)
            self.say(f"  {work.name}, round {turn + 1} of {rounds}: {_line(work, found)}")
        return found

    def drop(self, label: str, why: str, /) -> None:
        """Let a contender go."""
        self.say(f"  {label} is left out: {why}")
        self.missing[label] = why
        self.servers.pop(label).close()

    def close(self) -> None:
        """End all processes."""
        for server in self.servers.values():
            server.close()

    def _renew(self, label: str) -> None:
        """Start a contender anew and run a few short texts, so that its next turn is no first one."""
        old = self.servers[label]
        old.close()
        self.servers[label] = Server(old.contender, old.folder)
        self._try(label, "time", CHECK, 8)

    def _slow(self, label: str, found: dict[str, dict[str, Any]]) -> bool:
        peers = {name: min(found[name]["seconds"]) for name, s in self.servers.items() if not s.contender.ours}
        return label in peers and peers[label] > SLOW * min(peers.values())

    def _best_batch(self, label: str, work: Work) -> int | None:
        """Return the fastest batch size on a part of the texts where these are many."""
        part = work.part(len(work.lengths) // 64 or 1)
        if len(sizes := part.batch_sizes()) == 1:
            return sizes[0]
        times: dict[int, float] = {}
        for size in sizes:
            for _ in range(2):  # the first run of a shape may compile for it
                if (answer := self._try(label, "time", part, size)) is None:
                    return None
                times[size] = answer["seconds"]
        return min(times, key=lambda size: times[size])

    def _try(self, label: str, do: str, work: Work, batch: int, **more: Any) -> dict[str, Any] | None:
        try:
            return self.servers[label].ask(do, work, batch, **more)
        except FailedError as error:
            self.drop(label, str(error))
            return None


def least_cosine(found: NDArray[np.float32], wanted: NDArray[np.float32], /) -> float:
    """Return the smallest cosine between the rows of two arrays."""
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    cosines = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return float(cosines.min())


def speed(tokens: int, run: dict[str, Any], /) -> float:
    """Return tokens a second by the median of a contender's times."""
    return tokens / statistics.median(run["seconds"])


def _line(work: Work, found: dict[str, dict[str, Any]]) -> str:
    return ", ".join(f"{label} {work.tokens / run['seconds'][-1]:,.0f}" for label, run in found.items())
