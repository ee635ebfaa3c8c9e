"""A weight that is no number stops the model; an answer that is none fails its own record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from jnlp.cli import build_cli
from jnlp.encoder import checkpoint
from jnlp.encoder.config import TEMPERATURE
from jnlp.encoder.files import check_finite
from jnlp.encoder.load import Runtime, load_classifier, load_embedder, load_masked_lm
from jnlp.errors import JnlpError, RecordError
from jnlp.testing import make_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model", layers=2, hidden=32, labels=("清", "毒"))


def spoil(folder: Path, value: float, name: str = "model.layers.1.mlp.Wo.weight") -> None:
    weights = load_file(folder / "model.safetensors")
    weights[name].view(-1)[3] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["model.layers.1.mlp.Wo.weight", "model.embeddings.tok_embeddings.weight"])
def test_weights_that_are_no_numbers_are_refused(folder: Path, name: str, value: float) -> None:
    spoil(folder, value, name)
    with pytest.raises(JnlpError, match="NaN or infinity"):
        load_classifier(folder)


@pytest.mark.parametrize("command", ["toxicity", "classify", "embed", "fill-mask"])
def test_every_command_says_so_and_answers_nothing(command: str, folder: Path) -> None:
    spoil(folder, float("nan"))
    done = CliRunner().invoke(build_cli(), [command, "死ね<mask>", "--model", str(folder), "--format", "jsonl"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr


def test_an_answer_that_is_no_number_fails_its_own_record(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, embedder = load_classifier(folder), load_embedder(folder)
    odd = set(embedder.tokenizer.pieces("毒"))

    def spoiled(network):
        def run(packed):
            rows = network(packed).clone()
            per_token = len(rows) == len(packed.ids)
            for number, ids in enumerate(torch.split(packed.ids, list(packed.lengths))):
                if odd <= set(ids.tolist()):
                    rows[slice(None) if per_token else number] = float("nan")
            return rows

        return run

    monkeypatch.setattr(classifier, "_network", spoiled(classifier._network))
    monkeypatch.setattr(embedder, "_encoder", spoiled(embedder._encoder))
    assert np.isfinite(classifier.logits(["清い水", "よい天気"]).values).all()
    with pytest.raises(RecordError, match="NaN or infinite"):
        classifier.logits(["清い水", "毒"])
    with pytest.raises(RecordError, match="NaN or infinite"):
        embedder.embed(["毒"])


def test_logits_are_calibrated(folder: Path) -> None:
    plain = load_classifier(folder).logits(["文"]).values
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, TEMPERATURE: 2.0}), encoding="utf-8")
    np.testing.assert_allclose(load_classifier(folder).logits(["文"]).values, plain / 2, rtol=1e-6)
    (folder / "config.json").write_text(
        json.dumps({**config, TEMPERATURE: 2.0, "problem_type": "regression"}), encoding="utf-8"
    )
    np.testing.assert_array_equal(load_classifier(folder).logits(["文"]).values, plain)


def test_a_masked_lm_too(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "lm", layers=2, hidden=32)
    spoil(folder, float("inf"), "head.dense.weight")
    with pytest.raises(JnlpError, match=r"head\.dense"):
        load_masked_lm(folder)


def test_processes_that_share_weights_check_them_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[Path] = []
    monkeypatch.setattr(checkpoint, "check_finite", lambda _, of: checks.append(of))
    shared = tmp_path / "shared"
    shared.mkdir()
    for where in (shared, shared, None, None):
        load_classifier(folder, runtime=Runtime(device="cpu", dtype="fp32", converted=where))
    assert len(checks) == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("size", [1, 7, 4099])
def test_a_weight_is_found_at_any_place(size: int, value: float, dtype: torch.dtype, tmp_path: Path) -> None:
    for at in {0, size // 3, size - 1}:
        tensor = torch.full((size,), torch.finfo(dtype).max, dtype=dtype)
        check_finite({"a": tensor}, tmp_path)  # however large they are
        tensor[at] = value
        with pytest.raises(JnlpError, match="NaN or infinity: b"):
            check_finite({"a": torch.ones(2), "b": tensor}, tmp_path)
