"""Learning from a teacher: its cache, the losses by hand, and runs through the command line."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.encoder.vectors import unit
from jnlp.testing import make_model
from jnlp.training.embedder.losses import also_answers, match_rankings, match_similarities, match_vectors
from jnlp.training.embedder.teacher import Teacher
from jnlp.types import Purpose

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PLACES = ("札幌", "仙台", "東京", "横浜", "京都", "大阪", "神戸", "広島", "福岡", "那覇")
THINGS = ("寺", "城", "駅", "川", "祭り", "市場")
PAIRS = [(f"{p}の{t}はどこ?", f"{p}には有名な{t}があります。") for p in PLACES for t in THINGS]


class Counting:
    """An embedder that counts what it is asked: the vector of a text is made of its characters."""

    dimension, fingerprint = 8, "f" * 40

    def __init__(self, fails_after: int = 10**9) -> None:
        self.prefixes = {Purpose.QUERY: "問い: ", Purpose.DOCUMENT: "文: "}
        self.asked: list[str] = []
        self.fails_after = fails_after

    def embed(self, texts: Sequence[str], /, *, purpose: Purpose, overflow: object) -> Any:
        del purpose, overflow
        if len(self.asked) + len(texts) > self.fails_after:
            raise KeyboardInterrupt
        self.asked += texts
        rows = [np.bincount([ord(c) % 8 for c in text], minlength=8) for text in texts]
        return SimpleNamespace(vectors=np.array(rows, np.float32))


def quiet(*_: object) -> None:
    return None


def test_each_text_is_embedded_once_and_kept(tmp_path: Path) -> None:
    texts = ["京都の寺", "東京の駅", "京都の寺", "那覇の市場"]
    first, second = Counting(), Counting()
    steps: list[tuple[int, int]] = []
    found = Teacher(first, tmp_path).embed(
        texts, Purpose.DOCUMENT, lambda _, done, total, __: steps.append((done, total))
    )  # type: ignore[arg-type]
    again = Teacher(second, tmp_path).embed([*texts[::-1], "札幌"], Purpose.DOCUMENT, quiet)  # type: ignore[arg-type]
    assert sorted(first.asked) == sorted(set(texts))
    assert second.asked == ["札幌"]
    assert steps == [(3, 3)]
    np.testing.assert_array_equal(again[:4], found[::-1])
    expected = unit(np.array([np.bincount([ord(c) % 8 for c in t], minlength=8) for t in texts], np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_another_prefix_or_teacher_has_vectors_of_its_own(tmp_path: Path) -> None:
    one, other = Counting(), Counting()
    other.fingerprint = "e" * 40
    for teacher in (one, other):
        for purpose in (Purpose.QUERY, Purpose.DOCUMENT):
            Teacher(teacher, tmp_path).embed(["京都"], purpose, quiet)  # type: ignore[arg-type]
    assert (len(one.asked), len(other.asked)) == (2, 2)
    assert Teacher(one, tmp_path).embed([], Purpose.QUERY, quiet).shape == (0, 8)  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", [0, 1, 15, 17, 100])
def test_a_stopped_teacher_goes_on_and_forgets_what_is_unfinished(
    cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jnlp.training.embedder.teacher.CHUNK", 4)
    texts = [f"{n}番目の文" for n in range(20)]
    stopped = Counting(fails_after=10)
    with pytest.raises(KeyboardInterrupt):
        Teacher(stopped, tmp_path).embed(texts, Purpose.DOCUMENT, quiet)  # type: ignore[arg-type]
    (folder,) = tmp_path.iterdir()
    keys = folder / "keys"
    keys.write_bytes(keys.read_bytes()[: keys.stat().st_size - cut])
    after = Counting()
    found = Teacher(after, tmp_path).embed(texts, Purpose.DOCUMENT, quiet)  # type: ignore[arg-type]
    assert len(stopped.asked) + len(after.asked) - 20 == min(8, -(-cut // 16))
    whole = Teacher(Counting(), tmp_path / "other").embed(texts, Purpose.DOCUMENT, quiet)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, whole)


def test_a_vector_that_is_the_teachers_projected_back_costs_nothing() -> None:
    torch.manual_seed(0)
    projection, vectors = torch.randn(6, 4), torch.randn(5, 4)
    assert match_vectors(vectors, vectors @ projection.T, projection).item() == pytest.approx(0, abs=1e-6)
    assert match_vectors(vectors, -(vectors @ projection.T), projection).item() == pytest.approx(2, abs=1e-6)
    narrow = match_vectors(vectors[:, :2], vectors[:, :2] @ projection[:, :2].T, projection)
    assert narrow.item() == pytest.approx(0, abs=1e-6)


def test_equal_similarities_cost_nothing_and_others_the_divergence() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(6, 4)
    turned = vectors @ torch.linalg.qr(torch.randn(4, 4)).Q
    assert match_similarities(vectors, turned, 0.1, 0.1).item() == pytest.approx(0, abs=1e-5)
    assert match_similarities(vectors, torch.randn(6, 4), 0.1, 0.1).item() > 0.1
    assert match_similarities(vectors[:2], turned[:2], 0.1, 0.1).item() == 0
    queries, documents = torch.eye(3)[:1], torch.eye(3)
    taught = (torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    hidden = torch.tensor([[False, False, True]])
    p = np.e / (np.e + 1)
    expected = 0.5 * np.log(0.5 / p) + 0.5 * np.log(0.5 / (1 - p))
    assert match_rankings(queries, documents, taught, hidden, 1.0, 1.0).item() == pytest.approx(expected, rel=1e-5)


def test_what_the_teacher_takes_for_an_answer_is_no_negative() -> None:
    documents = torch.tensor([[1.0, 0.0], [0.999, 0.04], [0.8, 0.6], [0.0, 1.0]])
    found = also_answers((documents[:1], documents), torch.tensor([0]), 0.95)
    assert found.tolist() == [[False, True, False, False]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    texts = [text for pair in PAIRS for text in pair]
    folder = tmp_path_factory.mktemp("models")
    shape = {"texts": texts, "initializer_range": 0.02}
    student = make_model(folder / "student", layers=1, hidden=32, **shape)  # type: ignore[arg-type]
    return student, make_model(folder / "teacher", layers=2, hidden=64, **shape)  # type: ignore[arg-type]


def train(models: tuple[Path, Path], rows: Path, out: Path, *more: str) -> dict[str, Any]:
    arguments = ["train", "embedder", str(rows), "-o", str(out), "--model", str(models[0]), "--device", "cpu"]
    chosen = ["--epochs", "3", "--batch-size", "16", "--max-length", "48", "--lr", "3e-3", "--patience", "0"]
    result = CliRunner().invoke(build_cli(), [*arguments, *chosen, *more], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    report: dict[str, Any] = json.loads((out / "metrics.json").read_text("utf-8"))
    return report


def test_single_texts_teach_what_the_teacher_finds_alike(models: tuple[Path, Path], tmp_path: Path) -> None:
    rows = tmp_path / "文.jsonl"
    rows.write_text("".join(json.dumps({"文": text}) + "\n" for pair in PAIRS for text in pair), "utf-8")
    cache = tmp_path / "cache"
    asked = ["--text", "文", "--teacher", str(models[1]), "--teacher-cache", str(cache), "--dimensions", "8"]
    report = train(models, rows, tmp_path / "out", *asked)
    assert report["sets"] == {"texts": 108}
    assert report["scores"]["texts/agreement"] > report["before"]["texts/agreement"]
    assert report["epochs"][-1]["loss"] < report["epochs"][0]["loss"]
    assert report["details"]["options"]["teacher"] == models[1].name
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("vectors.f16")}
    assert len(kept) == 1
    again = train(models, rows, tmp_path / "again", *asked)
    assert again["epochs"] == report["epochs"]
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("vectors.f16")} == kept


def test_pairs_and_texts_learn_from_a_teacher_together(models: tuple[Path, Path], tmp_path: Path) -> None:
    rows = tmp_path / "組.jsonl"
    rows.write_text("".join(json.dumps({"問い": q, "答え": d}) + "\n" for q, d in PAIRS), "utf-8")
    asked = ["--text", "問い", "--text-pair", "答え", "--mine", "2"]
    plain = train(models, rows, tmp_path / "plain", *asked)
    taught = ["--teacher", str(models[1]), "--teacher-cache", str(tmp_path / "cache")]
    taught += ["--teacher-weight", "0.5", "--teacher-temperature", "0.05", "--teacher-margin", "0.95"]
    report = train(models, rows, tmp_path / "taught", *asked, *taught)
    assert report["scores"].keys() == plain["scores"].keys()
    assert report["epochs"][0]["loss"] > plain["epochs"][0]["loss"]  # the teacher's losses are in it
    assert report["scores"]["ndcg@10"] > report["before"]["ndcg@10"]


def test_an_unknown_teacher_and_single_texts_without_one_are_one_line(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = tmp_path / "文.jsonl"
    rows.write_text('{"文": "京都の寺"}\n', "utf-8")
    arguments = ["train", "embedder", str(rows), "--text", "文", "-o", str(tmp_path / "out"), "--model", str(models[0])]
    for more, named in ((["--teacher", "nowhere"], "nowhere"), ([], "--text-pair")):
        result = CliRunner().invoke(build_cli(), [*arguments, *more])
        assert result.exit_code in (1, 2)
        assert named in result.stderr
        assert "Traceback" not in result.stderr
