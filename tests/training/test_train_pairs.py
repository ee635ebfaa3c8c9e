from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jnlp import load
from jnlp.cli import build_cli
from jnlp.errors import JnlpError, UsageError
from jnlp.examples import read_examples
from jnlp.io.reading.options import ReadOptions
from jnlp.testing import make_model
from jnlp.training.embedder import objective


def written(path):
    rows = [
        {"問い": f"第{n}章は何の話?", "答え": f"第{n}章は{n}月の話です。", "誤り": ["違う話です。", ""], "本": n // 2}
        for n in range(24)
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_pairs_are_read_with_negatives_and_groups(tmp_path):
    path = written(tmp_path / "pairs.jsonl")
    options = ReadOptions(text="問い", text_pair="答え")
    found, failed = read_examples([path], options, pairs=True, negatives="誤り", group="本")
    assert not failed
    assert found[3].text == ("第3章は何の話?", "第3章は3月の話です。")
    assert (found[3].target, found[3].negatives, found[3].group) == ("", ("違う話です。",), "1")
    with pytest.raises(UsageError, match="no column is called '謝り'"):
        read_examples([path], options, pairs=True, negatives="謝り")
    with pytest.raises(UsageError, match="no column of second texts is named"):
        read_examples([path], ReadOptions(text="問い"), pairs=True)


def test_an_empty_file_is_one_clear_line(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"q": "", "d": ""}\n', "utf-8")
    with pytest.raises(JnlpError, match="no pair in"):
        read_examples([path], ReadOptions(text="q", text_pair="d"), pairs=True)


def test_the_engine_trains_an_embedder_from_a_file(tmp_path):
    base = make_model(tmp_path / "base", layers=2, hidden=32, texts=["第1章は何の話?", "違う話です。"])
    report = load(device="cpu").train(
        "embedder",
        [written(tmp_path / "pairs.jsonl")],
        tmp_path / "out",
        model=str(base),
        read={"text": "問い", "text_pair": "答え"},
        negatives="誤り",
        group="本",
        epochs=1,
        batch_size=8,
        max_length=32,
    )
    assert report.rows["valid"] == 2
    assert {"recall@10", "ndcg@10", "mrr@10"} <= report.metrics.keys()
    assert (report.folder / "modules.json").is_file()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    texts = ["第1章は何の話?", "第1章は5月の話です。", "違う話です。"]
    return make_model(tmp_path_factory.mktemp("base") / "small", layers=2, hidden=32, texts=texts)


@pytest.fixture
def embedder(base, tmp_path, runner):
    """Return what trains by the command line, and gives the folder and the report."""
    source = written(tmp_path / "pairs.jsonl")

    def run(name, *flags):
        out = tmp_path / name
        call = ["train", "embedder", str(source), "-o", str(out), "--model", str(base), "--text", "問い"]
        call += ["--text-pair", "答え", "--epochs", "1", "--batch-size", "8", "--max-length", "32", "--device", "cpu"]
        done = runner.invoke(build_cli(), [*call, "-q", *flags], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return out, json.loads((out / "metrics.json").read_text("utf-8"))

    return run


def weights(folder):
    return load_file(folder / "model.safetensors")


def equal(one, two):
    return all(torch.equal(tensor, weights(two)[name]) for name, tensor in weights(one).items())


def test_prefixes_are_trained_with_saved_as_prompts_and_in_the_vectors(embedder):
    from sentence_transformers import SentenceTransformer

    plain, _ = embedder("plain")
    out, report = embedder("own", "--query-prefix", "質問: ", "--document-prefix", "")
    assert report["prefixes"] == {"query": "質問: ", "document": "", "topic": "", "similarity": ""}
    assert not equal(plain, out)
    theirs = SentenceTransformer(str(out), device="cpu")
    assert (theirs.prompts["query"], theirs.prompts["document"]) == ("質問: ", "")
    text = "第3章は何の話?"
    ours = load(model=str(out), device="cpu", dtype="fp32")
    for purpose, whole in (("query", f"質問: {text}"), ("document", text)):
        expected = theirs.encode([whole])
        np.testing.assert_allclose(theirs.encode([text], prompt_name=purpose), expected, atol=2e-5)
        (found,) = ours.run("embed", [text], purpose=purpose)
        np.testing.assert_allclose(np.asarray(found.vector)[None], expected, atol=2e-5)


def test_symmetric_adds_the_way_back_to_the_loss(embedder):
    one_way, both_ways = embedder("one-way"), embedder("both-ways", "--symmetric")
    assert both_ways[1]["epochs"][0]["loss"] != pytest.approx(one_way[1]["epochs"][0]["loss"], rel=1e-3)
    assert not equal(one_way[0], both_ways[0])


def test_margin_and_skip_decide_which_negatives_are_mined(embedder):
    flags = ("--epochs", "2", "--patience", "0")
    unmined, _ = embedder("unmined", *flags)
    mined, _ = embedder("mined", *flags, "--mine", "2", "--mine-margin", "2")
    near, _ = embedder("near", *flags, "--mine", "2", "--mine-margin", "0.01")
    skipped, _ = embedder("skipped", *flags, "--mine", "2", "--mine-margin", "2", "--mine-skip", "1000")
    assert not equal(mined, unmined)
    assert equal(near, unmined)
    assert equal(skipped, unmined)


def test_documents_of_a_group_are_the_first_hard_negatives(embedder):
    alone, _ = embedder("alone", "--group", "本", "--mine", "1")
    together, _ = embedder("together", "--group", "本", "--mine", "1", "--mine-group")
    ungrouped, _ = embedder("ungrouped", "--mine", "1", "--mine-group")
    plain, _ = embedder("no-groups", "--mine", "1")
    assert not equal(alone, together)
    assert equal(ungrouped, plain)


def test_cached_gradients_train_as_whole_ones_do(embedder, monkeypatch):
    limits = []
    backward = objective.backward

    def watched(encoder, sequences, loss_of, cache_tokens):
        limits.append(cache_tokens)
        return backward(encoder, sequences, loss_of, cache_tokens)

    monkeypatch.setattr(objective, "backward", watched)
    whole, _ = embedder("whole", "--lr", "1e-3")
    cached, _ = embedder("cached", "--lr", "1e-3", "--cache-tokens", "0")
    assert set(limits) == {65_536, 0}
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(cached)[name], tensor, rtol=0, atol=2e-5)
