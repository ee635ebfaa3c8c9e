"""`--method few-shot`: an embedder tuned to a few rows, and when `auto` tries it."""

from __future__ import annotations

import json
import random
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import jnlp
from jnlp.cli import build_cli
from jnlp.encoder.load import load_embedder
from jnlp.testing import make_model
from jnlp.training.classifier.candidates import Candidate, choose
from jnlp.training.classifier.contrast import Tuning, supervised_contrast, tune
from jnlp.training.classifier.few_shot import MOST_PER_LABEL, is_few
from jnlp.training.classifier.targets import Goal
from jnlp.types import Example, ProblemType

WORDS = {
    "食": ("寿司を握る", "麺をゆでる", "米を炊く", "鍋で煮る"),
    "車": ("車に乗る", "道が混む", "橋を渡る", "駅へ走る"),
}
needs_datasets = pytest.mark.skipif(find_spec("datasets") is None, reason="datasets (extra train) is not installed")


def topics(rows: int = 30) -> list[Example]:
    rng = random.Random(0)
    labels = [("食", "車")[n % 2] for n in range(rows)]
    return [Example("。".join(rng.sample(WORDS[label], 2)) + f"{n}番", label) for n, label in enumerate(labels)]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    texts = [str(row.text) for row in topics()]
    return make_model(tmp_path_factory.mktemp("embedder") / "small", layers=1, hidden=32, texts=texts)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_text(
        "\n".join(["text,label,other", *(f"{row.text},{row.target},対" for row in topics())]), encoding="utf-8"
    )
    return path


def train(*arguments: object) -> Result:
    flags = ["--text", "text", "--label", "label", "--device", "cpu"]
    return CliRunner().invoke(build_cli(), ["train", "classifier", *map(str, arguments), *flags])


def test_the_loss_is_the_mean_over_the_pairs_of_a_label():
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
    labels = torch.tensor([0, 0, 0, 1])
    cosines = (vectors @ vectors.T / 0.5).numpy()
    expected = []
    for row in range(3):
        others = [other for other in range(4) if other != row]
        total = np.log(np.exp(cosines[row, others]).sum())
        expected.append(np.mean([total - cosines[row, other] for other in others if other < 3]))
    assert float(supervised_contrast(vectors * 7, labels, 0.5)) == pytest.approx(np.mean(expected), abs=1e-5)
    lone = torch.tensor([0, 1, 2, 3])
    assert float(supervised_contrast(vectors, lone, 0.5)) == 0.0


@needs_datasets
def test_a_tuned_folder_is_an_embedder_that_separates_the_labels(tmp_path, embedder):
    from sentence_transformers import SentenceTransformer

    texts, labels = [str(row.text) for row in topics()], [n % 2 for n in range(30)]
    steps: list[tuple[int, int]] = []
    how = Tuning(epochs=6, batch=15, rate=2e-3)
    (tmp_path / "tuned").mkdir()
    tune(
        embedder, texts, labels, tmp_path / "tuned", device=torch.device("cpu"), how=how,
        step=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert steps == [(n, 12) for n in range(1, 13)]

    def contrast(folder: object) -> float:
        vectors = torch.from_numpy(load_embedder(folder).embed(texts).vectors)  # type: ignore[arg-type]
        return float(supervised_contrast(vectors, torch.tensor(labels), 0.1))

    assert contrast(tmp_path / "tuned") < contrast(embedder) - 0.1
    theirs = SentenceTransformer(str(tmp_path / "tuned"), device="cpu").encode(texts[:4], normalize_embeddings=True)
    ours = load_embedder(tmp_path / "tuned").embed(texts[:4]).vectors
    assert (ours / np.linalg.norm(ours, axis=1, keepdims=True) * theirs).sum(axis=1) == pytest.approx(1, abs=2e-2)


@needs_datasets
def test_a_time_limit_ends_the_tuning(tmp_path, embedder):
    steps: list[int] = []
    tune(
        embedder, [str(row.text) for row in topics()], [n % 2 for n in range(30)], tmp_path / "tuned",
        device=torch.device("cpu"), how=Tuning(batch=2, seconds=0.0), step=lambda done, _: steps.append(done),
    )  # fmt: skip
    assert steps == [1]
    assert (tmp_path / "tuned/model.safetensors").is_file()


@needs_datasets
def test_it_makes_a_classifier_like_any_other(tmp_path, embedder, rows):
    result = train(rows, "--method", "few-shot", "--embedder", embedder, "-o", tmp_path / "m")
    assert result.exit_code == 0, result.output
    assert not any("Traceback" in line or "warn" in line.lower() for line in result.stderr.splitlines())
    made = json.loads((tmp_path / "m/metrics.json").read_text("utf-8"))
    assert made["method"] == "few-shot"
    assert [row["method"] for row in made["methods"]] == ["majority", "linear", "few-shot"]
    assert made["scores"]["metrics"]["accuracy"] == 1.0
    assert (tmp_path / "m/embedder").exists() == (made["choice"]["vectors"] > 0)
    assert "tuned to the rows" in (tmp_path / "m/README.md").read_text("utf-8")
    found = jnlp.load().run("classify", ["米を炊く", "橋を渡る"], model=str(tmp_path / "m"))
    assert [one.label for one in found] == ["食", "車"]


@needs_datasets
def test_auto_tries_it_where_a_label_has_few_rows(tmp_path, embedder, rows):
    result = train(rows, "--embedder", embedder, "-o", tmp_path / "m")
    assert result.exit_code == 0, result.output
    made = json.loads((tmp_path / "m/metrics.json").read_text("utf-8"))
    assert [row["method"] for row in made["methods"]] == ["majority", "linear", "few-shot"]
    assert "on 26 rows with those of cross-validation" in made["why"]


def test_only_few_rows_of_single_texts_with_one_label_are_few():
    assert is_few(topics(), "auto")
    assert not is_few(topics(3 * MOST_PER_LABEL), "auto")
    assert not is_few([*topics(), Example("一つ", "他")], "auto")  # a label in fewer rows than folds
    assert not is_few([Example((str(row.text), "対"), row.target) for row in topics()], "auto")
    assert not is_few([Example(row.text, 0.5 + n) for n, row in enumerate(topics())], "auto")


def test_candidates_that_were_cross_validated_are_compared_on_all_rows():
    goal = Goal(("a", "b"), ProblemType.SINGLE_LABEL)
    truth = np.arange(40) % 2
    right = np.eye(2, dtype=np.float32)[truth] * 4
    wrong = right[:, ::-1]
    valid = right[:4]
    first = Candidate("linear", valid, None, 1.0, 0.0, crossed=wrong)
    second = Candidate("few-shot", valid, None, 1.0, 0.0, crossed=right)
    assert choose([first, second], truth[:4], goal)[0] is first
    kept, why = choose([first, second], truth[:4], goal, trained=truth)
    assert kept is second
    assert why.endswith("on 44 rows with those of cross-validation")


def test_a_better_macro_f1_does_not_pay_for_a_lower_accuracy():
    goal = Goal(("a", "b"), ProblemType.SINGLE_LABEL)
    truth = np.asarray([0] * 180 + [1] * 20)
    always = np.tile(np.asarray([[4.0, 0.0]], dtype=np.float32), (200, 1))
    eager = always.copy()
    eager[160:] = [0.0, 4.0]  # all of the rare label, and as many of the other
    first = Candidate("linear", always, None, 1.0, 0.0)
    second = Candidate("finetune", eager, None, 1.0, 0.0)
    kept, why = choose([first, second], truth, goal)  # as accurate, and no surer of what is right
    assert kept is first
    assert why == (
        "finetune is not more accurate by more than chance, though its mean of accuracy and macro F1 is better:"
        " 0.852 against 0.687"
    )
    surer = np.where(np.arange(200)[:, None] < 160, always, np.float32([0.0, 0.5]))
    assert choose([first, Candidate("finetune", surer, None, 1.0, 0.0)], truth, goal)[0].valid is surer  # less loss
    eager[160:170] = [4.0, 0.0]
    assert choose([first, second], truth, goal)[0] is second  # more accurate
    eager[160:170] = [0.0, 4.0]
    eager[159] = [0.0, 4.0]
    kept, why = choose([first, second], truth, goal)
    assert kept is first
    assert why == (
        "finetune is less accurate (0.895 against 0.900), though its mean of accuracy and macro F1 is better:"
        " 0.846 against 0.687"
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--embedder", "none"], "--embedder is none"),
        (["--text-pair", "other"], "one label for each single text"),
        (["--embedder", "tiny-toxicity"], "gives no vectors"),
    ],
)
def test_what_it_cannot_learn_is_one_line(tmp_path, rows, flags, said):
    result = train(rows, "--method", "few-shot", "-o", tmp_path / "m", *flags)
    assert result.exit_code != 0
    assert said in next(line for line in result.output.splitlines() if line.startswith("jnlp: error: "))
    assert "Traceback" not in result.output
    assert not (tmp_path / "m").exists()


def test_without_datasets_it_names_the_extra(tmp_path, embedder, rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    result = train(rows, "--method", "few-shot", "--embedder", embedder, "-o", tmp_path / "m")
    assert result.exit_code == 1
    assert "few-shot" in result.output
    assert "jnlp[train]" in result.output


def test_auto_says_which_package_would_let_it_tune(tmp_path, embedder, rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    result = train(rows, "--embedder", embedder, "-o", tmp_path / "m")
    assert result.exit_code == 0, result.output
    made = json.loads((tmp_path / "m/metrics.json").read_text("utf-8"))
    assert [row["method"] for row in made["methods"]] == ["majority", "linear"]
    assert made["why"].endswith("few-shot needs datasets (pip install 'jnlp[train]')")


def test_several_processes_do_not_tune(tmp_path, embedder, rows, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = train(rows, "--method", "few-shot", "--embedder", embedder, "-o", tmp_path / "m")
    assert result.exit_code == 1
    assert "few-shot runs in one process" in result.output
