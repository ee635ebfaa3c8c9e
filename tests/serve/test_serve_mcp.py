"""`jnlp mcp`: the tools through the protocol's own client, in this process, over stdio and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")

from click.testing import CliRunner
from mcp import Client, StdioServerParameters, stdio_client

from jnlp.cli import build_cli
from jnlp_serve.indexes import Indexes
from jnlp_serve.mcp_server import LONGEST, make_server


def ask(server, *calls):
    """Return the results of calls of tools, as JSON or as the message of an error."""

    async def run():
        async with Client(server) as client:
            names = sorted(tool.name for tool in (await client.list_tools()).tools)
            assert names == ["get_document", "list_indexes", "search"]
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    made = []
    for result in asyncio.run(run()):
        text = result.content[0].text
        made.append(text if result.is_error else json.loads(text))
    return made


@pytest.fixture
def server(engine, folder):
    indexes = Indexes({"a": str(folder / "a.idx")}, engine)
    yield make_server(indexes)
    indexes.close()


def test_search_and_the_text_around_a_hit(server):
    listed, found = ask(server, ("list_indexes", {}), ("search", {"query": "休暇は何日か", "top": 2}))
    assert listed["indexes"][0]["name"] == "a"
    assert listed["indexes"][0]["documents"] == 6
    hit = found["hits"][0]
    assert "二十日" in hit["text"]
    assert hit["headings"][:2] == ["就業規則", "休暇"]
    (document,) = ask(server, ("get_document", {"id": hit["id"], "chunk": hit["chunk"]}))
    start, end = document["passage"]
    assert document["text"][start - document["start"] : end - document["start"]] == hit["text"]
    assert document["characters"] == len(document["text"]) < LONGEST


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("search", {"query": "休暇", "index": "無い"}, "no index is called '無い'"),
        ("search", {"query": "  "}, "empty"),
        ("search", {"query": "休暇", "where": "kind ="}, "a value"),
        ("search", {"query": "休暇", "top": 0}, "top"),
        ("get_document", {"id": "無い"}, "no document of index 'a'"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(server, tool, arguments, said):
    (answer,) = ask(server, (tool, arguments))
    assert isinstance(answer, str)
    assert said in answer
    assert "Traceback" not in answer


def test_without_an_index():
    result = CliRunner().invoke(build_cli(), ["mcp"])
    assert result.exit_code != 0
    assert "no index is given" in result.stderr


@pytest.mark.slow
def test_over_stdio(folder):
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "jnlp", "mcp", "--index", str(folder / "a.idx"), "--quiet"],
        env=dict(os.environ),
    )
    (found,) = ask(stdio_client(parameters), ("search", {"query": "日当はいくらか"}))
    assert "二千円" in found["hits"][0]["text"]


@pytest.mark.slow
def test_over_http_a_page_of_another_site_may_not_ask(folder, unused_port):
    command = [
        sys.executable,
        "-m",
        "jnlp",
        "mcp",
        "--index",
        str(folder / "a.idx"),
        "--http",
        "--port",
        str(unused_port),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{unused_port}/mcp"
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(address, timeout=1)
            except urllib.error.HTTPError as answered:
                answered.close()
                break
            except OSError:
                time.sleep(0.2)
        (found,) = ask(address, ("search", {"query": "日当はいくらか"}))
        assert "二千円" in found["hits"][0]["text"]
        for header, value in (("Origin", "http://evil.example"), ("Host", "evil.example")):
            request = urllib.request.Request(address, b"{}", {"content-type": "application/json", header: value})
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=5)
            assert refused.value.code in (403, 421)
            refused.value.close()
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
