"""The command `jnlp serve`: where it listens, when it is ready, how it stops, several processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.config import Settings
from jnlp.errors import UsageError
from jnlp.plugins import load_plugins
from jnlp_serve import server
from jnlp_serve.job import named_indexes, task_models
from jnlp_serve.options import ServeOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_a_job_is_sent_to_workers_as_json() -> None:
    job = server.Job(
        ServeOptions(port=1, tasks=("pii",)), Settings(threads=1), {"a": "/a.idx"}, {"embed": "tiny"}, "/x"
    )
    assert server.Job.from_json(job.to_json()) == job


def test_indexes_have_names(folder: Path, tmp_path: Path) -> None:
    index = folder / "a.idx"
    assert named_indexes([str(index), f"faq={index}"]) == {"a": str(index), "faq": str(index)}
    with pytest.raises(UsageError, match="two indexes are called 'a'"):
        named_indexes([str(index), f"a={index}"])
    with pytest.raises(UsageError, match="there is no index at"):
        named_indexes([str(tmp_path)])


def test_models_belong_to_tasks() -> None:
    assert task_models(["x", "rerank=y"]) == {"embed": "x", "rerank": "y"}
    with pytest.raises(UsageError, match="two models"):
        task_models(["x", "embed=y"])


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[server.Job]:
    """The jobs that commands would serve."""
    jobs: list[server.Job] = []
    monkeypatch.setattr(server, "run", lambda job, engine, quiet: jobs.append(job))
    return jobs


def call(*arguments: str, **variables: str) -> Any:
    return CliRunner().invoke(build_cli(load_plugins()), ["serve", *arguments], env=variables)


def test_every_option_reaches_the_service(served: list[server.Job], folder: Path) -> None:
    done = call(
        *("--host", "0.0.0.0", "--port", "0", "--allow-anyone", "--tasks", "pii,embed", "--max-bytes", "5000"),
        *(
            "--max-texts",
            "7",
            "--max-requests",
            "8",
            "--max-queue",
            "9",
            "--timeout",
            "3",
            "--wait",
            "0",
            "--grace",
            "4",
        ),
        *("--index", str(folder / "a.idx"), "--model", "tiny-search", "--workers", "2", "--threads", "1", "-q"),
        JNLP_SERVE_TOKEN="0123456789",
    )
    assert done.exit_code == 0, done.output
    (job,) = served
    assert job.options == ServeOptions("0.0.0.0", 0, "0123456789", True, ("pii", "embed"), 5000, 7, 8, 9, 3, 0, 4)
    assert (job.settings.workers, job.settings.threads, job.models) == (2, 1, {"embed": "tiny-search"})
    assert job.settings.model is None, "the model of embeddings is not that of the other tasks"
    assert call("--token", "abcdefghij").exit_code == 0
    assert served[1].options.token == "abcdefghij"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tasks", "toxicty"), "toxicty"),
        (("--model", "toxicty=tiny"), "toxicty"),
        (("--index", "nowhere.idx"), "there is no index at nowhere.idx"),
        (("--port", "70000"), "65535"),
        (("--max-requests", "0"), "≥ 1"),
    ],
)
def test_wrong_calls_are_told_before_anything_is_loaded(
    served: list[server.Job], arguments: tuple[str, ...], words: str
) -> None:
    done = call(*arguments)
    assert done.exit_code == 2
    assert words in done.output.replace("65,535", "65535")
    assert not served


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = call("--port", str(taken.getsockname()[1]))
    assert done.exit_code == 1
    assert "address already in use" in done.output


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `jnlp serve` in a process, give it and its address once it is ready."""
    command = [sys.executable, "-m", "jnlp", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, encoding="utf-8", env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        address = re.search(r"http://\S+", first)[0]  # type: ignore[index]
        while not is_answered(f"{address}/health"):
            assert process.poll() is None
            time.sleep(0.2)
        yield process, address
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]


def is_answered(address: str) -> bool:
    """Return whether a request is answered with 200; a service that starts on a busy machine may take its time."""
    try:
        with urllib.request.urlopen(address, timeout=10):
            return True
    except OSError:
        return False


def is_open(host: str | None, port: int | None) -> bool:
    """Return whether anybody listens on a port."""
    with socket.socket() as connection:
        return connection.connect_ex((host, port)) == 0


def post(address: str, value: object) -> Any:
    data = json.dumps(value).encode()
    return json.loads(urllib.request.urlopen(address, data, timeout=60).read())


@pytest.mark.slow
def test_running_requests_are_finished_before_it_stops() -> None:
    import threading

    with running("--tasks", "embed") as (process, address):
        found: list[Any] = []
        body = {"inputs": ["東京の天気は晴れです。" * 40] * 40}
        asking = threading.Thread(target=lambda: found.append(post(f"{address}/embed", body)))
        asking.start()
        while "jnlp_requests_running 1.0" not in urllib.request.urlopen(f"{address}/metrics").read().decode():
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        asking.join(60)
        assert len(found[0]) == 40
        assert process.wait(60) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)


@pytest.mark.slow
def test_several_processes_share_the_port_and_the_counts() -> None:
    with running("--tasks", "embed", "--workers", "2") as (process, address):
        assert len(post(f"{address}/embed", {"inputs": "猫"})[0]) == 384
        text = urllib.request.urlopen(f"{address}/metrics").read().decode()
        assert 'jnlp_requests_total{method="POST",route="/embed",status="200"} 1.0' in text
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.mark.slow
def test_processes_do_not_outlive_the_one_that_started_them() -> None:
    with running("--tasks", "pii", "--workers", "2") as (process, address):
        assert post(f"{address}/tasks/pii", {"inputs": "猫"}) == {"results": [{"spans": []}]}
        process.kill()
        place, end = urlsplit(address), time.monotonic() + 60
        while is_open(place.hostname, place.port):
            assert time.monotonic() < end, "a process is left"
            time.sleep(0.1)


@pytest.mark.slow
def test_the_answers_are_as_openapi_says(client) -> None:
    """Schemathesis makes requests from the description, right ones and wrong ones, and checks the answers."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st
    from schemathesis.checks import not_a_server_error

    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    operations = [found.ok() for found in schema.exclude(path_regex="/file$").get_all_operations()]
    assert len(operations) > 25

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(operations))
        case = data.draw(operation.as_strategy())
        got = client.request(
            case.method,
            case.formatted_path,
            params=case.query or None,
            content=None if case.body is None or not isinstance(case.body, bytes | str) else case.body,
            json=case.body if isinstance(case.body, dict | list) else None,
        )
        assert got.status_code < 500 or got.status_code in (503, 504), (case.method, case.path, got.text)
        if got.headers["content-type"] == "application/json":
            got.json()

    assert not_a_server_error
    ask()
