"""One application over an index of a few documents, asked in this process."""

from __future__ import annotations

import gc
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from starlette.testclient import TestClient

import jnlp
from jnlp.testing import make_model
from jnlp_serve.app import create_app
from jnlp_serve.options import ServeOptions
from jnlp_serve.protocol import Protocol

HERE = "http://127.0.0.1"

DOCUMENTS = {
    "規程/就業.md": "# 就業規則\n\n## 休暇\n\n第一条　休暇は年二十日とする。半日の休暇を認める。\n\n"
    "## 給与\n\n第二条　給与は月末に支払う。\n",
    "規程/旅費.md": "# 旅費規程\n\n出張の日当は二千円とする。\n",
    "memo.txt": "<script>alert('休暇')</script> 猫の写真を整理した。\n",
}


@pytest.fixture(scope="session")
def engine() -> jnlp.Engine:
    return jnlp.load(device="cpu")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, engine: jnlp.Engine) -> Path:
    """A folder with documents and `a.idx`, an index of them."""
    root = tmp_path_factory.mktemp("serve")
    for name, text in DOCUMENTS.items():
        path = root / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with engine.index(root / "a.idx") as index:
        index.add(root / "docs")
        records = [jnlp.Record(f"faq/{n}", f"第{n}問　送料は{n}百円です。", {"番号": n}) for n in range(1, 4)]
        index.add(records)
    return root


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a cross-encoder of random weights."""
    return str(make_model(tmp_path_factory.mktemp("models") / "reranker", labels=["relevance"], layers=2))


@pytest.fixture(scope="session")
def app(engine: jnlp.Engine, folder: Path, reranker: str):
    """The application, loaded."""
    made = create_app(
        engine,
        {"a": folder / "a.idx"},
        ServeOptions(max_texts=40),
        models={"rerank": reranker, "classify": "tiny-toxicity"},
        load=False,
    )
    made.state.service.load()
    assert made.state.service.problem is None
    yield made
    made.state.service.close()


@pytest.fixture(scope="session")
def client(app):
    """A client of the application."""
    with TestClient(app, base_url=HERE) as made:
        yield made


@contextmanager
def running(app):
    """Serve an application on a real port; gives its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", http=Protocol))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"{HERE}:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def address(app):
    """The address of the application on a real port."""
    with running(app) as address:
        yield address


@pytest.fixture(scope="session")
def served_at():
    """The context manager that serves an application of a test's own."""
    return running


@pytest.fixture(autouse=True, scope="module")
def sockets_of_clients():
    """Collect what client libraries leave open here, so that no later test is blamed for it."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
