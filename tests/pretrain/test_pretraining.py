"""A micro model pre-trained through the real function: it learns, resumes to the bit, and loads everywhere."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from jnlp.errors import JnlpError
from jnlp.io.durable import Lock
from jnlp.training.dense_encoder import can_compile
from jnlp.training.stopping import Stopped
from jnlp.training.team import Alone
from jnlp_pretrain import pretraining
from jnlp_pretrain.loop import Plan
from jnlp_pretrain.pretraining import RunOptions, pretrain
from jnlp_pretrain.recipe import Span, Stage
from jnlp_pretrain.shards import TRAIN, open_shards

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jnlp.types import TrainReport
    from jnlp_pretrain.recipe import Recipe

PLAN = Plan(log_every=1, evaluate_every=20)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # sums in one order: the same bits


@pytest.fixture(scope="module")
def trained(recipe: Recipe, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainReport, Path]:
    folder = tmp_path_factory.mktemp("trained")
    return pretrain(recipe, [corpus], folder / "micro", RunOptions(folder / "runs", plan=PLAN)), folder / "runs"


def _run(runs: Path) -> Path:
    (run,) = runs.glob("micro-*")
    return run


def _data(runs: Path) -> Path:
    (data,) = runs.glob("data-*")
    return data


def test_loss_falls_below_the_unigram_entropy(trained: tuple[TrainReport, Path], recipe: Recipe) -> None:
    report, runs = trained
    tokens = np.concatenate([shard.tokens for shard in open_shards(_data(runs) / "shards", recipe.sources, TRAIN)])
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
    rope = json.loads((folder / "config.json").read_text())["rope_parameters"]
    assert rope["full_attention"]["rope_theta"] == 20_000
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
    again = pretrain(recipe, [corpus], tmp_path / "again", RunOptions(trained[1], plan=PLAN))
    assert again.metrics["steps"] == trained[0].metrics["steps"]
    weights = "model.safetensors"
    assert (again.folder / weights).read_bytes() == (trained[0].folder / weights).read_bytes()


def test_stopped_and_resumed_it_ends_in_the_same_bits(
    trained: tuple[TrainReport, Path], recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    def stop(phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if phase == "training" and done > total // 2:
            signal.raise_signal(signal.SIGINT)

    shutil.copytree(_data(trained[1]), tmp_path / "runs" / _data(trained[1]).name)
    options = RunOptions(tmp_path / "runs", plan=PLAN)
    with pytest.raises(Stopped):
        pretrain(recipe, [corpus], tmp_path / "micro", options, progress=stop)
    assert not (tmp_path / "micro").exists()
    half = json.loads((_run(tmp_path / "runs") / "log.jsonl").read_text().splitlines()[-1])["step"]
    report = pretrain(recipe, [corpus], tmp_path / "micro", options)
    assert 0 < half < report.metrics["steps"] == trained[0].metrics["steps"]
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (report.folder / name).read_bytes() == (trained[0].folder / name).read_bytes()
    whole, cut = (torch.load(_run(runs) / "checkpoint.pt") for runs in (trained[1], tmp_path / "runs"))
    assert all(torch.equal(whole["model"][name], value) for name, value in cut["model"].items())
    assert whole["data"] == cut["data"]
    steps = [json.loads(line)["step"] for line in (_run(tmp_path / "runs") / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_compiled_in_bf16_too_it_resumes_to_the_bit(
    trained: tuple[TrainReport, Path], recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    def stop(phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if phase == "training" and done > total // 2:
            signal.raise_signal(signal.SIGTERM)

    stage = Stage(12_000, (Span(32),), warmup=0.05, batch=1024, micro_batch=512)
    short = replace(recipe, stages=(stage,), optimisation=replace(recipe.optimisation, dtype="bf16"))
    for name in ("whole", "cut"):
        shutil.copytree(_data(trained[1]), tmp_path / name / _data(trained[1]).name)
    whole, cut = (RunOptions(tmp_path / name, plan=PLAN, compiler="always") for name in ("whole", "cut"))
    pretrain(short, [corpus], tmp_path / "one", whole)
    with pytest.raises(Stopped):
        pretrain(short, [corpus], tmp_path / "two", cut, progress=stop)
    pretrain(short, [corpus], tmp_path / "two", cut)
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("compiler", "device", "able", "lengths"),
    [
        ("always", "cpu", True, {32, 64}),
        ("always", "cuda", False, {32, 64}),
        ("auto", "cpu", True, {64}),
        ("auto", "cpu", False, set()),
        ("auto", "cuda", False, {64}),
        ("never", "cuda", True, set()),
    ],
)
def test_what_is_compiled(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, compiler: str, device: str, able: bool, lengths: set[int]
) -> None:
    monkeypatch.setattr(pretraining, "can_compile", lambda: able)
    short, long = Stage(12_000, (Span(32),)), Stage(2_000_000, (Span(64, 0.5), Span(4_096, 0.5)))
    both = replace(recipe, stages=(short, long), shape=replace(recipe.shape, max_length=4_096))
    assert pretraining.compiled_lengths(both, compiler, torch.device(device)) == lengths


def test_without_a_compiler_always_is_refused(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "can_compile", lambda: False)
    with pytest.raises(JnlpError, match="no C"):
        pretraining.compiled_lengths(recipe, "always", torch.device("cpu"))


def test_processes_that_cannot_share_a_step_are_refused(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(JnlpError, match=r"stage 1 of micro has 2 micro-batches per step, which 3 processes"):
        pretrain(recipe, [corpus], tmp_path / "out", RunOptions(tmp_path / "runs", team=Alone(size=3)))


def test_a_stage_whose_sources_weigh_nothing_is_refused(
    trained: tuple[TrainReport, Path], recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(_data(trained[1]), tmp_path / "runs" / _data(trained[1]).name)
    nothing = replace(recipe.stages[1], mix={"diary": 0.0, "lines": 0.0})
    silent = replace(recipe, stages=(recipe.stages[0], nothing))
    with pytest.raises(JnlpError, match=r"stage 2 of micro has no text"):
        pretrain(silent, [corpus], tmp_path / "out", RunOptions(tmp_path / "runs"))


def test_one_run_at_a_time_and_only_where_it_can_be_written(
    trained: tuple[TrainReport, Path], recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    options = RunOptions(trained[1], plan=PLAN)
    with Lock(_run(trained[1]) / ".lock", tmp_path), pytest.raises(JnlpError, match=r"written by another run \(wait"):
        pretrain(recipe, [corpus], tmp_path / "out", options)
    (tmp_path / "file").write_text("")
    with pytest.raises(JnlpError, match=r"file is a file"):
        pretrain(recipe, [corpus], tmp_path / "file", options)
    with pytest.raises(JnlpError, match=r"file cannot be made"):
        pretrain(recipe, [corpus], tmp_path / "file" / "out", options)


def test_what_another_has_made_is_not_replaced(
    trained: tuple[TrainReport, Path], recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "documents"
    out.mkdir()
    (out / "契約.txt").write_text("第一条", encoding="utf-8")
    with pytest.raises(JnlpError, match="documents exists already"):
        pretrain(recipe, [corpus], out, RunOptions(trained[1], plan=PLAN))
    assert [path.name for path in out.iterdir()] == ["契約.txt"]
    (out / "契約.txt").unlink()
    pretrain(recipe, [corpus], out, RunOptions(trained[1], plan=PLAN))
    assert (out / "model.safetensors").is_file()


def test_a_line_of_the_log_that_was_cut_short_is_left_out(
    trained: tuple[TrainReport, Path], recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained[1], tmp_path / "runs")
    log = _run(tmp_path / "runs") / "log.jsonl"
    before = log.read_text()
    log.write_text(before + '{"step": 12, "tok')
    pretrain(recipe, [corpus], tmp_path / "micro", RunOptions(tmp_path / "runs", plan=PLAN))
    assert [json.loads(line) for line in log.read_text().splitlines()][: before.count("\n")] == [
        json.loads(line) for line in before.splitlines()
    ]


def test_a_renamed_folder_is_another_corpus(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    whole = replace(recipe, sources=(), stages=(Stage(2_000, (Span(32),), batch=512, micro_batch=512),))
    for name in ("a", "b"):
        (tmp_path / "text" / name).mkdir(parents=True)
        shutil.copy(corpus / "diary-000.jsonl", tmp_path / "text" / name)
    for name in ("one", "two"):
        pretrain(whole, [tmp_path / "text"], tmp_path / name, RunOptions(tmp_path / "runs"))
        if name == "one":
            (tmp_path / "text/b").rename(tmp_path / "text/c")
    assert len(list((tmp_path / "runs").glob("micro-*"))) == 2


def test_the_model_of_each_stage_is_kept(trained: tuple[TrainReport, Path]) -> None:
    from jnlp.encoder.checkpoint import load_modernbert
    from jnlp.encoder.modernbert import ModernBertForMaskedLM

    kept = load_modernbert(_run(trained[1]) / "stage-1", ModernBertForMaskedLM)
    final = load_modernbert(trained[0].folder, ModernBertForMaskedLM)
    assert (kept.config.global_rope_theta, final.config.global_rope_theta) == (160_000, 20_000)
    assert not torch.equal(kept.head.dense.weight, final.head.dense.weight)


def test_the_log_has_loss_speed_and_held_out_accuracy(trained: tuple[TrainReport, Path]) -> None:
    rows = [json.loads(line) for line in (_run(trained[1]) / "log.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "loss" in row]
    assert steps[-1]["loss"] < 0.8 * steps[0]["loss"]
    assert all(row["tokens_per_second"] > 0 for row in steps)
    assert 0.8 * 1024 < steps[0]["tokens"] <= 1024
    assert 0 < steps[0]["rate"] < steps[2]["rate"]
    assert max(row["rate"] for row in steps if row["tokens"] > 110_000) == 0.5
    assert steps[-1]["rate"] > 0
    assert (_run(trained[1]) / "loss.svg").read_text().count("<polyline") == 3
    assert {"accuracy/diary", "accuracy/lines", "accuracy", "held_out_loss"} <= rows[-1].keys()


def test_a_time_limit_ends_the_schedule(
    recipe: Recipe, corpus: Path, trained: tuple[TrainReport, Path], tmp_path: Path
) -> None:
    shutil.copytree(_data(trained[1]), tmp_path / "runs" / _data(trained[1]).name)
    report = pretrain(recipe, [corpus], tmp_path / "micro", RunOptions(tmp_path / "runs", hours=1e-9, plan=PLAN))
    assert report.metrics["steps"] < trained[0].metrics["steps"]


def test_other_files_in_the_folder_stay_and_old_weights_go(
    trained: tuple[TrainReport, Path], recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    pretrain(recipe, [corpus], tmp_path / "micro", RunOptions(trained[1], plan=PLAN))
    (tmp_path / "micro" / "README.md").write_text("# card")
    for name in ("model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        (tmp_path / "micro" / name).write_text("of another model")
    pretrain(recipe, [corpus], tmp_path / "micro", RunOptions(trained[1], plan=PLAN))
    assert sorted(path.name for path in (tmp_path / "micro").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
