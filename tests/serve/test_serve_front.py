"""The front of replicas: it answers as one application does, whatever becomes of a replica."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from jnlp.cli import build_cli
from jnlp.errors import JnlpError, UsageError
from jnlp.plugins import load_plugins
from jnlp.types import Settings
from jnlp_serve import server
from jnlp_serve.front import Front
from jnlp_serve.options import ServeOptions
from jnlp_serve.replica import answer
from jnlp_serve.security import Gate
from tests.serve.conftest import HERE

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "秘密の言葉".encode().hex()


class Here:
    """Replicas that are one application of this process; `meanwhile` is called before each answer."""

    most = 2

    def __init__(self, app: Any) -> None:
        self.app, self.asked, self.cancelled = app, 0, 0
        self.meanwhile: Callable[[int], Any] = lambda _: None
        self.problem: JnlpError | None = None

    def start(self) -> None:
        if self.problem is not None:
            raise self.problem

    async def ask(self, item: Any) -> Any:
        self.asked += 1
        try:
            waited = self.meanwhile(self.asked)
            if waited is not None:
                await waited
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await answer(self.app, item)

    async def ask_all(self, item: Any) -> dict[str, Any]:
        return {"one": await answer(self.app, item), "two": await answer(self.app, item)}


@pytest.fixture
def replicas(app) -> Here:
    return Here(app)


@pytest.fixture
def front(replicas: Here) -> Front:
    made = Front(ServeOptions(max_texts=40, timeout=5, max_bytes=100_000), replicas, log=None)
    made.load()
    return made


@pytest.fixture
def asked(front: Front) -> TestClient:
    return TestClient(front.app, base_url=HERE)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/", None),
        ("GET", "/?q=休暇", None),
        ("GET", "/static/page.css", None),
        ("GET", "/health", None),
        ("GET", "/info", None),
        ("GET", "/openapi.json", None),
        ("GET", "/tasks", None),
        ("GET", "/search?q=休暇は何日か", None),
        ("GET", "/documents/memo.txt", None),
        ("GET", "/nowhere", None),
        ("GET", "/embed", None),
        ("POST", "/embed", {"inputs": ["東京の天気", "猫の写真"]}),
        ("POST", "/v1/embeddings", {"model": "tiny-search", "input": "猫"}),
        ("POST", "/tasks/toxicity", {"inputs": "消えろ、クズ。"}),
        ("POST", "/tasks/toxicity", {"inputs": ["猫"] * 41}),
        ("POST", "/tasks/toxicity", {"inputs": "猫", "options": {"level": "none"}}),
        ("POST", "/tasks/toxicity/file?options={", None),
    ],
)
def test_answers_are_those_of_the_application(asked: TestClient, client, method: str, path: str, body: Any) -> None:
    ours, plain = (one.request(method, path, json=body, follow_redirects=False) for one in (asked, client))
    assert (ours.status_code, ours.content) == (plain.status_code, plain.content)
    same = {name: value for name, value in ours.headers.items() if name != "x-compute-time"}
    assert same.keys() >= {"content-security-policy", "cache-control"}
    assert {name: value for name, value in plain.headers.items() if name in same} == same


def file_of(count: int) -> bytes:
    """Return a file in which some lines are empty, no JSON, or too long."""
    rows = []
    for number in range(count):
        row = json.dumps({"text": f"{number}番目のクズ。", "id": f"r{number}"}, ensure_ascii=False)
        odd = {3: "", 60: "{", 70: "   ", 90: '{"text": "' + "あ" * 40_000 + '"}', 130: '{"id": 1}'}
        rows.append(odd.get(number, row))
    return "\n".join(rows).encode()


@pytest.mark.parametrize(("count", "parts"), [(0, 1), (1, 1), (65, 1), (66, 2), (300, 5)])
def test_a_file_is_answered_in_parts_as_a_whole(asked: TestClient, replicas: Here, app, count: int, parts: int) -> None:
    content = file_of(count)
    app.state.service.options, before = ServeOptions(max_bytes=100_000), app.state.service.options
    try:
        with TestClient(app, base_url=HERE) as client:
            plain = client.post("/tasks/toxicity/file", content=content)
    finally:
        app.state.service.options = before
    ours = asked.post("/tasks/toxicity/file", content=content)
    assert ours.status_code == 200
    assert [json.loads(line) for line in ours.text.splitlines()] == [
        json.loads(line) for line in plain.text.splitlines()
    ]
    assert replicas.asked == parts
    assert ours.headers["content-type"] == plain.headers["content-type"]


def test_a_part_of_a_file_that_fails_is_errors_of_its_lines(asked: TestClient, replicas: Here) -> None:
    def fail(number: int) -> None:
        if number == 2:
            raise JnlpError("no replica answers")

    replicas.meanwhile = fail
    rows = [json.dumps({"text": "猫"}) for _ in range(130)]
    found = [json.loads(line) for line in asked.post("/tasks/pii/file", content="\n".join(rows)).text.splitlines()]
    assert [row["line"] for row in found] == list(range(1, 131))
    assert [row["line"] for row in found if "error" in row] == list(range(65, 129))
    assert found[64]["error"] == "no replica answers"


def test_no_replica_is_a_503(asked: TestClient, replicas: Here) -> None:
    def fail(_: int) -> None:
        raise JnlpError("no replica answers", hint="again")

    replicas.meanwhile = fail
    for path in ("/embed", "/tasks/pii/file"):
        got = asked.post(path, json={"inputs": "猫"})
        assert (got.status_code, got.json()["error"]) == (503, "no replica answers (again)")
        assert got.headers["retry-after"] == "5"


def test_a_request_that_takes_too_long_is_called_off(replicas: Here) -> None:
    front = Front(ServeOptions(timeout=0.1), replicas, log=None)
    front.load()
    replicas.meanwhile = lambda _: asyncio.sleep(60)
    client = TestClient(front.app, base_url=HERE)
    start = time.monotonic()
    got = client.post("/embed", json={"inputs": "猫"})
    assert (got.status_code, got.json()["error_type"]) == (504, "Backend")
    assert time.monotonic() - start < 10
    assert replicas.cancelled == 1


def test_the_limits_and_the_token_hold(replicas: Here) -> None:
    lines: list[str] = []
    front = Front(ServeOptions(token=TOKEN, max_bytes=1_000, max_requests=3), replicas, log=lines.append)
    front.load()
    assert front.options.max_requests == 6
    client = TestClient(front.app, base_url=HERE)
    assert client.get("/").status_code == 401
    assert client.get("/metrics").status_code == 401
    given = {"Authorization": f"Bearer {TOKEN}"}
    assert client.post("/embed", content=b"x" * 1_001, headers=given).status_code == 413
    assert replicas.asked == 0
    assert client.get("/tasks", headers=given).status_code == 200
    last = json.loads(lines[-1])
    assert (last["route"], last["status"]) == ("/tasks", 200)


def test_replicas_have_no_token() -> None:
    from jnlp_serve.job import Job

    job = Job(ServeOptions(token=TOKEN), Settings(), {}, {})
    assert TOKEN not in job.behind().to_json()
    gate = Gate(job.behind().options)
    gate.check("/embed", {b"host": b"jnlp.example.org"})  # the front has checked it


def test_metrics_are_those_of_the_front_and_of_each_replica(asked: TestClient) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    asked.post("/tasks/pii", json={"inputs": "山田太郎"})
    families = {family.name: family for family in text_string_to_metric_families(asked.get("/metrics").text)}
    requests = [s for s in families["jnlp_requests"].samples if s.name == "jnlp_requests_total"]
    assert [(s.labels, s.value) for s in requests] == [
        ({"route": "/tasks/pii", "method": "POST", "status": "200"}, 1.0)
    ]
    ready = {s.labels["replica"]: s.value for s in families["jnlp_ready"].samples}
    assert ready == {"one": 1.0, "two": 1.0}
    counts = [s for s in families["jnlp_batch_texts"].samples if s.name == "jnlp_batch_texts_count"]
    assert {(s.labels["replica"], s.labels["task"]) for s in counts} >= {("one", "pii"), ("two", "pii")}


def test_it_is_ready_when_the_replicas_are(replicas: Here) -> None:
    front = Front(ServeOptions(), replicas, log=None)
    client = TestClient(front.app, base_url=HERE)
    assert client.get("/health").status_code == 503
    assert client.get("/metrics").status_code == 200
    front.stopping = True
    assert client.post("/embed", json={"inputs": "猫"}).json()["error"] == "the service is stopping"
    replicas.problem = JnlpError("the model is broken", hint="fetch it again")
    Front(ServeOptions(), replicas, log=None).load()  # with no server to stop
    stopped: list[bool] = []
    front.on_problem = lambda: stopped.append(True)
    front.load()
    assert (stopped, front.problem) == ([True], replicas.problem)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--executor", "nowhere"), "nowhere"),
        (("--executor", "ray", "--background", "--idle", "0"), "in the background is one process of this machine"),
        (("--executor", "ray", "--idle", "60"), "leaves when it is idle"),
        (("--executor", "ray", "--workers", "2", "--min-replicas", "3"), "--min-replicas 3 is more than --workers 2"),
    ],
)
def test_what_replicas_cannot_do_is_one_line(
    flags: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "run", lambda *_, **__: pytest.fail("it was served"))
    done = CliRunner().invoke(build_cli(load_plugins()), ["serve", *flags])
    assert done.exit_code == 2, done.output
    assert words in done.output


def test_an_executor_without_replicas_is_named(engine) -> None:
    from jnlp_serve.job import replica_executor

    with pytest.raises(UsageError, match="--executor local serves nothing"):
        replica_executor(engine)
