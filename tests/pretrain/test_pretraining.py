"""A micro model pre-trained through the real function: it learns, resumes to the bit, and loads everywhere."""

from __future__ import annotations

import json
import shutil
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from jnlp.training.loop import Plan, Stopped
from jnlp.training.pretraining import pretrain
from jnlp.training.shards import TRAIN, open_shards

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jnlp.training.recipe import Recipe
    from jnlp.types import TrainReport

PLAN = Plan(warmup=0.05, decay=0.3, log_every=1, evaluate_every=20)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # sums in one order: the same bits


@pytest.fixture(scope="module")
def trained(recipe: Recipe, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainReport, Path]:
    folder = tmp_path_factory.mktemp("trained")
    return pretrain(recipe, [corpus], folder / "micro", runs=folder / "runs", plan=PLAN), folder / "runs"


def _run(runs: Path) -> Path:
    (run,) = runs.iterdir()
    return run


def test_loss_falls_below_the_unigram_entropy(trained: tuple[TrainReport, Path], recipe: Recipe) -> None:
    report, runs = trained
    tokens = np.concatenate([shard.tokens for shard in open_shards(_run(runs) / "shards", recipe.sources, TRAIN)])
    share = np.bincount(tokens) / len(tokens)
    share = share[share > 0]
    entropy = float(-(share * np.log(share)).sum())
    assert entropy > 2.0
    assert report.metrics["held_out_loss"] < 0.7 * entropy
    assert report.metrics["accuracy"] > 0.4


def test_it_has_learned_what_goes_with_what(trained: tuple[TrainReport, Path]) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model = AutoModelForMaskedLM.from_pretrained(trained[0].folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(trained[0].folder)
    things = tokenizer.convert_tokens_to_ids(["水", "本"])
    for verb, best in (("飲み", 0), ("読み", 1)):
        batch = tokenizer(f"今日は京都で<mask>を{verb}ました。", return_tensors="pt")
        with torch.inference_mode():
            logits = model(**batch).logits[batch["input_ids"] == tokenizer.mask_token_id]
        assert logits[0, things].argmax() == best


def test_the_exported_folder_equals_our_model_in_transformers(trained: tuple[TrainReport, Path]) -> None:
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import AutoModelForMaskedLM

    from jnlp.encoder.config import ModernBertConfig
    from jnlp.encoder.modernbert import ModernBertForMaskedLM
    from jnlp.encoder.packing import pack

    folder = trained[0].folder
    weights = load_file(folder / "model.safetensors")
    assert "decoder.weight" not in weights
    assert {value.dtype for value in weights.values()} == {torch.float16}
    ours = ModernBertForMaskedLM(ModernBertConfig.from_dict(json.loads((folder / "config.json").read_text())))
    ours.load_state_dict({name: value.float() for name, value in weights.items()})
    theirs = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32)
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("明日の札幌の天気は<mask>です。").ids
    with torch.inference_mode():
        expected = theirs(torch.tensor([ids])).logits[0]
        found = ours(pack([ids]), torch.arange(len(ids)))
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


def test_a_finished_run_is_exported_again_without_training(
    trained: tuple[TrainReport, Path], recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    again = pretrain(recipe, [corpus], tmp_path / "again", runs=trained[1], plan=PLAN)
    assert again.metrics["steps"] == trained[0].metrics["steps"]
    weights = "model.safetensors"
    assert (again.folder / weights).read_bytes() == (trained[0].folder / weights).read_bytes()


def test_stopped_and_resumed_it_ends_in_the_same_bits(
    trained: tuple[TrainReport, Path], recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    def stop(phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if phase == "training" and done > total // 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Stopped):
        pretrain(recipe, [corpus], tmp_path / "micro", runs=tmp_path / "runs", plan=PLAN, progress=stop)
    assert not (tmp_path / "micro").exists()
    half = json.loads((_run(tmp_path / "runs") / "log.jsonl").read_text().splitlines()[-1])["step"]
    report = pretrain(recipe, [corpus], tmp_path / "micro", runs=tmp_path / "runs", plan=PLAN)
    assert 0 < half < report.metrics["steps"] == trained[0].metrics["steps"]
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (report.folder / name).read_bytes() == (trained[0].folder / name).read_bytes()


def test_the_log_has_loss_speed_and_held_out_accuracy(trained: tuple[TrainReport, Path]) -> None:
    rows = [json.loads(line) for line in (_run(trained[1]) / "log.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "loss" in row]
    assert steps[-1]["loss"] < 0.8 * steps[0]["loss"]
    assert all(row["tokens_per_second"] > 0 for row in steps)
    assert [row["tokens"] for row in steps[:2]] == [1024, 2048]
    assert {"accuracy/diary", "accuracy/lines", "accuracy", "held_out_loss"} <= rows[-1].keys()


def test_a_time_limit_ends_the_schedule(
    recipe: Recipe, corpus: Path, trained: tuple[TrainReport, Path], tmp_path: Path
) -> None:
    source = _run(trained[1])
    run = tmp_path / "runs" / source.name
    shutil.copytree(source, run)
    (run / "checkpoint.pt").unlink()
    (run / "log.jsonl").unlink()
    report = pretrain(recipe, [corpus], tmp_path / "micro", runs=tmp_path / "runs", plan=PLAN, hours=1e-9)
    assert report.metrics["steps"] < trained[0].metrics["steps"]


def test_other_files_in_the_folder_stay(
    trained: tuple[TrainReport, Path], recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "micro").mkdir()
    (tmp_path / "micro" / "README.md").write_text("# card")
    pretrain(recipe, [corpus], tmp_path / "micro", runs=trained[1], plan=PLAN)
    assert sorted(path.name for path in (tmp_path / "micro").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
