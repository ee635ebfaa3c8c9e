"""Who is answered, and what a browser may do with the answers."""

from __future__ import annotations

import base64
import json

import pytest
from starlette.testclient import TestClient

from jnlp.errors import UsageError
from jnlp.options import fields
from jnlp.registry import Kind
from jnlp_serve.app import create_app
from jnlp_serve.options import ServeOptions
from jnlp_serve.security import check_exposure, is_loopback
from tests.serve.conftest import HERE

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.evil.jp", False),
        ("", False),
    ],
)
def test_loopback(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_another_address_needs_a_token() -> None:
    with pytest.raises(UsageError, match="others can reach"):
        check_exposure(ServeOptions(host="0.0.0.0"))
    check_exposure(ServeOptions(host="0.0.0.0", token=TOKEN))
    check_exposure(ServeOptions(host="0.0.0.0", allow_anyone=True))
    with pytest.raises(UsageError, match="shorter than 8"):
        check_exposure(ServeOptions(token="short"))


@pytest.fixture(scope="module")
def guarded(engine):
    app = create_app(engine, {}, ServeOptions(token=TOKEN, tasks=("pii",)), load=False)
    app.state.service.ready = True
    with TestClient(app, base_url="http://serve.example.jp") as client:
        yield client
    app.state.service.close()


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"user:{password}".encode()).decode()


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer  {TOKEN} ", basic(TOKEN)])
def test_the_token_opens(guarded, header: str) -> None:
    assert guarded.get("/tasks", headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", TOKEN, f"Token {TOKEN}", basic("x"), "Basic ÿ", f"Bearer {TOKEN}x", "Bearer 猫"],
)
def test_nothing_else_opens(guarded, header: str) -> None:
    got = guarded.get("/tasks", headers={"Authorization": header.encode("utf-8")} if header else {})
    assert got.status_code == 401
    assert got.headers["www-authenticate"].startswith("Bearer")
    assert TOKEN not in got.text
    for path in ("/", "/docs", "/openapi.json", "/metrics", "/search?q=a", "/documents/x", "/v1/models"):
        assert guarded.get(path).status_code == 401, path
    assert guarded.get("/health").status_code == 200


def test_a_browser_is_asked_for_a_password(guarded) -> None:
    got = guarded.get("/docs", headers={"Accept": "text/html,*/*"})
    assert got.headers["www-authenticate"].startswith("Basic")


def test_pages_of_other_sites_are_refused(client, guarded) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
        assert client.get("/tasks", headers={"Origin": origin}).status_code == 403
    assert client.get("/tasks", headers={"Origin": HERE}).status_code == 200
    got = guarded.options("/embed", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"})
    assert got.status_code == 403
    assert "access-control-allow-origin" not in got.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a" * 300])
def test_another_name_for_this_machine_is_refused(client, host: str) -> None:
    """A page whose name is made to point here (DNS rebinding) sends its own name as Host."""
    assert client.get("/tasks", headers={"Host": host}).status_code == 403


def test_every_answer_has_the_headers(client) -> None:
    for path in ("/health", "/docs", "/nothing", "/tasks", "/metrics"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_options_that_name_files_are_never_taken_from_a_request(engine) -> None:
    """Each option that is a path, or has the placeholder of one, is marked as local."""
    placeholders = {"FILE", "FILES", "DIR", "PATH", "FOLDER", "MODEL"}
    for entry in engine.plugins.registry.entries(Kind.TASK):
        for field in fields(engine.task(entry.name).options):
            if field.option.metavar in placeholders:
                assert field.option.local, (entry.name, field.name)


def test_the_log_has_no_texts(engine) -> None:
    lines: list[str] = []
    app = create_app(engine, {}, ServeOptions(tasks=("pii",)), log=lines.append, load=False)
    app.state.service.ready = True
    with TestClient(app, base_url=HERE) as client:
        client.post("/tasks/pii", json={"inputs": "秘密の本文"})
        client.get("/search", params={"q": "秘密の問い"})
        client.get("/documents/秘密の名")
        client.get("/秘密の頁")
    app.state.service.close()
    rows = [json.loads(line) for line in lines]
    assert [(row["method"], row["route"], row["status"]) for row in rows] == [
        ("POST", "/tasks/pii", 200),
        ("GET", "/search", 404),
        ("GET", "/documents/{id:path}", 404),
        ("GET", "other", 404),
    ]
    assert rows[0].keys() == {"time", "method", "route", "status", "ms", "bytes", "client"}
    assert "秘密" not in "".join(lines)
