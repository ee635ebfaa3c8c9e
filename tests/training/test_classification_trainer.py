from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from jnlp.encoder.load import Runtime, load_classifier
from jnlp.encoder.runtime import has_bf16
from jnlp.encoder.windows import mean_logits
from jnlp.errors import JnlpError
from jnlp.testing import make_model
from jnlp.training.classifier.evaluation import measure
from jnlp.training.classifier.targets import Goal
from jnlp.training.classifier.trainer import ClassifierOptions, ClassifierTrainer, Sets, fit_classifier, hold_out
from jnlp.training.folder import encode
from jnlp.types import Example, ProblemType

GOOD = ("最高の映画でした", "とても面白かった", "感動して泣いた", "また観たい", "役者が素晴らしい", "音楽も良い")
BAD = ("最悪の映画でした", "とても退屈だった", "眠くて寝た", "もう観ない", "脚本がひどい", "音楽も駄目")
OPTIONS = ClassifierOptions(method="finetune", epochs=6, lr=3e-3, batch_size=8, max_length=64, seed=1)


def reviews(count: int = 60) -> list[Example]:
    rng = random.Random(0)
    rows = []
    for number in range(count):
        label, source = ("良い", GOOD) if number % 2 else ("悪い", BAD)
        rows.append(Example(f"{'。'.join(rng.sample(source, 2))}。感想その{number}", label))
    return rows


def quiet(*_: object) -> None:
    return None


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    texts = [*GOOD, *BAD, *(row.text for row in reviews())]
    return make_model(
        tmp_path_factory.mktemp("base") / "small", layers=2, hidden=32, texts=texts, initializer_range=0.02
    )


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "reviews"
    report = ClassifierTrainer().fit(
        reviews(), None, OPTIONS, out, models=None, base=base, device="cpu", progress=quiet
    )  # type: ignore[arg-type]
    return out, report


def test_it_learns_and_reports_on_rows_it_did_not_see(trained):
    out, report = trained
    assert report.folder == out
    assert report.rows == {"train": 48, "valid": 6, "test": 6}
    assert report.metrics["accuracy"] > 0.8 > report.metrics["majority_baseline"]
    assert report.details["measured_on"] == "test"
    assert report.metrics["accuracy_low"] < report.metrics["accuracy"] <= report.metrics["accuracy_high"]
    assert report.caution is not None
    assert report.caution.startswith("6 test rows are too few to tell much: give more rows")
    assert "macro_f1_low" not in report.metrics


def test_the_folder_says_what_it_is(trained):
    out, report = trained
    config = json.loads((out / "config.json").read_text())
    assert config["architectures"] == ["ModernBertForSequenceClassification"]
    assert config["id2label"] == {"0": "悪い", "1": "良い"}
    assert config["problem_type"] == "single_label_classification"
    assert config["classifier_pooling"] == "mean"
    assert config["jnlp_temperature"] > 0
    saved = json.loads((out / "metrics.json").read_text())
    assert saved["scores"]["metrics"]["accuracy"] == report.metrics["accuracy"]
    assert saved["details"]["options"]["seed"] == 1
    card = (out / "README.md").read_text()
    assert "Measured on 6 examples of the test set; 48 were trained on" in card
    assert f"- {report.caution}.\n" in card
    assert "--test-share" in card
    assert "1.000–1.000" not in card
    assert {p.name for p in out.iterdir()} >= {"model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert [p.name for p in out.parent.iterdir()] == ["reviews"]
    assert len({p.stat().st_mode for p in out.iterdir()}) == 1


def test_transformers_loads_it_with_equal_logits(trained):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from jnlp.encoder.load import load_classifier
    from jnlp.encoder.runtime import Runtime

    out, _ = trained
    texts = ["最高の映画でした。", "眠くて寝た", "雨が降っているので、傘を持って出かけました。"]
    model = AutoModelForSequenceClassification.from_pretrained(out).eval()
    tokenizer = AutoTokenizer.from_pretrained(out)
    with torch.no_grad():
        expected = [model(**tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in texts]
    ours = load_classifier(out, runtime=Runtime(dtype="fp32", device="cpu"))
    assert ours.labels == ("悪い", "良い") == tuple(model.config.id2label.values())
    np.testing.assert_allclose(ours.logits(texts).values, np.stack(expected) / ours.temperature, atol=1e-4)


def test_the_head_alone_learns_and_leaves_the_encoder(base, tmp_path):
    from safetensors.torch import load_file

    options = ClassifierOptions(epochs=40, batch_size=16, head_only=True, lr=1e-2, patience=0, weights="fp16")
    report = ClassifierTrainer().fit(
        reviews(), None, options, tmp_path / "m", models=None, base=base, device="cpu", progress=quiet
    )  # type: ignore[arg-type]
    assert report.metrics["accuracy"] > 0.8
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "m/model.safetensors")
    for name, tensor in after.items():
        if name.startswith("model."):
            assert tensor.equal(before[name].half())
    assert not after["head.dense.weight"].equal(before["head.dense.weight"].half())


def test_the_same_seed_gives_the_same_model(base, tmp_path):
    options = ClassifierOptions(epochs=1, batch_size=16, max_length=32)
    sets = hold_out(reviews(40), None, options)
    scores = [
        fit_classifier(sets, options, tmp_path / name, base=base, progress=quiet, device="cpu").metrics
        for name in ("a", "b")
    ]
    assert scores[0] == scores[1]
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b"))
    assert one == two


def test_several_labels_numbers_and_pairs(base, tmp_path):
    rows = reviews(40)
    options = ClassifierOptions(epochs=1, max_length=48, head_only=True)
    many = [Example(r.text, ("感想", str(r.target)) if i % 3 else ()) for i, r in enumerate(rows)]
    fit_classifier(hold_out(many, None, options), options, tmp_path / "many", base=base, device="cpu", progress=quiet)
    config = json.loads((tmp_path / "many/config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    assert list(config["id2label"].values()) == ["悪い", "感想", "良い"]
    numbers = [Example((r.text, "映画"), 1.5 + float(r.target == "良い")) for r in rows]
    report = fit_classifier(
        hold_out(numbers, None, options), options, tmp_path / "number", base=base, device="cpu", progress=quiet
    )
    config = json.loads((tmp_path / "number/config.json").read_text())
    assert (config["problem_type"], config["id2label"]) == ("regression", {"0": "score"})
    assert set(report.metrics) >= {"r2", "pearson", "spearman", "mean_absolute_error"}


def test_given_validation_rows_leave_the_training_rows():
    rows = reviews(40)
    valid = [Example(f" {row.text}　", row.target) for row in rows[:10]]
    sets = hold_out(rows, valid, ClassifierOptions(test_share=0.0))
    assert len(sets.train) == 30
    assert sets.valid == valid
    assert sets.test == []


def test_without_a_test_set_the_card_says_so(base, tmp_path):
    rows = reviews(40)
    options = ClassifierOptions(epochs=1, head_only=True)
    report = fit_classifier(
        Sets(rows[:30], rows[30:], []), options, tmp_path / "m", base=base, device="cpu", progress=quiet
    )
    assert report.details["measured_on"] == "validation"
    assert "the scores are too good" in (tmp_path / "m/README.md").read_text()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([Example(f"文{i}", "同じ") for i in range(30)], r"the training set has 1 label\(s\): 同じ"),
        ([Example("あ", "a"), Example("い", "b")], "2 examples are too few"),
        ([Example(f"文{i}", " ") for i in range(30)], "empty label"),
    ],
)
def test_what_cannot_be_trained_is_one_clear_error(rows, message, base, tmp_path):
    with pytest.raises(JnlpError, match=message):
        ClassifierTrainer().fit(
            rows, None, OPTIONS, tmp_path / "m", models=None, base=base, device="cpu", progress=quiet
        )  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_overwritten(base, tmp_path):
    (tmp_path / "thesis.txt").write_text("大事な文書")
    with pytest.raises(JnlpError, match="exists already"):
        fit_classifier(hold_out(reviews(), None, OPTIONS), OPTIONS, tmp_path, base=base, device="cpu", progress=quiet)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_failure_half_way_leaves_nothing_behind(base, tmp_path):
    def stop(phase: str, *_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_classifier(hold_out(reviews(), None, OPTIONS), OPTIONS, tmp_path / "m", base=base, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_another_architecture_is_refused(base, tmp_path):
    other = tmp_path / "bert"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(JnlpError, match="is a bert model"):
        fit_classifier(hold_out(reviews(), None, OPTIONS), OPTIONS, tmp_path / "m", base=other, progress=quiet)


def test_a_model_that_loses_to_a_guess_says_so(base, tmp_path):
    """Labels that do not depend on the text: the screen and the card say that nothing was learned."""
    rows = [Example(f"{n}番目の文です。", "良い" if n % 3 else "悪い") for n in range(60)]
    options = replace(OPTIONS, epochs=1, lr=1e-6)
    report = ClassifierTrainer().fit(
        rows, None, options, tmp_path / "m", models=None, base=base, device="cpu", progress=quiet
    )  # type: ignore[arg-type]
    assert report.metrics["accuracy"] <= report.metrics["majority_baseline"]
    first = report.caution.splitlines()[0]
    assert "is not above that of always guessing the commonest label" in first
    assert first in (tmp_path / "m" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("head_only", [False, True])
def test_long_texts_are_read_in_windows_as_in_use(base, tmp_path, head_only):
    rows = [
        replace(row, text=f"{'これは長い前置きです。' * (1 + n % 3)}{row.text}") for n, row in enumerate(reviews(40))
    ]
    options = replace(OPTIONS, epochs=1, max_length=24, head_only=head_only, test_share=0.0)
    sets = hold_out(rows, None, options)
    fit_classifier(sets, options, tmp_path / "m", base=base, device="cpu", progress=quiet)
    made = json.loads((tmp_path / "m" / "metrics.json").read_text("utf-8"))
    assert made["cut"] == 0
    classifier = load_classifier(tmp_path / "m", runtime=Runtime(device="cpu", dtype="fp32"))
    assert classifier.max_length == 24
    logits = classifier.logits([row.text for row in sets.valid])
    assert len(logits.values) > len(sets.valid)
    goal = Goal(("悪い", "良い"), ProblemType.SINGLE_LABEL)
    found = measure(mean_logits(logits), goal.targets(sets.valid), goal, draws=0)["metrics"]
    exact = 2e-3 if has_bf16("cpu") else 1e-4  # training computes in bf16 where the processor has it
    assert found["log_loss"] == pytest.approx(made["scores"]["metrics"]["log_loss"], abs=exact)


def test_texts_of_too_many_windows_are_counted(base):
    found, cut = encode(base, ["短い文", "とても長い文です。" * 60], 16, most=4)
    assert [len(text.windows) for text in found] == [1, 4]
    assert cut == 1
    assert sum(found[1].shares) == pytest.approx(1)


def test_layers_far_from_the_head_learn_more_slowly(base, tmp_path):
    from safetensors.torch import load_file

    before = load_file(base / "model.safetensors")
    moved = {}
    for decay in (1.0, 0.3):
        options = replace(OPTIONS, epochs=1, layer_decay=decay)
        out = tmp_path / str(decay)
        sets = hold_out(reviews(), None, options)
        fit_classifier(sets, options, out, base=base, device="cpu", progress=quiet)
        after = load_file(out / "model.safetensors")
        moved[decay] = {name: float((after[name] - before[name]).abs().mean()) for name in after.keys() & before.keys()}
    layers = [f"model.layers.{layer}.mlp.Wi.weight" for layer in (0, 1)]
    first, second = (moved[0.3][name] / moved[1.0][name] for name in layers)
    embeddings = moved[0.3]["model.embeddings.tok_embeddings.weight"]
    assert embeddings / moved[1.0]["model.embeddings.tok_embeddings.weight"] < first < second < 0.6


def test_rates_fall_by_depth_and_the_head_has_the_whole(base):
    from jnlp.encoder.config import ModernBertConfig
    from jnlp.encoder.modernbert import ModernBertForSequenceClassification
    from jnlp.training.optim import optimisers

    config = json.loads((base / "config.json").read_text("utf-8"))
    config["id2label"] = {"0": "a", "1": "b"}
    model = ModernBertForSequenceClassification(ModernBertConfig.from_dict(config))
    (optimiser,) = optimisers(model, "adamw", lr=1.0, matrix_lr=0.0, weight_decay=0.1, layer_decay=0.5)
    rates = {id(param): group["lr"] for group in optimiser.param_groups for param in group["params"]}
    decays = {id(param): group["weight_decay"] for group in optimiser.param_groups for param in group["params"]}
    named = {name: (rates[id(param)], decays[id(param)]) for name, param in model.named_parameters()}
    assert named["classifier.weight"] == (1.0, 0.1)
    assert named["model.layers.1.mlp.Wi.weight"] == (0.5, 0.1)
    assert named["model.layers.0.mlp.Wi.weight"] == (0.25, 0.1)
    assert named["model.embeddings.tok_embeddings.weight"] == (0.125, 0.0)
    (plain,) = optimisers(model, "adamw", lr=1.0, matrix_lr=0.0, weight_decay=0.1)
    assert len(plain.param_groups) == 2


def test_balanced_weights_make_classes_count_alike(base, tmp_path):
    import torch

    from jnlp.training.classifier.finetune import _loss, class_weights

    goal = Goal(("a", "b"), ProblemType.SINGLE_LABEL)
    truth = np.array([0] * 9 + [1])
    weights = class_weights(truth, goal)
    assert weights.tolist() == pytest.approx([10 / 18, 5.0])
    assert weights[truth].mean() == pytest.approx(1.0)
    several = class_weights(np.array([[1, 0], [1, 0], [1, 1], [0, 0]]), replace(goal, problem=ProblemType.MULTI_LABEL))
    assert several.tolist() == pytest.approx([1.0, 3.0])
    truth, logits = torch.tensor([0, 0, 0, 1]), torch.zeros(4, 2, requires_grad=True)
    _loss(logits, truth, goal.problem, torch.from_numpy(class_weights(truth.numpy(), goal))).backward()
    assert logits.grad is not None
    assert logits.grad.sum(dim=0).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)  # the guess is already even
    logits.grad = None
    _loss(logits, truth, goal.problem, None).backward()
    assert logits.grad[:, 0].sum() < -0.5  # without weights it moves to the common class
    rows = [row for n, row in enumerate(reviews(120)) if row.target == "良い" or n % 8 == 0]
    options = replace(OPTIONS, class_weights="balanced")
    report = ClassifierTrainer().fit(
        rows, None, options, tmp_path / "m", models=None, base=base, device="cpu", progress=quiet
    )  # type: ignore[arg-type]
    assert report.metrics["macro_f1"] > 0.4
    assert report.details["options"]["class_weights"] == "balanced"
