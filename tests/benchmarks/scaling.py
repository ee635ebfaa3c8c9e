"""What a Ray cluster costs and gains: overhead against a local run, scaling with a fake encoder, the driver's memory.

`python -m tests.benchmarks.scaling [--actors 1,4,16,64] [--write]` prints Markdown tables, and writes them into the
page. The nodes are simulated: raylets of this machine, each of which says it has up to 16 cores. The fake encoder
sleeps for a known time a record, one chunk at a time, so that what is measured is all that is around an encoder, on the
cores of one machine; what that takes of them is read from /proc. `--parts` chooses tables: scaling, driver, overhead.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import os
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import jnlp
from jnlp.types import Option
from tests.benchmarks.report import PAGE, between

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ACTORS, SECONDS = (1, 4, 16, 64), 60.0
NODE = 16  # cores of a simulated node, at most
COSTS = (0.02, 0.1)  # seconds of a record
COST = 0.005  # of a record in the comparison with a local run
OVERHEAD = 20_000  # records of the comparison with a local run: 100 s
LENGTHS = (10_000, 100_000, 1_000_000)  # records of the runs in which the driver's memory is looked at
REST = 5.0  # seconds between the start of the workers and a run
STORE = 100_000_000  # bytes of a node's object store
TEXT = "番目の文です。今日は天気がよいので、みんなで公園に行きました。帰りに駅前の店で買い物をしました。"


@dataclass(frozen=True, slots=True)
class Options:
    """What a record costs."""

    cost: Annotated[float, Option(help="Seconds.")] = COST


@dataclass(frozen=True, slots=True)
class Slept:
    """The length of a text."""

    length: int


def make(_models: object, options: Options, /) -> Any:
    """Return a function that takes a known time a record, one call after the other."""
    lock = threading.Lock()

    def sleep(texts: Sequence[Any]) -> list[Slept]:
        with lock:
            time.sleep(options.cost * len(texts))
        return [Slept(len(text)) for text in texts]

    return sleep


FAKE: jnlp.TaskSpec[Options, Slept] = jnlp.TaskSpec(
    "tests.benchmarks.scaling:FAKE", "Sleep.", Options, "tests.benchmarks.scaling:make", Slept
)


def records(count: int) -> Iterator[jnlp.Record]:
    """Yield records."""
    return (jnlp.Record(f"r{number}", f"{number}{TEXT}") for number in range(count))


def reset_peak() -> None:
    """Let this process's peak memory count from here."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> float:
    """Return this process's peak memory in MB."""
    (line,) = [line for line in Path("/proc/self/status").read_text("utf-8").splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1000


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor seconds since the start.

    Args:
        driver: This process.
        workers: The workers of the cluster.
        daemons: Ray's own processes.
        machine: All processes of the machine.
    """

    driver: float
    workers: float
    daemons: float
    machine: float

    def __sub__(self, other: Spent) -> Spent:
        """Return what was spent between two moments."""
        return Spent(*(a - b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    @property
    def ours(self) -> float:
        """What all processes of the run spent."""
        return self.driver + self.workers + self.daemons


def spent() -> Spent:
    """Return what this process, those that it started, and the machine have spent."""
    tick, found = os.sysconf("SC_CLK_TCK"), {}
    for place in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            fields = (place / "stat").read_text("utf-8").rpartition(")")[2].split()
            title = (place / "cmdline").read_bytes()
            found[int(place.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / tick, title
    sums = {"workers": 0.0, "daemons": 0.0}
    for number, (_, seconds, title) in found.items():
        above = number
        while above in found and above != os.getpid():
            above = found[above][0]
        if above == os.getpid() != number:
            sums["workers" if title.startswith(b"ray::Worker") else "daemons"] += seconds
    user, nice, system = map(int, Path("/proc/stat").read_text("utf-8").split()[1:4])
    return Spent(time.process_time(), **sums, machine=(user + nice + system) / tick)


@dataclass(frozen=True, slots=True)
class Timing:
    """A run: its seconds, the processor seconds of that time, and the driver's peak memory in MB."""

    seconds: float
    spent: Spent
    peak: float


def timed(nlp: jnlp.Engine, count: int, cost: float) -> Timing:
    """Run on workers that have started."""
    from jnlp_ray.cluster import connected
    from jnlp_ray.pool import Pool

    job = nlp.job(FAKE, cost=cost)
    with connected(job.settings) as cluster, Pool(job, cluster, nlp.usage) as pool:
        while pool.started < cluster.room():
            time.sleep(0.1)
        time.sleep(REST)
        reset_peak()
        start, before = time.perf_counter(), spent()
        done = sum(1 for _ in pool.outcomes(records(count)))
        assert done == count
        return Timing(time.perf_counter() - start, spent() - before, peak())


def overhead() -> list[str]:
    """Compare a run on one worker of a cluster that is started for it with a local one, on the fake encoder."""
    rows = [
        f"| {OVERHEAD:,} records | s | of which until the first result | driver's processor s |",
        "|---|---|---|---|",
    ]
    for name in ("local", "ray"):
        with machine(1) if name == "ray" else nullcontext():
            nlp = jnlp.load(executor=name, threads=1, device="cpu")
            start, own = time.perf_counter(), time.process_time()
            outcomes = nlp.outcomes(FAKE, records(OVERHEAD))
            next(outcomes)
            begun = time.perf_counter() - start
            for _ in outcomes:
                pass
            took, own = time.perf_counter() - start, time.process_time() - own
        rows.append(f"| {name} | {took:.1f} | {begun:.1f} | {own:.2f} |")
    return rows


def scaling(actors: Sequence[int], costs: Sequence[float], seconds: float) -> list[str]:
    """Measure how much of the ideal speed so many workers reach, and what the processes take of the machine's cores."""
    rows = [
        "| workers | ms a record | records | s | ideal s | efficiency | µs a record: driver | workers | Ray's daemons "
        "| cores in use | of which other jobs' |",
        "|" + "---|" * 11,
    ]
    for count in actors:
        with machine(count):
            nlp = jnlp.load(executor="ray", workers=count, threads=1, device="cpu")
            for cost in costs:
                total = int(count * seconds / cost)
                made = timed(nlp, total, cost)
                ideal, own, all_ = total * cost / count, made.spent, made.spent.machine
                parts = " | ".join(f"{part / total * 1e6:.0f}" for part in (own.driver, own.workers, own.daemons))
                cores = f"{all_ / made.seconds:.2f} of {os.cpu_count()} | {(all_ - own.ours) / made.seconds:.2f}"
                times = f"{made.seconds:.1f} | {ideal:.1f} | {ideal / made.seconds:.0%}"
                rows.append(f"| {count} | {cost * 1000:g} | {total:,} | {times} | {parts} | {cores} |")
                print(rows[-1], flush=True)
    return rows


def driver() -> list[str]:
    """Measure the driver alone: records that cost nothing, and its memory."""
    rows = ["| records that cost nothing, 4 workers | records/s | the driver's peak memory, MB |", "|---|---|---|"]
    with machine(4):
        nlp = jnlp.load(executor="ray", workers=4, threads=1, device="cpu")
        for total in LENGTHS:
            made = timed(nlp, total, 0.0)
            rows.append(f"| {total:,} | {total / made.seconds:,.0f} | {made.peak:,.0f} |")
    return rows


@contextmanager
def machine(cores: int) -> Iterator[None]:
    """Connect to a cluster of simulated nodes with so many cores; its head has none."""
    import ray
    from ray.cluster_utils import Cluster

    from jnlp_ray.cluster import connected

    cluster = Cluster()
    try:
        add_node(cluster, 0)
        for begun in range(0, cores, NODE):
            add_node(cluster, min(NODE, cores - begun))
        with connected(jnlp.Settings(executor="ray", ray_address=cluster.address)):
            yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def add_node(cluster: Any, cores: int) -> None:
    """Add a node; where a machine is busy, Ray's daemons may not start in time, so this tries again."""
    for last in (False, False, True):
        try:
            cluster.add_node(num_cpus=cores, object_store_memory=STORE, include_dashboard=False)
        except Exception:
            if last:
                raise
        else:
            return


def main() -> None:
    """Print the tables; with `--write`, put them between the page's marks too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--actors", default=",".join(map(str, ACTORS)), help="numbers of workers to measure")
    parser.add_argument("--costs", default=",".join(map(str, COSTS)), help="seconds of a record of the fake encoder")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="seconds that a run would ideally take")
    parser.add_argument("--parts", default="scaling,driver,overhead", help="tables to measure")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    given = parser.parse_args()
    actors = [int(part) for part in given.actors.split(",")]
    costs = [float(part) for part in given.costs.split(",")]
    parts: list[str] = []
    tables = {"scaling": lambda: scaling(actors, costs, given.seconds), "driver": driver, "overhead": overhead}
    for name in given.parts.split(","):
        parts.append("\n".join(tables[name]()))
        print(parts[-1], end="\n\n", flush=True)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    parts.append(f"Load of the machine meanwhile: {os.getloadavg()[2]:.0f} on {os.cpu_count()} cores, {today}.")
    print(parts[-1])
    made = "\n\n".join(parts)
    if given.write:
        PAGE.write_text(between(PAGE.read_text(encoding="utf-8"), "scaling", made), encoding="utf-8")


if __name__ == "__main__":
    main()
