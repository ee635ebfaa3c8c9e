"""Fetching, from a hub of our own on the loopback interface."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jnlp.errors import JnlpError, UsageError
from jnlp.models.catalog import pull
from jnlp.models.download import UnreachableError, download
from jnlp.models.resolve import resolve
from jnlp.models.specs import BUILTIN_SPECS
from jnlp.types import Head

SPECS = {spec.name: spec for spec in BUILTIN_SPECS}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "sbintuitions/modernbert-ja-30m"


class Handler(BaseHTTPRequestHandler):
    files: dict[str, bytes]
    asked: list[str]

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        if path.startswith(f"/{REPO}/resolve/{COMMIT}/"):
            self.asked.append(path.rsplit("/", 1)[1])
            self.answer(self.files[path.split(COMMIT + "/")[1]])
        elif path in (
            f"/api/models/{REPO}",
            f"/api/models/{REPO}/revision/main",
            f"/api/models/{REPO}/revision/{COMMIT}",
        ):
            siblings = [{"rfilename": name} for name in self.files]
            self.answer(json.dumps({"id": REPO, "sha": COMMIT, "siblings": siblings}).encode())
        elif path == f"/api/models/{REPO}/tree/{COMMIT}":
            tree = [
                {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
                for name, body in self.files.items()
            ]
            self.answer(json.dumps(tree).encode())
        else:
            code = "RevisionNotFound" if f"/api/models/{REPO}/revision/" in path else "RepoNotFound"
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def answer(self, body: bytes):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def go_online(monkeypatch):
    """Allow the network to the library, which reads the environment once, when it is imported."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server(hub, tmp_path, kit, monkeypatch):
    """Return the files of the one repository, and the names that were asked for."""
    source = kit.write_model(tmp_path / "src")
    files = {path.name: path.read_bytes() for path in source.iterdir()}
    for name in ("pytorch_model.bin", "modeling_own.py", "optimizer.pt", "onnx/model.onnx", "flax_model.msgpack"):
        files[name] = b"not to be fetched"
    files["1_Pooling/config.json"] = b'{"pooling_mode": "mean"}'
    handler = type("Repository", (Handler,), {"files": files, "asked": []})
    served = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    go_online(monkeypatch)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{served.server_port}")
    yield handler
    served.shutdown()
    thread.join()
    served.server_close()


def test_pull_fetches_what_is_safe_and_tells_the_bytes(server, capfd):
    told = []
    found = pull("30m", SPECS, lambda done, total: told.append((done, total)))
    assert found.folder.name == found.spec.revision == COMMIT
    assert found.spec.heads == (Head.EMBEDDING, Head.MASKED_LM)
    fetched = {str(path.relative_to(found.folder)) for path in found.folder.rglob("*") if path.is_file()}
    assert fetched == {"config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"}
    total = sum(len(server.files[name]) for name in fetched)
    assert told[-1] == (total, total)
    assert all(done <= of for done, of in told)
    assert sorted(done for done, _ in told) == [done for done, _ in told]
    assert capfd.readouterr() == ("", "")
    server.asked.clear()
    assert resolve("30m", SPECS).folder == found.folder
    assert server.asked == []


def test_unknown_repository_and_revision(server, capfd):
    with pytest.raises(UsageError, match="the hub has no model 'nobody/nothing'"):
        resolve("nobody/nothing", SPECS)
    with pytest.raises(UsageError, match="has no revision 'v9'"):
        resolve(f"{REPO}@v9", SPECS)
    with pytest.raises(UsageError, match="not a valid model name"):
        resolve("nobody/two--dashes", SPECS)
    assert capfd.readouterr() == ("", "")


def test_no_hub_there(hub, monkeypatch, capfd):
    go_online(monkeypatch)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nothing answers
    with pytest.raises(UnreachableError):
        download(REPO, "main")
    with pytest.raises(JnlpError, match=r"30m .*about 148 MB.*the hub cannot be reached") as caught:
        resolve("30m", SPECS)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
