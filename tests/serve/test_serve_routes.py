"""Every route gives what the library gives."""

from __future__ import annotations

import base64
import json
import threading

import numpy as np
import pytest

import jnlp

TEXTS = ["東京の天気は晴れです。", "消えろ、クズ。", "契約を途中で解約する条件。"]


def vectors(engine: jnlp.Engine, texts: list[str], **options: object) -> np.ndarray:
    return np.stack([result.vector for result in engine.run("embed", texts, model="tiny-search", **options)])


# --- tasks ---


@pytest.mark.parametrize(
    ("task", "texts", "options"),
    [
        ("toxicity", TEXTS, {}),
        ("toxicity", TEXTS, {"rules_only": True, "threshold": 0.1, "mask": True, "mask_with": "■"}),
        ("fill-mask", ["今日は<mask>です。"], {"top": 2}),
        ("pii", ["電話は03-1234-5678です。"], {"mask": True, "categories": ["phone"]}),
    ],
)
def test_a_task_answers_as_the_library(client, engine, task: str, texts: list[str], options: dict) -> None:
    got = client.post(f"/tasks/{task}", json={"inputs": texts, "options": options})
    assert got.status_code == 200, got.text
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    expected = json.loads(jnlp.to_json(engine.run(task, texts, **given)))
    assert _rounded(got.json()["results"]) == _rounded(expected)


def _rounded(value: object) -> object:
    """Round numbers: texts in another batch differ in the last digits."""
    if isinstance(value, float):
        return round(value, 2)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def test_every_task_has_a_route_and_a_description(client, engine) -> None:
    from jnlp.registry import Kind

    names = {entry.name for entry in engine.plugins.registry.entries(Kind.TASK)}
    paths = client.get("/openapi.json").json()["paths"]
    assert {name for name in names if f"/tasks/{name}" in paths and f"/tasks/{name}/file" in paths} == names
    assert {row["name"] for row in client.get("/tasks").json()["tasks"]} == names


def test_options_and_results_are_typed(client) -> None:
    parts = client.get("/openapi.json").json()["components"]["schemas"]
    level = parts["ToxicityOptions"]["properties"]
    assert level["threshold"]["description"].startswith("Scores of at least this")
    assert "words" not in level  # it names files of the service's machine
    assert parts["FillMaskOptions"]["additionalProperties"] is False


def test_one_text_needs_no_list(client) -> None:
    assert len(client.post("/tasks/embed", json={"inputs": "猫"}).json()["results"][0]["vector"]) == 384


def test_a_text_that_cannot_be_processed_is_named(client) -> None:
    got = client.post("/tasks/fill-mask", json={"inputs": ["今日は<mask>です。", "空。"]})
    assert (got.status_code, got.json()["error_type"]) == (422, "Validation")
    assert got.json()["error"].startswith("inputs[1]: ")


def test_a_file_streams_jsonl_in_order(client) -> None:
    lines = [{"id": n, "text": text, "店": "本店"} for n, text in enumerate(TEXTS * 30)]
    body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + '\n{"text": 4}\nno JSON\n\n'
    got = client.post("/tasks/toxicity/file", params={"options": '{"rules_only": true}'}, content=body.encode())
    rows = [json.loads(line) for line in got.text.splitlines()]
    assert [row.get("id") for row in rows] == [*range(90), None, None]
    assert [row["result"]["toxic"] for row in rows[:3]] == [False, True, False]
    assert rows[0]["店"] == "本店"
    assert [rows[90]["line"], rows[91]["line"]] == [91, 92]
    assert rows[90]["error"] == "text: input should be a valid string"


def test_the_number_of_a_line_is_its_own(client) -> None:
    body = b'{"text": "a", "line": 99, "id": "x"}\n\n{"line": "y"}\n'
    rows = [json.loads(line) for line in client.post("/tasks/pii/file", content=body).text.splitlines()]
    assert rows == [{"line": 1, "id": "x", "result": {"spans": []}}, {"line": 3, "error": "text: field required"}]


def test_a_file_may_have_pairs(client) -> None:
    got = client.post("/tasks/rerank/file", content=b'{"text": "a", "text_pair": "b"}\n{"text": "a"}')
    rows = [json.loads(line) for line in got.text.splitlines()]
    assert 0 <= rows[0]["result"]["score"] <= 1
    assert "pair" in rows[1]["error"]


# --- search ---


def test_search_finds_what_the_library_finds(client, engine, folder) -> None:
    got = client.post("/search", json={"query": "休暇は何日か", "top": 3, "evidence": True}).json()
    with engine.open_index(folder / "a.idx") as index:
        expected = index.search("休暇は何日か", top=3, evidence=True)
    assert [(hit["document"], hit["chunk"], hit["text"]) for hit in got["hits"]] == [
        (hit.document, hit.chunk, hit.text) for hit in expected
    ]
    assert got["hits"][0]["score"] == pytest.approx(expected[0].score, abs=0.01)
    assert {hit["index"] for hit in got["hits"]} == {"a"}
    assert got["good_match"] is True
    first = got["hits"][0]
    assert any(first["text"][a:b] == "休暇" for a, b in first["highlights"])


def test_pages_follow_each_other(client) -> None:
    whole = client.post("/search", json={"query": "送料", "top": 3}).json()["hits"]
    first = client.get("/search", params={"q": "送料", "top": 2}).json()
    second = client.get("/search", params={"q": "送料", "top": 2, "offset": first["next"]}).json()
    joined = [*first["hits"], *second["hits"]][:3]
    assert [hit["document"] for hit in joined] == [hit["document"] for hit in whole]


def test_a_condition_narrows(client) -> None:
    hits = client.get("/search", params={"q": "送料", "where": "番号 = 2"}).json()["hits"]
    assert [hit["document"] for hit in hits] == ["faq/2"]


def test_hits_can_be_reranked_by_the_model_given_at_start(client, reranker) -> None:
    got = client.post("/search", json={"query": "送料", "rerank": reranker, "explain": True})
    assert got.status_code == 200, got.text
    assert got.json()["hits"][0]["explain"]["reranked"] is not None
    assert client.post("/search", json={"query": "送料", "rerank": "tiny"}).status_code == 422


def test_the_task_search_takes_the_name_of_an_index(client) -> None:
    for options in ({}, {"index": "a"}):
        got = client.post("/tasks/search", json={"inputs": ["送料"], "options": options})
        assert got.json()["results"][0]["hits"][0]["document"].startswith("faq/")
    assert client.post("/tasks/search", json={"inputs": ["送料"], "options": {"index": "/etc"}}).status_code == 422


def test_a_document_is_found_by_the_id_of_its_hit(client) -> None:
    for hit in client.post("/search", json={"query": "休暇 出張 送料 猫", "top": 20}).json()["hits"]:
        got = client.get(f"/documents/{hit['id']}", params={"chunk": hit["chunk"]}).json()
        assert got["text"][got["place"]["start"] : got["place"]["end"]] == hit["text"]
        assert got["index"] == "a"
    assert client.get("/documents/faq/2").json()["metadata"] == {"番号": 2}
    assert "年二十日" in next(
        client.get(f"/documents/{hit['id']}").json()["text"]
        for hit in client.get("/search", params={"q": "年二十日"}).json()["hits"]
    )


@pytest.mark.parametrize("name", ["nothing", "../../etc/passwd", "/etc/passwd", "faq", "faq/", "%00"])
def test_other_names_are_no_documents(client, name: str) -> None:
    got = client.get(f"/documents/{name}")
    assert got.status_code in (404, 422)
    assert "error" in got.json()


def test_indexes_are_described(client) -> None:
    (row,) = client.get("/indexes").json()["indexes"]
    assert (row["name"], row["documents"], row["model"]) == ("a", 6, "tiny-search")
    assert client.get("/search", params={"q": "x", "index": "b"}).status_code == 404


def test_two_indexes_are_searched_together(engine, folder, tmp_path) -> None:
    from jnlp_serve.options import ServeOptions
    from jnlp_serve.service import make_service

    with engine.index(tmp_path / "b.idx") as index:
        index.add([jnlp.Record("neko", "猫の写真は棚にあります。")])
    service = make_service(engine, {"a": folder / "a.idx", "b": tmp_path / "b.idx"}, ServeOptions())
    try:
        hits = service.indexes.search(["a", "b"], "猫の写真", {"top": 5})
        assert {hit.index for hit in hits[:2]} == {"a", "b"}
    finally:
        service.close()


def test_an_index_that_changes_is_searched_as_it_is_now(engine, tmp_path) -> None:
    import shutil

    from jnlp_serve.options import ServeOptions
    from jnlp_serve.service import make_service

    def make(text: str) -> None:
        with engine.index(tmp_path / "c.idx") as index:
            index.add([jnlp.Record("1", text)])

    make("猫の写真。")
    service = make_service(engine, {"c": tmp_path / "c.idx"}, ServeOptions())

    def found() -> str:
        return service.indexes.search(["c"], "写真", {"top": 1})[0].text

    try:
        assert found() == "猫の写真。"
        make("犬の写真。")
        assert found() == "犬の写真。"
        shutil.rmtree(tmp_path / "c.idx")
        make("鳥の写真。")
        assert found() == "鳥の写真。"
    finally:
        service.close()


# --- Text Embeddings Inference ---


def test_embed(client, engine) -> None:
    got = np.array(client.post("/embed", json={"inputs": TEXTS}).json())
    assert got == pytest.approx(vectors(engine, TEXTS), abs=0.02)
    raw = np.array(client.post("/embed", json={"inputs": TEXTS, "normalize": False, "dimensions": 8}).json())
    assert raw == pytest.approx(vectors(engine, TEXTS, unit_length=False)[:, :8], abs=0.1)
    query = client.post("/embed", json={"inputs": "猫", "prompt_name": "query"}).json()[0]
    assert query == pytest.approx(vectors(engine, ["猫"], purpose="query")[0].tolist(), abs=0.02)
    assert np.array(client.post("/", json={"inputs": TEXTS}).json()) == pytest.approx(got, abs=0.02)


def test_a_long_text_is_read_in_windows_or_cut(client, engine) -> None:
    text = "東京の天気は晴れです。" * 100 + "円安が進み、株価が上がった。" * 100
    whole, cut = (client.post("/embed", json={"inputs": text, "truncate": cut}).json()[0] for cut in (False, True))
    assert whole == pytest.approx(vectors(engine, [text])[0].tolist(), abs=0.02)
    assert float(np.dot(whole, cut)) < 0.99


def test_embed_all_similarity_and_predict(client, engine) -> None:
    states = np.array(client.post("/embed_all", json={"inputs": ["猫が好き"]}).json()[0])
    tokens = client.post("/tokenize", json={"inputs": "猫が好き"}).json()[0]
    assert len(states) == len(tokens)
    body = {"inputs": {"source_sentence": "猫が好き", "sentences": ["猫が大好き", "株価が下がる"]}}
    close, far = client.post("/similarity", json=body).json()
    assert close > far
    single = client.post("/predict", json={"inputs": "死ね、ゴミ野郎。"}).json()
    assert [row["label"] for row in single] == ["toxic", "clean"]
    assert sum(row["score"] for row in single) == pytest.approx(1)
    pairs = client.post(
        "/predict", json={"inputs": [["死ね、ゴミ野郎。"], ["ありがとう。"]], "raw_scores": True}
    ).json()
    assert [rows[0]["label"] for rows in pairs] == ["toxic", "clean"]


def test_rerank(client, engine, reranker) -> None:
    texts = ["契約の解約", "猫", "旅費"]
    rows = client.post("/rerank", json={"query": "解約", "texts": texts, "return_text": True}).json()
    scores = [result.score for result in engine.run("rerank", [("解約", text) for text in texts], model=reranker)]
    assert {row["index"]: row["score"] for row in rows} == pytest.approx(dict(enumerate(scores)), abs=0.02)
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert rows[0]["text"] == texts[rows[0]["index"]]
    best = client.post("/v1/rerank", json={"query": "解約", "documents": texts, "top_n": 1, "return_documents": True})
    assert best.json()["results"][0]["index"] == rows[0]["index"]
    assert best.json()["results"][0]["document"]["text"] == rows[0]["text"]
    raw = client.post("/rerank", json={"query": "解約", "texts": texts, "raw_scores": True}).json()
    assert 1 / (1 + np.exp(-raw[0]["score"])) == pytest.approx(rows[0]["score"], abs=0.02)


def test_tokens_have_offsets_and_decode_to_the_text(client) -> None:
    text = "今日は良い天気です。"
    (rows,) = client.post("/tokenize", json={"inputs": [text]}).json()
    assert "".join(text[row["start"] : row["stop"]] for row in rows if not row["special"]) == text
    assert client.post("/decode", json={"ids": [row["id"] for row in rows]}).json() == [text]
    assert client.post("/decode", json={"ids": [10**9]}).status_code == 422


def test_info_and_models(client) -> None:
    assert client.get("/info").json()["model_id"] == "tiny-search"
    assert "tiny-search:query" in [row["id"] for row in client.get("/v1/models").json()["data"]]


# --- OpenAI ---


def test_openai_embeddings(client, engine) -> None:
    body = {"input": TEXTS, "model": "tiny-search", "dimensions": 16}
    plain = client.post("/v1/embeddings", json=body).json()
    packed = client.post("/v1/embeddings", json={**body, "encoding_format": "base64"}).json()
    rows = np.array([row["embedding"] for row in plain["data"]], np.float32)
    unpacked = np.stack([np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in packed["data"]])
    assert unpacked == pytest.approx(rows, abs=0.02)
    assert rows == pytest.approx(vectors(engine, TEXTS, dimension=16), abs=0.02)
    tokens = sum(len(one) for one in client.post("/tokenize", json={"inputs": TEXTS}).json())
    assert plain["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_the_model_s_name_may_have_a_purpose(client, engine) -> None:
    got = client.post("/v1/embeddings", json={"input": "猫", "model": "tiny-search:query"}).json()
    assert got["data"][0]["embedding"] == pytest.approx(vectors(engine, ["猫"], purpose="query")[0].tolist(), abs=0.02)
    wrong = client.post("/v1/embeddings", json={"input": "猫", "model": "gpt-4"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (404, "model_not_found")


# --- the service itself ---


def test_docs_load_nothing_from_elsewhere(client) -> None:
    page = client.get("/docs").text
    assert "/tasks/toxicity" in page
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page


def test_metrics_count_requests_and_batches(client) -> None:
    client.post("/embed", json={"inputs": TEXTS})
    lines = client.get("/metrics").text.splitlines()
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    assert values['jnlp_requests_total{method="POST",route="/embed",status="200"}'] >= 1
    assert values['jnlp_batch_texts_count{task="embed"}'] >= 1
    assert values["jnlp_tokens_total"] > 0
    assert values["jnlp_queue_texts"] == 0
    assert values["jnlp_requests_running"] == 0


def test_many_clients_at_once_get_their_own_results(client, engine) -> None:
    texts = [f"第{number}条　{'あ' * (number % 7)}とする。" for number in range(24)]
    found: dict[str, list[float]] = {}

    def ask(text: str) -> None:
        found[text] = client.post("/embed", json={"inputs": text}).json()[0]

    threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array([found[text] for text in texts]) == pytest.approx(vectors(engine, texts), abs=0.02)


def test_an_index_in_shards_is_searched_as_one(engine, folder, tmp_path) -> None:
    from dataclasses import replace

    from jnlp_serve.indexes import Indexes
    from jnlp_serve.job import named_indexes

    for name, shards in (("one", 1), ("three", 3)):
        with engine.index(tmp_path / f"{name}.idx") as index:
            index.add(folder / "docs", shards=shards)
    indexes = Indexes(named_indexes([str(tmp_path / "one.idx"), str(tmp_path / "three.idx")]), engine)
    for again in (False, True):
        for query in ("休暇は何日か", "猫の写真", "給与 -旅費"):
            one, three = (indexes.search([name], query, {"explain": True}) for name in ("one", "three"))
            assert [replace(hit, index=None) for hit in one] == [replace(hit, index=None) for hit in three]
            assert one
        if not again:
            with engine.index(tmp_path / "three.idx") as index:
                index.add(folder / "docs", shards=2, rebuild=True)
    indexes.close()
