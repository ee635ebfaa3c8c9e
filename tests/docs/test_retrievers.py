"""The retrievers of docs/examples/retrievers in the real libraries; each is skipped where its library is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import jnlp

RETRIEVERS = Path(__file__).resolve().parents[2] / "docs" / "examples" / "retrievers"

QUERY = "休暇は何日か"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("retrievers")
    (folder / "規程.md").write_text("# 就業規則\n\n## 休暇\n\n休暇は年に二十日とする。\n", encoding="utf-8")
    (folder / "猫.txt").write_text("吾輩は猫である。名前はまだ無い。\n", encoding="utf-8")
    with jnlp.load(device="cpu").index(folder / "my.idx") as made:
        made.add(folder)
        yield made


def module(name: str, needs: str) -> ModuleType:
    pytest.importorskip(needs, reason=f"{needs} is not installed")
    spec = importlib.util.spec_from_file_location(name, RETRIEVERS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def expected(index: Any, **options: Any) -> list[tuple[str, float]]:
    return [(hit.text, hit.score) for hit in index.search(QUERY, **options)]


def test_langchain(index: Any) -> None:
    made = module("langchain_jnlp", "langchain_core").JnlpRetriever
    documents = made(index=index, top=2).invoke(QUERY)
    assert [(one.page_content, one.metadata["score"]) for one in documents] == expected(index, top=2)
    assert documents[0].metadata["headings"] == ["就業規則", "休暇"]
    narrowed = made(index=index, options={"where": 'kind = "txt"'})
    assert [one.metadata["kind"] for one in narrowed.invoke(QUERY)] == ["txt"]
    assert made(index=index, top=2).batch([QUERY, "猫"])[0] == documents


def test_llama_index(index: Any) -> None:
    made = module("llama_index_jnlp", "llama_index.core").JnlpRetriever
    found = made(index, top=2).retrieve(QUERY)
    assert [(one.text, one.score) for one in found] == expected(index, top=2)
    assert found[0].node.metadata["headings"] == "就業規則 › 休暇"
    assert [one.node.metadata["kind"] for one in made(index, where='kind = "txt"').retrieve(QUERY)] == ["txt"]


def test_haystack(index: Any) -> None:
    made = module("haystack_jnlp", "haystack").JnlpRetriever
    from haystack import Pipeline

    pipeline = Pipeline()
    pipeline.add_component("retriever", made(index, top=2))
    found = pipeline.run({"retriever": {"query": QUERY}})["retriever"]["documents"]
    assert [(one.content, one.score) for one in found] == expected(index, top=2)
    narrowed = pipeline.run({"retriever": {"query": QUERY, "where": 'kind = "txt"'}})["retriever"]["documents"]
    assert [one.meta["kind"] for one in narrowed] == ["txt"]
