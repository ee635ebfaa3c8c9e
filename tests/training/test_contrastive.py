from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from jnlp.encoder.load import load_embedder, load_tokenizer
from jnlp.encoder.runtime import Runtime
from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError
from jnlp.models.folder import inspect
from jnlp.testing import make_model
from jnlp.training.embedder.grad_cache import backward
from jnlp.training.embedder.hard_negatives import gather_batches, mine
from jnlp.training.embedder.lessons import contrast_of
from jnlp.training.embedder.losses import cosent, info_nce, matryoshka
from jnlp.training.embedder.objective import EmbedderObjective, PairRows
from jnlp.training.embedder.pair_batches import encode_pairs, encoder_of, pair_batches
from jnlp.training.embedder.pairs import Pair, PairSet, hold_out, key_of, sets_of
from jnlp.training.embedder.reranker import RELEVANT, RerankerOptions, RerankerTrainer, judge
from jnlp.training.embedder.scoring import Held
from jnlp.training.embedder.sequences import first_fit, sequence_encoder
from jnlp.training.embedder.trainer import EmbedderOptions, EmbedderTrainer, divide, load_encoder
from jnlp.training.folder import read_config, resumable
from jnlp.types import Example, Pooling, Purpose

PLACES = ("札幌", "仙台", "東京", "横浜", "京都", "大阪", "神戸", "広島", "福岡", "那覇")
THINGS = ("寺", "城", "駅", "川", "祭り", "市場")
OPTIONS = EmbedderOptions(epochs=2, lr=3e-3, batch_size=8, max_length=48, dimensions=(8,), mine=2, patience=0)
TEXTS = ["雨が降っています。", "京都の寺は有名です。", "傘を持って出かけました。"]


def rows() -> list[Example]:
    return [
        Example((f"{place}の{thing}はどこ?", f"{place}には有名な{thing}があります。"), "")
        for place in PLACES
        for thing in THINGS
    ]


def quiet(*_: object) -> None:
    return None


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    texts = [part for row in rows() for part in row.text]
    return make_model(
        tmp_path_factory.mktemp("base") / "small", layers=2, hidden=32, texts=texts, initializer_range=0.02
    )


def train(base, out, options=OPTIONS, progress=quiet, trainer=None):
    return (trainer or EmbedderTrainer()).fit(
        rows(), None, options, out, models=None, base=base, device="cpu", progress=progress
    )


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "places"
    return out, train(base, out)


def test_it_learns_and_scores_pairs_it_did_not_see(trained):
    out, report = trained
    saved = json.loads((out / "metrics.json").read_text())
    assert report.rows == {"train": 54, "valid": 6}
    assert {"recall@10", "ndcg@10", "mrr@10"} <= report.metrics.keys()
    assert saved["epochs"][-1]["loss"] < saved["epochs"][0]["loss"]
    assert saved["details"]["options"]["mine"] == 2
    assert [path.name for path in out.parent.iterdir()] == ["places"]


def test_the_longest_text_stays_that_of_the_base(base, trained, tmp_path):
    assert inspect(trained[0]).max_length == inspect(base).max_length
    shorter = tmp_path / "shorter"
    shutil.copytree(base, shorter)
    (shorter / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 40}))
    train(shorter, tmp_path / "out", replace(OPTIONS, epochs=1, mine=0))
    assert inspect(tmp_path / "out").max_length == 40


def test_sentence_transformers_loads_it_with_equal_vectors(trained):
    from sentence_transformers import SentenceTransformer

    out, _ = trained
    theirs = SentenceTransformer(str(out), device="cpu")
    ours = load_embedder(out, inspect(out), runtime=Runtime(dtype="fp32", device="cpu"))
    for purpose in (Purpose.QUERY, Purpose.DOCUMENT, Purpose.SIMILARITY):
        expected = theirs.encode(TEXTS, prompt_name=purpose.value)
        np.testing.assert_allclose(unit(ours.embed(TEXTS, purpose=purpose).vectors), expected, atol=2e-5)
    assert theirs.prompts["query"] == "検索クエリ: "


def test_a_stopped_run_goes_on_and_ends_as_an_unbroken_one(base, trained, tmp_path):
    def stop(phase: str, done: int, total: int, _: object) -> None:
        if phase == "training" and done > total // 2 + 1:
            raise KeyboardInterrupt

    out = tmp_path / "places"
    with pytest.raises(KeyboardInterrupt):
        train(base, out, progress=stop)
    assert not out.exists()
    seen: list[int] = []
    train(base, out, progress=lambda phase, done, *_: seen.append(done) if phase == "epoch" else None)
    assert seen == [2]
    first, second = (load_encoder(folder, read_config(folder)).state_dict() for folder in (trained[0], out))
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=0, atol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["places"]


def test_another_base_does_not_go_on_from_a_stopped_run(base, tmp_path):
    def stop(phase: str, done: int, total: int, _: object) -> None:
        if phase == "training" and done > total // 2 + 1:
            raise KeyboardInterrupt

    out, other = tmp_path / "places", tmp_path / "other"
    shutil.copytree(base, other)
    weights = load_file(other / "model.safetensors")
    save_file({name: value * 1.01 for name, value in weights.items()}, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(KeyboardInterrupt):
        train(base, out, progress=stop)
    seen: list[int] = []
    train(other, out, progress=lambda phase, done, *_: seen.append(done) if phase == "epoch" else None)
    assert seen == [1, 2]


def test_another_text_does_not_go_on_from_a_stopped_run(base, tmp_path):
    sets = divide(rows(), None, OPTIONS)
    changed = replace(sets, valid=[replace(sets.valid[0], pairs=sets.valid[0].pairs[:-1])])
    paths = []
    for run in (sets, divide(rows(), None, OPTIONS), changed):
        with resumable(tmp_path / "places", [OPTIONS, run], resume=None) as checkpoint:
            paths.append(checkpoint)
    assert paths[0] == paths[1] != paths[2]
    assert list(tmp_path.iterdir()) == []


def test_a_validation_text_may_be_longer_than_all_that_are_trained_on(base, tmp_path):
    held = [Example(("札幌の寺はどこ?", "札幌には有名な寺があります。" * 40), "")]
    trainer, options = EmbedderTrainer(), replace(OPTIONS, max_length=256, epochs=1)
    report = trainer.fit(rows(), held, options, tmp_path / "long", models=None, base=base, device="cpu", progress=quiet)
    assert report.rows == {"train": 60, "valid": 1}


def test_pairs_of_the_validation_file_are_not_trained_on():
    every = rows()
    sets = divide(every, every[:7], OPTIONS)
    assert len(sets.pairs[0].pairs) == len(every) - 7
    assert not {key_of(p) for p in sets.pairs[0].pairs} & {key_of(p) for p in sets.valid[0].pairs}
    with pytest.raises(JnlpError, match="among those of --valid"):
        divide(every, every, OPTIONS)


@pytest.mark.parametrize("size", [2, 8, 64])
def test_given_negatives_take_no_pairs_place_when_hard_ones_are_mined(size):
    pairs = [Pair(f"質問{n}", f"答え{n}", tuple(f"違う{n}-{k}" for k in range(3))) for n in range(40)]
    data = encode_pairs(PairSet("pairs", pairs), lambda texts, _: [np.zeros(4, np.int64) for _ in texts])
    negatives = [d for d, own in enumerate(data.asked) if not own]
    near = [random.Random(d).sample(negatives, 5) for d in range(len(data.documents))]
    batches = list(pair_batches(data, np.random.default_rng(0), size, near=near, count=3))
    assert all(batch.queries for batch in batches)
    asked = [query for batch in batches for query in batch.queries]
    assert sorted(asked) == list(range(40))


def test_grad_cache_gives_the_gradients_of_the_whole_graph(base):
    module = load_encoder(base, read_config(base)).train()
    encoder = sequence_encoder(module, Pooling.MEAN, torch.device("cpu"), 64, tokens=0)
    rng = np.random.default_rng(0)
    sequences = [rng.integers(7, 40, rng.integers(20, 64)) for _ in range(64)]
    assert len(encoder.chunks([len(s) for s in sequences])) > 1
    owner, hidden = torch.arange(32), torch.zeros(32, 32, dtype=torch.bool)
    found = []
    for cache_tokens in (10**9, 0):
        module.zero_grad()
        torch.manual_seed(0)
        loss, vectors = backward(
            encoder, sequences, lambda v: info_nce(v[:32], v[32:], owner, hidden, 0.05, False), cache_tokens
        )
        found.append((loss, vectors, {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}))
    (loss, vectors, whole), (cached_loss, cached_vectors, cached) = found
    assert float(cached_loss) == pytest.approx(float(loss), rel=1e-6)
    torch.testing.assert_close(cached_vectors, vectors)
    assert whole
    assert whole.keys() == cached.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(cached[name], gradient, rtol=1e-4, atol=1e-6)


def test_info_nce_by_hand_and_what_is_hidden_is_no_negative():
    queries, documents = torch.eye(3)[:2], torch.eye(3)
    owner, hidden = torch.tensor([0, 1]), torch.zeros(2, 3, dtype=torch.bool)
    plain = info_nce(queries, documents, owner, hidden, 1.0, False)
    assert plain.item() == pytest.approx(-np.log(np.e / (np.e + 2)))
    hidden[0, 2] = hidden[1, 2] = True
    assert info_nce(queries, documents, owner, hidden, 1.0, False).item() == pytest.approx(-np.log(np.e / (np.e + 1)))


def test_symmetric_info_nce_by_hand_siblings_are_no_negatives():
    queries = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    documents = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])
    owner, hidden = torch.tensor([0, 0, 1]), torch.zeros(3, 2, dtype=torch.bool)
    there = info_nce(queries, documents, owner, hidden, 1.0, False).item()
    back = [
        np.exp(1) / (np.exp(1) + 1),
        np.exp(0.8) / (np.exp(0.8) + 1),
        np.exp(0.8) / (np.exp(0.8) + np.exp(0.36) + 1),
    ]
    both = info_nce(queries, documents, owner, hidden, 1.0, True).item()
    assert both == pytest.approx((there - np.mean(np.log(back))) / 2)


def test_cosent_counts_only_pairs_in_the_wrong_order():
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    second = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    right = cosent(first, second, torch.tensor([5.0, 0.0]), 1.0)
    wrong = cosent(first, second, torch.tensor([0.0, 5.0]), 1.0)
    assert right.item() == pytest.approx(np.log(1 + np.exp(-1)))
    assert wrong.item() == pytest.approx(np.log(1 + np.exp(1)))
    assert cosent(first, second, torch.tensor([1.0, 1.0]), 1.0).item() == 0.0


def test_matryoshka_takes_the_full_width_too():
    assert matryoshka((64, 8), 32) == (32, 8)


def test_a_step_takes_the_mean_of_the_losses_at_all_widths(base):
    config = read_config(base)
    encode = encoder_of(load_tokenizer(base), dict.fromkeys(Purpose, ""), 48)
    data = encode_pairs(PairSet("pairs", [Pair(*row.text) for row in rows()]), encode)
    encoder = sequence_encoder(load_encoder(base, config), Pooling.MEAN, torch.device("cpu"), 48, tokens=0)
    batch = next(iter(pair_batches(data, np.random.default_rng(0), 8)))
    vectors = encoder.all([data.queries[i] for i in batch.queries] + [data.documents[i] for i in batch.documents])
    queries, documents = vectors[: len(batch.queries)], vectors[len(batch.queries) :]
    owner, hidden = torch.from_numpy(batch.owner), torch.from_numpy(batch.hidden)
    wide, narrow = (info_nce(queries[:, :w], documents[:, :w], owner, hidden, 0.05, False).item() for w in (32, 8))
    assert abs(wide - narrow) > 0.01
    for dimensions, expected in (((), wide), ((8,), (wide + narrow) / 2)):
        contrast = contrast_of(replace(OPTIONS, dimensions=dimensions, temperature=0.05, mine=0, batch_size=8), 32)
        objective = EmbedderObjective(encoder, [PairRows(data, contrast, 32)], Held(), cache_tokens=10**6)
        step = next(iter(objective.rows[0].steps(0, np.random.default_rng(0))))
        assert float(objective.backward(step)[0]) == pytest.approx(expected, rel=1e-4)


def test_mining_leaves_out_answers_and_what_is_too_near():
    documents = np.array([[1, 0], [0.99, 0.1], [0.8, 0.6], [0, 1]], np.float32)
    assert mine(documents[:1], documents, [frozenset({0})], 2, margin=0.95) == [[2, 3]]
    assert mine(documents[:1], documents, [frozenset({0})], 2, margin=0.95, skip=1) == [[3]]


def test_gather_batches_batches_hold_every_document_once_and_neighbours_meet():
    near = [[(d + 1) % 12] for d in range(12)]
    order = random.Random(0).sample(range(12), 12)
    batches = list(gather_batches(order, near, 4, 1))
    assert sorted(d for batch in batches for d in batch) == list(range(12))
    assert any(b == near[a][0] for batch in batches for a, b in pairwise(batch))


def test_first_fit_lays_every_sequence_and_no_row_overflows():
    lengths = [random.Random(1).randint(1, 64) for _ in range(50)]
    laid = first_fit(lengths, 64)
    assert sorted(i for row in laid for i in row) == list(range(50))
    assert all(sum(lengths[i] for i in row) <= 64 for row in laid)


def test_labels_sort_rows_into_pairs_triples_and_grades():
    pairs, graded = sets_of(
        [
            Example(("犬が走る", "動物が走る"), "entailment"),
            Example(("犬が走る", "犬が寝ている"), "contradiction"),
            Example(("犬が走る", "白い犬だ"), "neutral"),
            Example(("猫", "ねこ"), "4.5"),
            Example(("首都は?", "東京です"), "", negatives=("大阪です",)),
        ]
    )
    assert [(s.name, s.pairs) for s in pairs] == [
        ("pairs", [Pair("首都は?", "東京です", ("大阪です",))]),
        ("nli", [Pair("犬が走る", "動物が走る", ("犬が寝ている",))]),
    ]
    assert graded[0].pairs[0].score == 4.5
    with pytest.raises(JnlpError, match="example 1 has the label '多分'"):
        sets_of([Example(("a", "b"), "多分")])
    with pytest.raises(JnlpError, match="example 1 is not a pair"):
        sets_of([Example("一つだけ", "")])


def test_what_has_a_text_in_common_is_held_out_together():
    pairs = [Pair(f"質問{n}", f"答え{n // 2}") for n in range(40)]
    kept, held = hold_out(pairs, 0.2, 0)
    assert not {p.document for p in kept} & {p.document for p in held}
    assert len(held) == 8


def test_bad_wishes_are_one_line(base, tmp_path):
    with pytest.raises(JnlpError, match="--dimensions 64: the model has 32"):
        train(base, tmp_path / "a", replace(OPTIONS, dimensions=(64,)))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_text("x")
    with pytest.raises(JnlpError, match="exists already"):
        train(base, tmp_path / "b")


def test_a_reranker_is_a_cross_encoder(base, tmp_path):
    from sentence_transformers import CrossEncoder

    from jnlp.encoder.load import load_classifier

    out = tmp_path / "reranker"
    options = RerankerOptions(epochs=1, lr=1e-3, max_length=64, sampled=2)
    report = train(base, out, options, trainer=RerankerTrainer())
    assert report.rows["valid"] == 6 * 3
    pairs = [row.text for row in rows()[:5]]
    theirs = CrossEncoder(str(out), device="cpu")
    assert theirs.num_labels == 1
    expected = theirs.predict(pairs, activation_fn=torch.nn.Identity())
    ours = load_classifier(out, inspect(out), runtime=Runtime(dtype="fp32", device="cpu"))
    found = np.asarray(ours.logits(pairs).values).reshape(-1)
    np.testing.assert_allclose(found, expected / ours.temperature, atol=2e-5)


def test_a_reranker_does_not_train_on_the_validation_pairs(base, tmp_path):
    with pytest.raises(JnlpError, match="among those of --valid"):
        RerankerTrainer().fit(
            rows(), rows(), RerankerOptions(), tmp_path / "x", models=None, base=base, device="cpu", progress=quiet
        )


def test_negatives_of_a_reranker_never_answer():
    pairs = [Pair("首都は?", "東京です", ("大阪です",)), Pair("首都は?", "東京都です"), Pair("犬は?", "動物です")]
    found = judge(pairs, 2, 0)
    wrong = [row.text for row in found if row.target == ()]
    assert ("首都は?", "大阪です") in wrong
    assert not {("首都は?", "東京です"), ("首都は?", "東京都です"), ("犬は?", "動物です")} & set(wrong)
    assert sum(row.target == (RELEVANT,) for row in found) == 3
