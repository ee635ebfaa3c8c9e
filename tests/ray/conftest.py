"""Clusters of this machine: several raylets, each with resources of its own."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

STORE = 80 * 1024 * 1024
"""Bytes of a node's object store."""

PLUGIN = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jnlp


@dataclass(frozen=True, slots=True)
class Options:
    log: Annotated[Path, jnlp.Option(help="A folder.")] = Path("log")
    seconds: Annotated[float, jnlp.Option(help="Seconds of a text.")] = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    length: int


def fill_disk(when):
    if os.environ.get("SEEING_DISK_FULL") == when:
        Path("/dev/full").write_text("a file of this node")


def make(models, options):
    fill_disk("start")
    if (options.log / "unable").exists():
        raise jnlp.JnlpError("the model is broken", hint="fetch it again")

    def see(texts):
        options.log.mkdir(exist_ok=True)
        (options.log / str(os.getpid())).write_text(os.environ.get("JNLP_WHERE", ""))
        time.sleep(options.seconds * len(texts))
        fill_disk("text")
        for text in texts:
            if "poison" in text:
                os.kill(os.getpid(), signal.SIGKILL)
            if "bad" in text:
                raise jnlp.RecordError("a bad text")
        return [Seen(len(text)) for text in texts]

    return see


SEE = jnlp.TaskSpec("see", "See texts.", Options, "seeing:make", Seen)


@jnlp.hookimpl
def register_tasks(register):
    register("see", "seeing:SEE", summary="See texts.")
"""


def ray_or_skip() -> Any:
    """Return Ray, or skip the test."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    return pytest.importorskip("ray", reason="the extra 'ray' is not installed")


def start_node(cluster: Any, cpus: int, **more: Any) -> Any:
    """Add a node; a raylet gives up after seconds where a machine is busy, so this tries again."""
    for last in (False, False, True):
        try:
            return cluster.add_node(num_cpus=cpus, object_store_memory=STORE, include_dashboard=False, **more)
        except Exception:
            if last:
                raise
    return None


@dataclass
class Nodes:
    """A cluster of raylets on this machine.

    Args:
        cluster: The cluster; its head has no cores.
        nodes: The other nodes.
    """

    cluster: Any
    nodes: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, cpus: int = 1, **more: Any) -> Any:
        node = start_node(self.cluster, cpus, **more)
        self.nodes.append(node)
        return node

    def remove(self, node: Any) -> None:
        """Kill a node and all that runs there."""
        self.nodes.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package with the task `see`, installed for this process and its workers."""
    place = tmp_path_factory.mktemp("site")
    (place / "seeing.py").write_text(textwrap.dedent(PLUGIN), encoding="utf-8")
    about = place / "seeing-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: seeing\nVersion: 1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[jnlp]\nseeing = seeing\n", encoding="utf-8")
    sys.path.insert(0, str(place))
    yield place
    sys.path.remove(str(place))
    sys.modules.pop("seeing", None)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A cluster of a head without cores and two nodes with one each."""
    ray_or_skip()
    from ray.cluster_utils import Cluster

    made = Nodes(Cluster())
    start_node(made.cluster, 0)
    made.add()
    made.add()
    yield made
    made.cluster.shutdown()


class Command:
    """Runs commands in this process; they must succeed, or end with `code`."""

    def __init__(self, cli: Any) -> None:
        self._cli = cli

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Return what the command said on stderr."""
        return self._run(arguments, code).stderr

    def out(self, *arguments: str, code: int = 0) -> str:
        """Return what it printed."""
        return self._run(arguments, code).stdout

    def _run(self, arguments: tuple[str, ...], code: int) -> Result:
        done = CliRunner().invoke(self._cli, list(arguments))
        assert done.exit_code == code, (done.output, done.exception)
        assert "raylet" not in done.stdout  # Ray's daemons say nothing among the results
        return done


@pytest.fixture
def jnlp_command() -> Command:
    """The command line with the plugins that are installed, and the one for Ray."""
    from jnlp.cli import build_cli
    from jnlp.plugins import import_candidate, installed, load_plugins

    found = installed()
    if all(candidate.name != "ray" for candidate in found):
        found.append(import_candidate("ray", "jnlp_ray"))
    return Command(build_cli(load_plugins(found)))


@pytest.fixture
def texts(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of numbered texts; those of `odd` have other text."""

    def write(count: int, odd: dict[int, str] | None = None) -> Path:
        lines = ((odd or {}).get(n) or f"{n}番目の文です。今日は{n % 13}人で公園に行きました。" for n in range(count))
        rows = (json.dumps({"id": f"r{n}", "text": text}, ensure_ascii=False) for n, text in enumerate(lines))
        path = tmp_path / "in.jsonl"
        path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
        return path

    return write
