"""The sets of `tiny-search`'s training survive their file, and training reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from jnlp.encoder.files import read_weights
from jnlp.encoder.load import load_embedder
from jnlp.testing import make_model
from jnlp.training.embedder.pairs import Graded, GradedSet, Pair, PairSet
from jnlp.training.embedder.trainer import EmbedderSets
from jnlp_family.search import prepared, train

if TYPE_CHECKING:
    from pathlib import Path

PLACES = ("札幌", "仙台", "東京", "横浜", "京都", "大阪", "神戸", "広島")
PAIRS = [Pair(f"{place}の寺はどこ?", f"{place}には有名な寺があります。", ("駅の近く",), place) for place in PLACES]
SETS = EmbedderSets(
    [PairSet("jaquad", PAIRS, weight=0.5), PairSet("nli", [Pair("雨だ", "雨が降る")] * 4, symmetric=True)],
    [GradedSet("jsts", [Graded("犬が走る", "犬が駆ける", 4.2, "犬"), Graded("犬", "空\n", 0.0)], weight=0.1)],
    [PairSet("jaquad", PAIRS[:3])],
    [GradedSet("jsts", [Graded("猫", "ねこ", 5.0), Graded("猫", "海", 0.5), Graded("川", "海", 2.5)])],
)


def test_sets_survive_their_file(tmp_path: Path) -> None:
    prepared.save(SETS, tmp_path / "sets.xz")
    assert prepared.load(tmp_path / "sets.xz") == SETS


def test_training_reads_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepared.save(SETS, tmp_path / "sets.xz")
    base = make_model(tmp_path / "base", hidden=64, layers=1, texts=[pair.document for pair in PAIRS])
    arguments = [str(tmp_path / "sets.xz"), "--base", str(base), "-o", str(tmp_path / "made"), "--smoke"]
    assert train.main(arguments) == 0
    assert load_embedder(tmp_path / "made").dimension == 64
    assert "ndcg@10" in capsys.readouterr().out


def test_a_base_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["sets.xz"]) == 2
    assert "--base and -o are needed" in capsys.readouterr().err


def test_a_student_keeps_a_share_of_its_weights(tmp_path: Path) -> None:
    before = make_model(tmp_path / "before", hidden=64, layers=1, seed=1)
    after = make_model(tmp_path / "after", hidden=64, layers=1, seed=2)
    first, second = (read_weights(one) for one in (before, after))
    train.average(after, before, 0.25)
    for name, weight in read_weights(after).items():
        assert torch.allclose(weight.float(), 0.25 * first[name].float() + 0.75 * second[name].float(), atol=1e-3), name
        assert weight.dtype == second[name].dtype


def test_the_record_of_a_student_says_that_its_weights_are_averaged(tmp_path: Path) -> None:
    prepared.save(SETS, tmp_path / "sets.xz")
    base = make_model(tmp_path / "base", hidden=64, layers=1, texts=[pair.document for pair in PAIRS])
    train.train(tmp_path / "sets.xz", base, tmp_path / "made", train.smoke(train.STUDENT), hard=True)
    assert "30% of those before" in (tmp_path / "made/training.json").read_text("utf-8")
