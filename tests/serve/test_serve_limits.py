"""Limits and bad requests: one clear JSON error, never a 500, and the service goes on."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from jnlp_serve.app import create_app
from jnlp_serve.batching import Lane
from jnlp_serve.options import ServeOptions
from tests.serve.conftest import HERE

POSTS = {
    "/tasks/toxicity": "inputs",
    "/tasks/rerank": "inputs",
    "/tasks/search": "inputs",
    "/search": "query",
    "/embed": "inputs",
    "/embed_all": "inputs",
    "/similarity": "inputs",
    "/predict": "inputs",
    "/rerank": "query",
    "/tokenize": "inputs",
    "/decode": "ids",
    "/v1/embeddings": "input",
    "/v1/rerank": "query",
    "/": "inputs",
}
"""Each route that reads JSON, and a field of its body."""

BAD = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"1e999",
    b"\x00",
    b"\xff\xfe\x00",
    "猫".encode("cp932"),
    b"[" * 100_000,
    b'{"FIELD": null}',
    b'{"FIELD": 3}',
    b'{"FIELD": {"a": [1]}}',
    b'{"FIELD": [[[["a"]]]]}',
    b'{"FIELD": ["a", 4]}',
    rb'{"FIELD": "\ud800"}',
    rb'{"FIELD": ["a", "\u0000"]}',
    b'{"FIELD": "a" "b"}',
    b'{"FIELD": 1' + b"0" * 5_000 + b"}",
]
LONG = [b'{"FIELD": "' + "あ".encode() * 3_400_000 + b'"}', b'{"FIELD": ["' + b"a" * 10_000_000 + b'"]}']


def check(got, path: str, *statuses: int) -> None:
    assert got.status_code in statuses, got.text
    error = got.json()["error"]
    if path.startswith("/v1/"):
        assert set(error) == {"message", "type", "param", "code"}
        error = error["message"]
    else:
        assert got.json()["error_type"] in ("Validation", "Overloaded", "Backend", "Unhealthy")
    assert 5 < len(error) < 300
    assert "\n" not in error


@pytest.mark.parametrize("path", POSTS)
def test_a_bad_body_is_one_clear_error(client, path: str) -> None:
    for body in BAD:
        got = client.post(path, content=body.replace(b"FIELD", POSTS[path].encode()))
        check(got, path, 400, 422)
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("path", POSTS)
def test_ten_megabytes_are_too_many(client, path: str) -> None:
    for body in LONG:
        check(client.post(path, content=body.replace(b"FIELD", POSTS[path].encode())), path, 413)
    chunks = iter([b'{"FIELD": "'.replace(b"FIELD", POSTS[path].encode()), *[b"a" * 1_000_000] * 6, b'"}'])
    check(client.post(path, content=chunks), path, 413)  # without a length


def test_a_client_that_sends_all_before_it_reads_gets_the_answer(address) -> None:
    """Over a socket: without reading the body, closing the connection would reset it before the answer is read."""
    request = urllib.request.Request(f"{address}/embed", LONG[1].replace(b"FIELD", b"inputs"))  # Connection: close
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    with refused.value:
        assert refused.value.code == 413
        assert "bytes" in json.load(refused.value)["error"]


@pytest.mark.parametrize("sent", [b"GARBAGE\r\n\r\n", "GET /search?q=休暇 HTTP/1.1\r\nHost: x\r\n\r\n".encode()])
def test_what_is_no_request_is_one_json_error(address, sent: bytes) -> None:
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        connection.sendall(sent)
        head, _, body = b"".join(iter(lambda: connection.recv(10_000), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-security-policy" in head
    assert "percent-encoded" in json.loads(body)["error"]


def test_a_client_that_leaves_while_it_sends_a_file_is_no_bug(address, app, capsys) -> None:
    place, service = urlsplit(address), app.state.service
    line = json.dumps({"text": "東京の天気。" * 50}).encode() + b"\n"
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        connection.sendall(b"POST /tasks/pii/file HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
        assert connection.recv(100)
    end = time.monotonic() + 60
    while service.metrics.running._value.get() or service.batcher.waiting:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert "Traceback" not in capsys.readouterr().err


def test_a_long_line_of_a_file_is_an_error_and_the_others_are_answered(client) -> None:
    lines = b'{"text": "a"}\n{"text": "' + b"a" * 9_000_000 + b'"}\n{"text": "b"}\n'
    parts = iter([lines[start : start + 100_000] for start in range(0, len(lines), 100_000)])
    got = client.post("/tasks/toxicity/file", params={"options": '{"rules_only": true}'}, content=parts)
    rows = [json.loads(line) for line in got.text.splitlines()]
    assert [row["line"] for row in rows] == [1, 2, 3]
    assert rows[1]["error"] == "the line has more than 4,000,000 bytes"
    assert rows[2]["result"]["toxic"] is False


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tasks/toxicity", {"inputs": ["a"] * 41}),
        ("/embed", {"inputs": ["a"] * 41}),
        ("/v1/embeddings", {"input": ["a"] * 41}),
        ("/v1/rerank", {"query": "a", "documents": ["a"] * 41}),
    ],
)
def test_too_many_texts(client, path: str, body: dict) -> None:
    check(client.post(path, json=body), path, 413)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level": "x"}, "options.level: input should be 'strict', 'normal' or 'lenient'"),
        ({"threshold": 7}, "options.threshold: input should be less than or equal to 1"),
        ({"threshold": "0.5x"}, "options.threshold"),
        ({"words": ["/etc/passwd"]}, "options.words: extra inputs are not permitted"),
        ({"allow": ["/etc/passwd"]}, "options.allow"),
        ({"nope": 1}, "options.nope"),
    ],
)
def test_options_are_checked(client, options: dict, words: str) -> None:
    got = client.post("/tasks/toxicity", json={"inputs": "a", "options": options})
    check(got, "/tasks", 422)
    assert words in got.json()["error"]


def test_a_query_string_is_checked_too(client) -> None:
    for params in ({}, {"q": ""}, {"q": "a\0"}, {"q": "a", "top": "x"}, {"q": "a", "where": "((("}):
        check(client.get("/search", params=params), "/search", 422)
    assert client.get("/search?q=%ff%fe").status_code in (200, 422)


def test_unknown_pages_and_methods(client) -> None:
    check(client.get("/nothing"), "/nothing", 404)
    check(client.put("/embed", json={}), "/embed", 405)
    check(client.get("/v1/nothing"), "/v1/nothing", 404)


# --- load ---


@pytest.fixture
def busy(engine):
    """An application whose task `toxicity` waits for `go`."""
    go, began = threading.Event(), threading.Event()
    options = ServeOptions(max_requests=3, max_queue=20, timeout=0.5, tasks=("toxicity",))
    app = create_app(engine, {}, options, load=False)
    service = app.state.service
    service.ready = True

    def apply(texts):
        began.set()
        assert go.wait(10)
        return ["done"] * len(texts)

    lane = Lane("toxicity", apply)
    service.task_lane = lambda name, given: lane
    with TestClient(app, base_url=HERE) as client:
        yield client, service, go, began
    go.set()
    service.close()


def post_in_thread(client: TestClient, found: list) -> threading.Thread:
    thread = threading.Thread(target=lambda: found.append(client.post("/tasks/toxicity", json={"inputs": "a"})))
    thread.start()
    return thread


def test_at_capacity_the_answer_is_429_with_a_time(busy) -> None:
    client, service, go, began = busy
    found: list = []
    threads = [post_in_thread(client, found) for _ in range(3)]
    assert began.wait(10)
    while service.metrics.running._value.get() < 3:
        time.sleep(0.01)
    refused = client.post("/tasks/toxicity", json={"inputs": "a"})
    check(refused, "/tasks", 429)
    assert refused.json()["error_type"] == "Overloaded"
    assert int(refused.headers["retry-after"]) >= 1
    assert client.get("/health").status_code == 200  # what a supervisor asks is answered
    go.set()
    for thread in threads:
        thread.join()
    assert [got.status_code for got in found] == [200, 200, 200]
    assert client.post("/tasks/toxicity", json={"inputs": "a"}).status_code == 200


def test_a_full_queue_is_429(busy) -> None:
    client, _service, go, began = busy
    thread = post_in_thread(client, [])
    assert began.wait(10)
    second: list = []
    other = threading.Thread(target=lambda: second.append(client.post("/tasks/toxicity", json={"inputs": ["a"] * 20})))
    other.start()
    while _service.batcher.waiting < 20:
        time.sleep(0.01)
    check(client.post("/tasks/toxicity", json={"inputs": "a"}), "/tasks", 429)
    go.set()
    thread.join()
    other.join()
    assert second[0].status_code == 200


def test_what_takes_too_long_is_504_and_leaves_the_queue(busy) -> None:
    client, service, go, began = busy
    thread = post_in_thread(client, [])
    assert began.wait(10)
    check(client.post("/tasks/toxicity", json={"inputs": "a"}), "/tasks", 504)
    assert service.batcher.waiting == 0
    go.set()
    thread.join()


def test_a_search_that_takes_too_long_is_504(engine, folder) -> None:
    go = threading.Event()
    app = create_app(engine, {"a": folder / "a.idx"}, ServeOptions(timeout=0.2), load=False)
    service = app.state.service
    service.ready = True
    service.indexes.search = lambda *_: go.wait(10) and []
    with TestClient(app, base_url=HERE) as client:
        check(client.post("/search", json={"query": "休暇"}), "/search", 504)
        go.set()
        assert client.post("/search", json={"query": "休暇"}).status_code == 200
    service.close()


def test_until_the_models_are_loaded_the_answer_is_503(engine) -> None:
    app = create_app(engine, {}, ServeOptions(), load=False)
    with TestClient(app, base_url=HERE) as client:
        for path in ("/health", "/info"):
            check(client.get(path), path, 503)
        check(client.post("/embed", json={"inputs": "a"}), "/embed", 503)
    app.state.service.close()


def test_a_model_that_cannot_be_loaded_is_said(engine) -> None:
    app = create_app(engine, {}, ServeOptions(), models={"embed": "tiny-toxicity-x"}, load=False)
    app.state.service.load()
    with TestClient(app, base_url=HERE) as client:
        check(client.get("/health"), "/health", 503)
        assert "tiny-toxicity-x" in client.get("/health").json()["error"]
    app.state.service.close()


def test_a_bug_is_a_500_without_its_text_and_the_service_goes_on(engine, capsys) -> None:
    app = create_app(engine, {}, ServeOptions(tasks=("toxicity",)), load=False)
    app.state.service.ready = True

    def apply(texts):
        raise ZeroDivisionError("秘密の本文")

    app.state.service.task_lane = lambda name, given: Lane("toxicity", apply)
    with TestClient(app, base_url=HERE) as client:
        got = client.post("/tasks/toxicity", json={"inputs": "a"})
        check(got, "/tasks", 500)
        assert "秘密" not in got.text
        assert client.get("/health").status_code == 200
    assert "ZeroDivisionError" in capsys.readouterr().err
    app.state.service.close()
