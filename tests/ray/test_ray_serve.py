"""`jnlp serve --executor ray`: the answers of a plain service, replicas by load, and no request lost with a replica."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

import jnlp
from jnlp.errors import JnlpError
from jnlp.testing import make_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    Nodes = Any  # of conftest

TOKEN = "秘密の言葉".encode().hex()
PATIENCE = 180.0
"""Seconds to wait for what a busy machine does slowly."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def ask(address: str, path: str, body: object = None, token: str | None = TOKEN) -> tuple[int, bytes]:
    """Return the status and the body of an answer."""
    given = {} if token is None else {"Authorization": f"Bearer {token}"}
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, data, given), timeout=PATIENCE) as got:
            return got.status, got.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def check_close(ours: Any, plain: Any) -> None:
    """Compare values; numbers to rounding, since processes may compute with different libraries."""
    if isinstance(ours, dict):
        assert ours.keys() == plain.keys()
        ours, plain = list(ours.values()), list(plain.values())
    if isinstance(ours, list):
        assert len(ours) == len(plain)
        for one, other in zip(ours, plain, strict=True):
            check_close(one, other)
    elif isinstance(ours, float):
        assert ours == pytest.approx(plain, abs=1e-4)
    else:
        assert ours == plain


def wait_until(condition: Any, process: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.2)


def is_healthy(address: str, status: int = 200) -> bool:
    """Return whether the service is ready, or, with 503, whether it listens and is not."""
    with suppress(URLError):
        return ask(address, "/health")[0] == status
    return False


def replicas() -> list[int]:
    """Return the processes of replicas."""
    found = []
    for place in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if (place / "cmdline").read_bytes().startswith(b"ray::ServeReplica:jnlp-"):
                found.append(int(place.name))
    return found


def command(nodes: Nodes, *flags: str) -> list[str]:
    start = [sys.executable, "-m", "jnlp", "serve", "--port", "0", "--device", "cpu", "--dtype", "fp32"]
    start += ["--threads", "1", "--executor", "ray", "--ray-address", nodes.address, "--timeout", str(PATIENCE)]
    return [*start, *flags]


@contextmanager
def serving(nodes: Nodes, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the service; gives its process and its address, when it is ready."""
    variables = {**os.environ, "JNLP_SERVE_TOKEN": TOKEN}
    process = subprocess.Popen(command(nodes, *flags), stderr=subprocess.PIPE, encoding="utf-8", env=variables)
    assert process.stderr is not None
    try:
        address = re.search(r"http://\S+", process.stderr.readline())[0]  # type: ignore[index]
        threading.Thread(target=process.stderr.read, daemon=True).start()  # the log must not fill the pipe
        wait_until(lambda: is_healthy(address), process)
        yield process, address
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("index")
    with jnlp.load(device="cpu", dtype="fp32", threads=1).index(root / "a.idx") as made:
        made.add([jnlp.Record("規程", "# 就業規則\n\n第一条　休暇は年二十日とする。"), jnlp.Record("猫", "猫の写真。")])
    return root / "a.idx"


@pytest.fixture(scope="module")
def served(nodes: Nodes, index: Path) -> Iterator[str]:
    """The address of a service with two replicas."""
    flags = ("--index", str(index), "--min-replicas", "2", "--workers", "2", "--max-bytes", "5000")
    with serving(nodes, *flags) as (_, address):
        yield address


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/?q=%E4%BC%91%E6%9A%87", None),
        ("/tasks", None),
        ("/openapi.json", None),
        ("/search?q=%E4%BC%91%E6%9A%87", None),
        ("/nowhere", None),
        ("/embed", {"inputs": ["東京の天気", "猫"]}),
        ("/embed", {"inputs": ["東京の天気です。" * 400]}),
        ("/tasks/toxicity", {"inputs": "消えろ、クズ。"}),
        ("/tasks/pii/file", "\n".join(f'{{"text": "田中{n}郎です。"}}' for n in range(200)).encode()),
    ],
)
def test_answers_are_those_of_a_plain_service(served: str, index: Path, path: str, body: object) -> None:
    from starlette.testclient import TestClient

    from jnlp_serve.app import create_app
    from jnlp_serve.options import ServeOptions

    engine = jnlp.load(device="cpu", dtype="fp32", threads=1)
    app = create_app(engine, {"a": index}, ServeOptions(max_bytes=5000), load=False)
    app.state.service.load()
    method = "GET" if body is None else "POST"
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    plain = TestClient(app, base_url="http://127.0.0.1").request(method, path, content=content)
    app.state.service.close()
    status, found = ask(served, path, body)
    assert status == plain.status_code
    if path.startswith(("/embed", "/tasks/toxicity", "/search")) and status == 200:
        check_close(json.loads(found), plain.json())
    else:
        assert found == plain.content


def test_the_token_holds(served: str) -> None:
    assert ask(served, "/", token=None)[0] == 401
    assert ask(served, "/tasks", token="0" * 20)[0] == 401
    assert ask(served, "/health", token=None)[0] == 200


def test_a_replica_that_is_killed_costs_no_request(served: str) -> None:
    wait_until(lambda: len(replicas()) == 2)
    count, clients = 240, 6
    found: list[tuple[int, int]] = []
    pages: list[int] = []
    numbers = iter(range(count))
    lock, over = threading.Lock(), threading.Event()

    def client() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            text = f"{number}番目の文です。今日は天気がよいので、公園に行きました。"
            status, body = ask(served, "/embed", {"inputs": [text] * 4})
            with lock:
                found.append((status, len(json.loads(body))))

    def visitor() -> None:
        while not over.is_set():
            pages.append(ask(served, "/?q=%E4%BC%91%E6%9A%87")[0])
            time.sleep(0.1)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    looking = threading.Thread(target=visitor)
    for thread in (*threads, looking):
        thread.start()
    wait_until(lambda: len(found) > count // 6)
    first = replicas()
    os.kill(first[0], signal.SIGKILL)
    for thread in threads:
        thread.join()
    over.set()
    looking.join()
    assert found == [(200, 4)] * count
    assert len(pages) > 3
    assert set(pages) == {200}
    wait_until(lambda: len(set(replicas()) - {first[0]}) == 2)  # it is replaced


@pytest.fixture
def room(nodes: Nodes) -> Iterator[Nodes]:
    """The cluster with room for two replicas more."""
    node = nodes.add(2)
    yield nodes
    nodes.remove(node)


@pytest.mark.slow
def test_there_are_more_replicas_under_load(room: Nodes) -> None:
    with serving(room, "--tasks", "embed", "--workers", "2", "--max-requests", "16") as (_, address):
        assert ask(address, "/metrics")[1].count(b"jnlp_ready{") == 1
        over = threading.Event()

        def client() -> None:
            while not over.is_set():
                ask(address, "/embed", {"inputs": ["今日は天気がよいので、公園に行きました。" * 20] * 8})

        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: ask(address, "/metrics")[1].count(b"jnlp_ready{") == 2)
        finally:
            over.set()
            for thread in threads:
                thread.join()


@pytest.mark.slow
def test_replicas_end_with_the_process_that_wanted_them(room: Nodes) -> None:
    before = set(replicas())
    for number in (signal.SIGKILL, signal.SIGTERM):
        with serving(room, "--tasks", "embed", "--workers", "2") as (process, _):
            assert set(replicas()) - before
            process.send_signal(number)
            process.wait(60)
            wait_until(lambda: not set(replicas()) - before)


@pytest.mark.slow
def test_it_can_be_stopped_while_it_waits_for_room(nodes: Nodes) -> None:
    process = subprocess.Popen(command(nodes, "--min-replicas", "50"), stderr=subprocess.PIPE, encoding="utf-8")
    assert process.stderr is not None
    address = re.search(r"http://\S+", process.stderr.readline())[0]  # type: ignore[index]
    wait_until(lambda: is_healthy(address, 503), process)
    time.sleep(3)  # it waits for replicas now
    process.send_signal(signal.SIGTERM)
    assert "Traceback" not in process.communicate(timeout=PATIENCE)[1]


def test_a_model_that_cannot_be_loaded_is_one_line(room: Nodes, tmp_path: Path) -> None:
    model = make_model(tmp_path / "broken", layers=1)
    (model / "model.safetensors").write_bytes(b"no weights")
    done = subprocess.run(command(room, "--model", str(model), "-q"), stderr=subprocess.PIPE, encoding="utf-8")
    assert done.returncode == 1, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("jnlp: error: ")]
    assert str(model) in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("absent", ["ray", "ray.serve"])
def test_without_ray_is_one_line(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from jnlp_ray.replicas import replicas as wanted

    if absent == "ray.serve":
        ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
        monkeypatch.delattr(ray, "serve", raising=False)
    monkeypatch.setitem(sys.modules, absent, None)
    with (
        pytest.raises(JnlpError, match="needs the extra 'ray'"),
        wanted(jnlp.Settings(), "x:y", (), least=1, at_once=1),
    ):
        pass
