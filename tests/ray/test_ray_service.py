"""A service that Ray Serve's own proxies hand requests to, as KubeRay deploys it: the token holds, routes answer."""

from __future__ import annotations

import json
import socket
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest

from jnlp.errors import UsageError
from jnlp_ray.service import application, described

if TYPE_CHECKING:
    from collections.abc import Iterator

    Nodes = Any  # of conftest

TOKEN = "秘密の言葉".encode().hex()


def test_a_part_of_another_name_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no 'index' of a service"):
        described({"index": {"rules": "rules.idx"}})


@pytest.fixture(scope="module")
def address(nodes: Nodes) -> Iterator[str]:
    pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
    serve = pytest.importorskip("ray.serve", reason="the extra 'ray' is not installed")
    import ray

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        settings = {"device": "cpu", "dtype": "fp32", "threads": 1}
        serve.run(application({"settings": settings, "options": {"tasks": ["embed"], "token": TOKEN}}))
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()
        ray.shutdown()


def ask(address: str, body: object, token: str) -> tuple[int, Any]:
    head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        asked = urllib.request.Request(f"{address}/embed", json.dumps(body).encode(), head)
        with urllib.request.urlopen(asked, timeout=60) as got:
            return got.status, json.loads(got.read())
    except HTTPError as error:
        with error:
            return error.code, None


def test_a_deployed_service_answers_those_who_have_the_token(address: str) -> None:
    import jnlp

    texts = ["東京の天気", "猫"]
    assert ask(address, {"inputs": texts}, "0" * 20)[0] == 401
    status, found = ask(address, {"inputs": texts}, TOKEN)
    assert status == 200
    local = jnlp.load(device="cpu", dtype="fp32", threads=1).run("embed", texts)
    for ours, theirs in zip(found, local, strict=True):
        assert ours == pytest.approx(list(theirs.vector), abs=1e-4)
