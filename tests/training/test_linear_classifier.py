"""`--method linear` and `auto`: what they fit, save and choose."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load_file, save_file

import jnlp
from jnlp.cli import build_cli
from jnlp.encoder.linear_classifier import save_linear
from jnlp.encoder.load import load_embedder
from jnlp.encoder.ngrams import OVERLAPS, codes, count, learn, overlaps
from jnlp.errors import JnlpError, MissingHeadError, RecordError
from jnlp.models.folder import BUILTIN
from jnlp.testing import make_model
from jnlp.training.classifier.linear import PLAIN, STRENGTHS, Choice, Search, fit_linear, read_features, search
from jnlp.training.classifier.solver import factors, solve
from jnlp.training.classifier.targets import goal, typed
from jnlp.training.classifier.trainer import ClassifierOptions, ClassifierTrainer
from jnlp.types import Example, ProblemType

SINGLE, MULTI, REGRESSION = ProblemType.SINGLE_LABEL, ProblemType.MULTI_LABEL, ProblemType.REGRESSION
WORDS = {
    "食": ("寿司を握る", "麺をゆでる", "米を炊く", "鍋で煮る"),
    "車": ("車に乗る", "道が混む", "橋を渡る", "駅へ走る"),
}


def topics(rows: int = 60, seed: int = 0) -> list[Example]:
    rng = random.Random(seed)
    labels = [("食", "車")[n % 2] for n in range(rows)]
    return [Example("。".join(rng.sample(WORDS[label], 2)) + f"{n}番", label) for n, label in enumerate(labels)]


def quiet(*_: object) -> None:
    return None


def fit(rows: list[Example], out: Path, **options: object) -> jnlp.TrainReport:
    chosen = ClassifierOptions(**{"method": "linear", "embedder": "none"} | options)  # type: ignore[arg-type]
    return ClassifierTrainer().fit(
        rows, None, chosen, out, models=None, base=out.parent / "none", device="cpu", progress=quiet
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    texts = [row.text for row in topics()]
    return make_model(tmp_path_factory.mktemp("embedder") / "small", layers=1, hidden=32, texts=texts)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(build_cli(), list(map(str, arguments)))


# --- n-grams ---------------------------------------------------------------------------------------------------


def test_an_ngram_is_its_own_code():
    found = codes("あい\t\n うＡ")  # NFKC, case folded, one space for all white space
    assert len(found) == 5 + 4 + 3
    assert set(codes("a")) < set(found)
    assert len({*codes("あ"), *codes("ああ"), *codes("あああ")}) == 3
    assert codes("").size == 0
    assert (codes("\U0010ffff" * 3) > 0).all()


def test_of_a_pair_only_the_difference_is_counted():
    assert count(("同じ", "同じ"))[0].size == 0
    here, there = count(("あ", "い")), count(("い", "あ"))
    assert len(here[0]) == 2
    assert (here[0] < 0).sum() == 1
    assert set(here[0]).isdisjoint(there[0])
    assert overlaps(("同じ文", "同じ文")) == [1.0] * 9 + [0.0]
    assert overlaps(("あ", "い"))[:9] == [0.0] * 9
    assert np.isfinite(overlaps(("", ""))).all()


def test_rows_of_a_vocabulary_have_length_one():
    counts = [count(text) for text in ("寿司を握る", "駅へ走る", "")]
    vocabulary = learn(counts)
    rows = vocabulary.rows([*counts, count("知らぬ")])
    dense = rows.times(np.eye(len(vocabulary.codes), dtype=np.float32))
    assert np.linalg.norm(dense, axis=1) == pytest.approx([1, 1, 0, 0], abs=1e-5)
    assert len(learn(counts, most=3).codes) == 3


# --- the solver ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
def test_rows_products_give_the_same_weights_as_the_features(problem):
    rng = np.random.default_rng(0)
    features, aims = rng.normal(size=(20, 40)), np.eye(3)[rng.integers(0, 3, 20)]
    direct = solve(features, aims, problem, strength=2.0)
    inner, outer = factors(features @ features.T)
    dual = solve(inner, aims, problem, strength=2.0)
    assert features.T @ (outer @ dual.weights) == pytest.approx(direct.weights, abs=5e-3)
    assert dual.bias - dual.bias.mean() == pytest.approx(direct.bias - direct.bias.mean(), abs=5e-3)


def test_it_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    features, classes = rng.normal(size=(60, 5)), rng.integers(0, 3, 60)
    ours = solve(features, np.eye(3)[classes], SINGLE, strength=0.5)
    theirs = linear_model.LogisticRegression(C=0.5, max_iter=1000).fit(features, classes)
    assert ours.weights.T.ravel() == pytest.approx(theirs.coef_.ravel(), abs=5e-3)
    ridge = linear_model.Ridge(alpha=2.0).fit(features, features[:, :1] ** 2)
    assert solve(features, features[:, :1] ** 2, REGRESSION, strength=0.5).weights[:, 0] == pytest.approx(
        np.ravel(ridge.coef_), abs=1e-6
    )


def test_many_rows_are_fitted_as_few_are(monkeypatch):
    rows = typed(topics(40), SINGLE)
    wanted = goal(rows, SINGLE)
    features, targets = read_features(rows, None), goal(rows, SINGLE).targets(rows)
    chosen = Search(Choice(1.0, 0.0, 0.0, 3.0), 0.0, 1.0, {})
    few = fit_linear(features, targets, wanted, chosen)
    monkeypatch.setattr("jnlp.training.classifier.linear._KERNEL", 10)
    many = fit_linear(features, targets, wanted, chosen)
    assert features.logits(many) == pytest.approx(features.logits(few), abs=0.02)


def test_the_choice_is_made_on_folds_that_share_no_text():
    rows = [Example(row.text.split("番")[0], row.target) for row in topics(40)]
    found = search(read_features(rows, None), typed(rows, SINGLE), goal(rows, SINGLE))
    assert found.choice.strength in STRENGTHS
    assert found.loss == found.tried[found.choice] < 0.69  # that of a guess


def test_no_choice_is_less_accurate_than_ngrams_alone(monkeypatch):
    rng = random.Random(1)
    words = [word for some in WORDS.values() for word in some]
    # the texts hardly say which ones are rare: finding some of them costs accuracy
    rows = [
        Example(f"{rng.choice(words)}。{rng.choice(words)}と{n}番", ("良い", "悪い")[rng.random() < 0.2])
        for n in range(240)
    ]
    features, wanted = read_features(rows, None), goal(rows, SINGLE)
    targets = wanted.targets(rows)
    chosen = search(features, rows, wanted)
    monkeypatch.setattr("jnlp.training.classifier.linear.STRENGTHS", (1.0,))
    monkeypatch.setattr("jnlp.training.classifier.linear._COARSE", (1.0,))
    plain = search(features, rows, wanted)
    assert plain.choice == PLAIN
    assert accuracy(chosen, targets) >= accuracy(plain, targets)


def test_a_choice_that_is_better_on_one_division_by_chance_gives_way_to_ngrams(embedder, monkeypatch):
    rng = random.Random(3)
    words = [word for some in WORDS.values() for word in some]
    rare = [  # no text says which ones are rare
        Example(f"{rng.choice(words)}。{rng.choice(words)}と{n}番", ("良い", "悪い")[rng.random() < 0.2])
        for n in range(240)
    ]
    for rows, loose, wins in ((rare, 3.0, False), (rare, 0.0, True), (topics(240), 1.0, True)):
        features = read_features(rows, load_embedder(embedder))
        best = Choice(1.0, loose, 0.0, 100.0 if loose == 3.0 else 0.1 if not loose else 10.0)
        monkeypatch.setattr("jnlp.training.classifier.linear._most_accurate", lambda _, best=best: best)
        monkeypatch.setattr("jnlp.training.classifier.linear._blocks", lambda *_, best=best: [PLAIN, best])
        assert search(features, rows, goal(rows, SINGLE)).choice == (best if wins else PLAIN)


def test_few_rows_do_not_choose_vectors_far_above_the_ngrams(embedder):
    model = load_embedder(embedder)
    for rows, most in ((topics(60), 1.0), (topics(200), 3.0)):
        found = search(read_features(rows, model), rows, goal(rows, SINGLE))
        assert max(choice.vectors for choice in found.tried) == most


def accuracy(found: Search, targets: np.ndarray) -> float:
    assert found.logits is not None
    return float((found.logits.argmax(axis=1) == targets).mean())


def test_numbers_of_few_pairs_are_ranked_as_the_cosine_ranks_them(embedder):
    rng = random.Random(2)
    words = [word for some in WORDS.values() for word in some]
    rows = [Example((rng.choice(words) + "こと", rng.choice(words) + "もの"), 0.0) for _ in range(30)]
    features = read_features(rows, load_embedder(embedder))
    cosine = features.dense[:, -OVERLAPS - 1]
    noise = np.random.default_rng(0).normal(size=30) * 2
    rows = [Example(row.text, float(5 * place + n)) for row, place, n in zip(rows, cosine, noise, strict=True)]
    wanted = goal(rows, REGRESSION)
    found = search(features, rows, wanted)
    assert found.choice.cosine > 1
    model = fit_linear(features, wanted.targets(rows), wanted, found)
    even = Search(replace(found.choice, cosine=1.0), 0.0, 1.0, {})
    less = fit_linear(features, wanted.targets(rows), wanted, even)
    assert alike(features.logits(model)[:, 0], cosine) > alike(features.logits(less)[:, 0], cosine)


def alike(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


# --- the folder ------------------------------------------------------------------------------------------------


def test_a_linear_model_is_a_model_like_any_other(tmp_path):
    report = fit(topics(), tmp_path / "m")
    assert report.metrics["accuracy"] == 1.0
    assert report.rows == {"train": 48, "valid": 6, "test": 6}
    assert report.chosen == ("linear", "it was asked for")
    assert set(report.methods) == {"majority", "linear"}
    assert {path.name for path in (tmp_path / "m").iterdir()} == {
        "config.json", "model.safetensors", "metrics.json", "report.json", "report.html", "README.md",
    }  # fmt: skip
    nlp = jnlp.load()
    assert nlp.run("classify", ["米を炊く"], model=str(tmp_path / "m"))[0].label == "食"
    result = command("classify", "橋を渡る", "--model", tmp_path / "m", "--format", "jsonl")
    assert json.loads(result.stdout)["label"] == "車"
    spec = nlp.resolve(str(tmp_path / "m")).spec
    assert (spec.labels, spec.problem_type) == (("車", "食"), SINGLE)
    assert "linear text classifier" in (tmp_path / "m" / "README.md").read_text("utf-8")
    with pytest.raises(MissingHeadError, match="linear"):
        nlp.run("embed", ["文"], model=str(tmp_path / "m"))


def test_the_saved_model_is_fitted_to_all_rows(tmp_path):
    rows = topics()
    fit(rows, tmp_path / "all")
    fit(rows, tmp_path / "train", refit=False)
    made = [json.loads((tmp_path / name / "metrics.json").read_text("utf-8")) for name in ("all", "train")]
    assert [report["refitted_on"] for report in made] == [60, 48]
    assert made[0]["scores"] == made[1]["scores"]
    whole, part = (len(load_file(tmp_path / name / "model.safetensors")["ngrams.codes"]) for name in ("all", "train"))
    assert whole > part


def test_several_labels(tmp_path):
    both = zip(topics(), topics(seed=3)[1:], strict=False)  # neighbours have different labels
    rows = [Example(f"{a.text}{b.text}", ("食", "車")) for a, b in both]
    rows += [Example(row.text, (str(row.target),)) for row in topics(seed=4)]
    rows += [Example(f"無関係の話{n}", ()) for n in range(20)]
    report = fit(rows, tmp_path / "m")
    assert report.metrics["micro_f1"] > 0.8
    assert jnlp.load().run("classify", ["米を炊く"], model=str(tmp_path / "m"))[0].label == "食"


def test_numbers_of_pairs_by_vectors_and_overlap(tmp_path, embedder):
    rng = random.Random(0)
    rows = []
    for number in range(60):
        a, b = rng.sample(WORDS["食"] + WORDS["車"], 2)
        same = number % 2
        rows.append(
            Example((a + f"{number}番", (a if same else b) + f"と{number}番"), 4.0 + 0.1 * same if same else 1.0)
        )
    report = fit(rows, tmp_path / "m", embedder=str(embedder))
    assert report.metrics["spearman"] > 0.7
    folder = str(tmp_path / "m")
    nlp = jnlp.load()
    near, far = nlp.run("classify", [("米を炊く", "米を炊くと"), ("米を炊く", "駅へ走ると")], model=folder)
    assert near.score > far.score + 1
    assert (tmp_path / "m" / "embedder" / "tokenizer.json").is_file()
    with pytest.raises(RecordError, match="pairs"):
        nlp.run("classify", ["一つの文"], model=folder)


def test_vectors_that_do_not_help_are_not_saved(tmp_path, embedder):
    fit(topics(), tmp_path / "m", embedder=str(embedder))
    made = json.loads((tmp_path / "m" / "metrics.json").read_text("utf-8"))
    assert (tmp_path / "m" / "embedder").exists() == (made["choice"]["vectors"] > 0)


def test_a_long_text_is_one_window_and_read_whole(tmp_path):
    fit(topics(), tmp_path / "m")
    classifier = jnlp.load().models(str(tmp_path / "m")).classifier()
    found = classifier.logits(["駅へ走る。" * 3000, ""])
    assert found.values.shape == (2, 2)
    assert (found.owner.tolist(), found.cut.tolist()) == ([0, 1], [0, 0])
    assert found.spans[0].tolist() == [0, 15000]


@pytest.mark.parametrize("damage", ["missing", "shape", "nan", "cut"])
def test_a_damaged_folder_is_one_clear_error(damage, tmp_path):
    fit(topics(), tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    tensors = load_file(path)
    if damage == "missing":
        del tensors["bias"]
    elif damage == "shape":
        tensors["ngrams.weight"] = tensors["ngrams.weight"][:-1]
    elif damage == "nan":
        tensors["bias"] = tensors["bias"] * np.float32("nan")
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(JnlpError, match=r"model\.safetensors"):
        jnlp.load().run("classify", ["米"], model=str(tmp_path / "m"))


def test_rare_labels_can_count_as_much(tmp_path):
    rows = [row for n, row in enumerate(topics(120)) if row.target == "食" or n % 10 == 1]
    report = fit(rows, tmp_path / "m", class_weights="balanced")
    assert report.metrics["macro_f1"] > 0.4


# --- the choice of a method ------------------------------------------------------------------------------------


def test_auto_leaves_few_rows_to_the_linear_model(tmp_path):
    report = fit(topics(), tmp_path / "m", method="auto")
    assert report.chosen is not None
    assert report.chosen[0] == "linear"
    assert "200 training rows" in report.chosen[1]


def test_auto_shows_all_methods_on_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("jnlp.training.classifier.trainer.FINETUNE_ROWS", 10)
    texts = [str(row.text) for row in topics()]
    base = make_model(tmp_path / "base", layers=1, hidden=32, texts=texts)
    lines = ["text,label", *(f"{row.text},{row.target}" for row in topics())]
    (tmp_path / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    flags = ["--text", "text", "--label", "label", "--model", base, "--epochs", "1", "--embedder", "none"]
    flags += ["--time-limit", "5"]
    result = command("train", "classifier", tmp_path / "rows.csv", *flags, "-o", tmp_path / "m", "--device", "cpu")
    assert result.exit_code == 0, result.output
    shown = [line.split()[0] for line in result.stderr.splitlines() if line.split()[:1]]
    assert {"majority", "linear", "finetune"} <= set(shown)
    made = json.loads((tmp_path / "m" / "metrics.json").read_text("utf-8"))
    assert [row["method"] for row in made["methods"]] == ["majority", "linear", "finetune"]
    assert all(row.keys() >= {"validation", "test", "seconds"} for row in made["methods"])
    assert made["method"] == "linear"  # one epoch of a random model cannot win
    assert made["why"] in (tmp_path / "m" / "README.md").read_text("utf-8")


def test_an_embedder_gives_the_vectors(embedder):
    rows = topics(10)
    features = read_features(rows, load_embedder(embedder))
    assert features.dense.shape == (10, 32)
    assert np.linalg.norm(features.dense, axis=1) == pytest.approx(np.ones(10), abs=1e-5)


def test_rows_of_a_group_are_held_out_together(tmp_path: Path) -> None:
    """Seven rows of each author: whole authors are held out, so each set has a multiple of seven."""
    rng = random.Random(0)
    rows = []
    for author in range(24):
        label = ("食", "車")[author % 2]
        rows += [
            {"text": f"{'。'.join(rng.sample(WORDS[label], 2))}{author}の{n}", "label": label, "著者": f"a{author}"}
            for n in range(7)
        ]
    rng.shuffle(rows)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    options = ("--text", "text", "--label", "label", "--method", "linear", "--embedder", "none")
    sizes = {}
    for name, more in (("apart", ()), ("together", ("--group", "著者"))):
        done = command("train", "classifier", file, "-o", tmp_path / name, *options, *more)
        assert done.exit_code == 0, done.output
        line = next(line for line in done.output.splitlines() if line.startswith("rows "))
        sizes[name] = [int(part.split()[-1].replace(",", "")) for part in line.removeprefix("rows").split(", ")]
    assert sum(sizes["together"]) == 168
    assert all(size % 7 == 0 and size for size in sizes["together"])
    assert any(size % 7 for size in sizes["apart"])
    wrong = command("train", "classifier", file, "-o", tmp_path / "x", *options, "--group", "無い")
    assert wrong.exit_code != 0
    assert "無い" in wrong.output


def test_a_model_may_name_a_built_in_embedder_and_refuses_other_weights(tmp_path: Path) -> None:
    rows = typed(topics(20), SINGLE)
    wanted = goal(rows, SINGLE)
    embedder = BUILTIN / "tiny-search"
    features = read_features(rows, load_embedder(embedder))
    model = fit_linear(features, wanted.targets(rows), wanted, Search(Choice(1.0, 1.0, 0.0, 3.0), 0.0, 1.0, {}))
    for name, named in (("copied", False), ("named", True)):
        (tmp_path / name).mkdir()
        save_linear(tmp_path / name, model, wanted.labels, SINGLE, temperature=1.0, embedder=embedder, named=named)
    assert not (tmp_path / "named/embedder").exists()
    nlp = jnlp.load()
    both = [nlp.run("classify", ["米を炊く"], model=str(tmp_path / name))[0].scores for name in ("copied", "named")]
    assert both[0] == both[1]
    assert nlp.resolve(str(tmp_path / "named")).spec.max_length == 512
    file = tmp_path / "named/config.json"
    config = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(config | {"jnlp_embedder_weights": "0" * 64}), encoding="utf-8")
    with pytest.raises(JnlpError, match="other weights of tiny-search"):
        jnlp.load().run("classify", ["米"], model=str(tmp_path / "named"))
    for name in ("tiny-none", "../copied/embedder", 3):
        file.write_text(json.dumps(config | {"jnlp_embedder": name}), encoding="utf-8")
        result = command("classify", "米", "--model", tmp_path / "named")
        assert result.exit_code == 1
        assert "built-in model" in result.output
