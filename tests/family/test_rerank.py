"""`tiny-rerank`: what it reads, that a small one learns which passage has the question's pieces, and its mixtures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from jnlp.encoder.config import ModernBertConfig
from jnlp.encoder.modernbert import ModernBertForSequenceClassification
from jnlp.encoder.packing import pack
from jnlp.models.resolve import BUILTIN
from jnlp_family.rerank import batches, mining, scores, train
from jnlp_family.rerank.material import Asked, Material, Ragged
from jnlp_family.search.jaquad import Retrieval
from jnlp_search.query.excerpt import Excerpts
from jnlp_search.query.relevance import RERANK

LIKE = BUILTIN / "tiny-search"
RNG = np.random.default_rng(3)


def texts(count: int, length: int) -> list[np.ndarray]:
    return [RNG.integers(10, 200, RNG.integers(length // 2, length)).astype(np.int64) for _ in range(count)]


@pytest.fixture(scope="module")
def material() -> Material:
    passages = texts(60, 40)
    for passage in passages[:40]:
        passage[:12] = 150  # right passages begin alike: what can be learned at once
    asked = [np.concatenate([passages[at][3:8], [9]]) for at in range(40)]
    columns = np.array([[at, *(40 + np.arange(at, at + 8) % 20)] for at in range(40)], np.int64)
    zeros = np.zeros_like(columns)
    train_on = Asked(np.arange(30), columns[:30], zeros[:30], np.zeros(30, np.int64), np.zeros((30, 9, 2), np.float32))
    turned = np.roll(columns[30:], 4, axis=1)
    shares = RNG.random((10, 9, 2)).astype(np.float32)
    held = Asked(np.arange(30, 40), turned, zeros[30:], np.full(10, 4, np.int64), shares)
    return Material(24, Ragged.of(asked), Ragged.of(passages), train_on, held)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    config = json.loads((LIKE / "config.json").read_text(encoding="utf-8")) | {
        "hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128, "num_hidden_layers": 2,
        "layer_types": ["full_attention", "sliding_attention"], "vocab_size": 200,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.manual_seed(2)
    model = ModernBertForSequenceClassification(ModernBertConfig.from_dict(config | {"id2label": {"0": "x"}}))
    save_file(dict(model.model.state_dict()), folder / "model.safetensors")
    return folder


def test_the_window_has_the_rarest_pieces() -> None:
    weights = np.zeros(100, np.float32)
    weights[[7, 8, 9]] = 1.0, 5.0, 2.0
    passage = np.array([7, 7, 7, 7, 1, 1, 1, 1, 1, 8, 9, 1, 1, 1, 1, 1])
    excerpts = Excerpts(weights, np.array([7, 8, 9, 3]))
    start = excerpts.start(passage, 6)
    assert {8, 9} <= set(passage[start : start + 6].tolist())
    assert excerpts.start(passage[:6], 6) == 0
    assert Excerpts(weights, np.array([3])).start(passage, 6) == 0


def test_rows_are_pairs_with_padding(material: Material) -> None:
    asked = material.train
    rows = batches.rows(material, asked.questions[:3], asked.passages[:3, 0], asked.starts[:3, 0], 16)
    ids = rows.packed.ids.view(3, rows.length)
    for line in range(3):
        question, passage = material.questions[line], material.passages[line]
        spare = max(0, min(len(passage), 24) - 16) // 2
        wanted = [1, *question.tolist(), 2, *passage[spare : spare + 16].tolist(), 2]
        assert ids[line, : len(wanted)].tolist() == wanted
        assert set(ids[line, len(wanted) :].tolist()) <= {3}
        assert rows.packed.lengths[2 * line] == len(wanted)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_rows_give_the_logits_of_the_pairs_alone(material: Material, base: Path, pooling: str) -> None:
    config = train.shape(json.loads((base / "config.json").read_text(encoding="utf-8")), 2, pooling)
    model = train._start(ModernBertForSequenceClassification(ModernBertConfig.from_dict(config)), base).eval()
    asked = material.train
    rows = batches.rows(material, asked.questions[:4], asked.passages[:4, 1], asked.starts[:4, 1], 24)
    pairs = [
        np.concatenate([[1], material.questions[at], [2], material.passages[int(asked.passages[at, 1])][:24], [2]])
        for at in range(4)
    ]
    with torch.no_grad():
        found, wanted = train.Reranker(model, [])(rows), model(pack(pairs))[:, 0]
    assert torch.allclose(found, wanted, atol=2e-2)


def test_it_learns_and_is_written(material: Material, base: Path, tmp_path: Path) -> None:
    path = tmp_path / "material.npz"
    material.save(path)
    loaded = Material.load(path)
    assert np.array_equal(loaded.development.passages, material.development.passages)
    assert np.array_equal(loaded.passages[5], material.passages[5])
    figures = train.fit(path, base, tmp_path / "made", 10, layers=2, lr=3.0, steps=70, pooling="cls")
    assert figures["steps"] == 70
    assert figures["loss"] < 1.9, "less than by chance, the logarithm of 8"
    written = json.loads((tmp_path / "made/config.json").read_text(encoding="utf-8"))
    assert written["id2label"] == {"0": "relevant"}
    assert written["layer_types"] == ["full_attention", "sliding_attention"]
    told = json.loads((tmp_path / "made" / RERANK).read_text(encoding="utf-8"))
    assert told["tokens"] == 24
    assert [len(told[name]) for name in ("hybrid", "lexical", "dense")] == [4, 4, 4]
    (tmp_path / "made" / RERANK).unlink()
    assert train.main(["weigh", str(path), str(tmp_path / "made")]) == 0
    again = json.loads((tmp_path / "made" / RERANK).read_text(encoding="utf-8"))
    assert again["hybrid"] == pytest.approx(told["hybrid"], abs=0.3), "the weights were written in fp16"


def test_a_mixture_is_better_than_its_parts() -> None:
    rng = np.random.default_rng(0)
    right = rng.integers(0, 6, 300)
    passages = np.tile(np.arange(6), (300, 1))
    truth = (np.arange(6)[None, :] == right[:, None]) * 2.0
    logits = (truth + rng.normal(size=(300, 6))).astype(np.float32)
    shares = np.stack([truth + rng.normal(size=(300, 6)), rng.normal(size=(300, 6))], axis=2).astype(np.float32)
    asked = Asked(np.arange(300), passages, np.zeros_like(passages), right, shares)
    found = scores.measure(asked, logits)
    assert found.mixed > found.reranked + 0.02
    assert found.weights[2] == pytest.approx(0, abs=0.2)
    scale, shift = scores.calibration(asked, logits)
    chance = 1 / (1 + np.exp(-(scale * logits + shift)))
    assert chance.mean() == pytest.approx(1 / 6, abs=0.01)


def test_a_mixture_means_the_share_that_is_right_where_some_have_no_right_passage() -> None:
    rng = np.random.default_rng(1)
    right = rng.integers(0, 6, 1_000)
    passages = np.tile(np.arange(6), (1_000, 1))
    truth = np.arange(6)[None, :] == right[:, None]
    logits = (3 * truth + rng.normal(size=truth.shape)).astype(np.float32)
    shares = rng.random((1_000, 6, 2)).astype(np.float32)
    shares[:, :, 0] += truth
    shares /= shares.max(axis=1, keepdims=True)
    asked = Asked(np.arange(1_000), passages, np.zeros_like(passages), right, shares)
    few, values = scores.lacking(asked, scores.signals(asked, logits))
    assert (few.right < 0).sum() == 400
    assert (few.passages < 0).sum() == 400
    left = np.where(few.passages >= 0, values[:, :, 1], 0)
    assert left.max(axis=1) == pytest.approx(1), "the best of those that are left has all"
    found = scores.mixtures(asked, logits)
    assert found["lexical"][2] == found["dense"][1] == 0
    mixed = values @ np.array(found["hybrid"][:3]) + found["hybrid"][3]
    best, logits = scores.firsts(few, mixed)
    chance = 1 / (1 + np.exp(-logits[:, 0]))
    assert chance.mean() == pytest.approx((best.right == 0).mean(), abs=0.01)
    sure = chance > 0.7
    assert sure.sum() > 100
    assert chance[sure].mean() == pytest.approx((best.right[sure] == 0).mean(), abs=0.08)


def test_wrong_passages_have_no_answer() -> None:
    passages = (
        "富士山は静岡県と山梨県にまたがる火山である。",
        "富士山の高さは3776メートルで、日本で最も高い。",
        "富士山の高さを測る方法は時代によって変わった。",
        "琵琶湖は滋賀県にある湖である。",
    )
    task = Retrieval(passages, ("富士山の高さは何メートルか。", "琵琶湖はどこにありますか。"), (1, 3))
    part = mining.of_training(task, {task.queries[0]: {"時代"}}, LIKE, 8)
    assert part.rows[0].passages[0] == 1
    assert 2 not in part.rows[0].passages, "it has the answer"
    made = mining.join([part], part, 8)
    assert made.train.passages[1, 0] == 3
    assert len(made.train.starts[0]) == mining.KEPT + 1
