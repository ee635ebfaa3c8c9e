"""Existing clients work unchanged; each is skipped where it is not installed."""

from __future__ import annotations

import numpy as np
import pytest

TEXTS = ["東京の天気は晴れです。", "契約を途中で解約する条件。"]


@pytest.fixture(scope="module")
def expected(engine) -> np.ndarray:
    return np.stack([result.vector for result in engine.run("embed", TEXTS, model="tiny-search")])


def test_openai(address: str, expected: np.ndarray) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        plain = client.embeddings.create(model="tiny-search", input=TEXTS, encoding_format="float")
        packed = client.embeddings.create(model="tiny-search", input=TEXTS)
        for got in (plain, packed):
            assert np.array([row.embedding for row in got.data]) == pytest.approx(expected, abs=0.02)
            assert got.usage.prompt_tokens == got.usage.total_tokens > 10
        assert len(client.embeddings.create(model="tiny-search", input="猫", dimensions=8).data[0].embedding) == 8
        assert "tiny-search" in [model.id for model in client.models.list()]
        with pytest.raises(openai.NotFoundError, match="no model is called"):
            client.embeddings.create(model="gpt", input="猫")
        with pytest.raises(openai.UnprocessableEntityError, match="input is empty"):
            client.embeddings.create(model="tiny-search", input=[])
        assert client.embeddings.create(model="tiny-search", input="猫", extra_body={"purpose": "query"}).data[
            0
        ].embedding == pytest.approx(
            client.embeddings.create(model="tiny-search:query", input="猫").data[0].embedding, abs=0.02
        )


def test_huggingface_hub(address: str, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import InferenceClient, constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # it would not even ask this machine

    client = InferenceClient(address)
    assert np.asarray(client.feature_extraction(TEXTS[0])).reshape(-1) == pytest.approx(expected[0], abs=0.02)
    scores = InferenceClient(f"{address}/similarity").sentence_similarity("猫が好き", ["猫が大好き", "株価"])
    assert scores[0] > scores[1]


def test_langchain_openai(address: str, expected: np.ndarray) -> None:
    langchain = pytest.importorskip("langchain_openai")
    made = langchain.OpenAIEmbeddings(
        model="tiny-search", base_url=f"{address}/v1", api_key="none", check_embedding_ctx_length=False
    )
    assert np.array(made.embed_documents(TEXTS)) == pytest.approx(expected, abs=0.02)


def test_llama_index_tei(address: str, expected: np.ndarray) -> None:
    llama = pytest.importorskip("llama_index.embeddings.text_embeddings_inference")
    made = llama.TextEmbeddingsInference(
        model_name="tiny-search", base_url=address, text_instruction="", query_instruction=""
    )
    assert np.array(made.get_text_embedding_batch(TEXTS)) == pytest.approx(expected, abs=0.02)


def test_llama_index_openai(address: str, expected: np.ndarray) -> None:
    llama = pytest.importorskip("llama_index.embeddings.openai")
    made = llama.OpenAIEmbedding(model_name="tiny-search", api_base=f"{address}/v1", api_key="none")
    assert np.array(made.get_text_embedding_batch(TEXTS)) == pytest.approx(expected, abs=0.02)
