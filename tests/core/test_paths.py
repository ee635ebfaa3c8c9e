"""Public functions take a path as text or as a `Path`."""

from __future__ import annotations

from pathlib import Path

import pytest

from jnlp.encoder.checkpoint import load_modernbert, save_modernbert
from jnlp.encoder.load import load_classifier, load_embedder, load_masked_lm
from jnlp.encoder.modernbert import ModernBertForMaskedLM
from jnlp.encoder.tokenizer import load_tokenizer
from jnlp.errors import JnlpError
from jnlp.io import format_of, open_writer
from jnlp.models.folder import inspect, read_folder
from jnlp.testing import make_model, make_tokenizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("models") / "小")
    assert make_model(folder, layers=2, hidden=32, labels=("良い", "悪い")) == Path(folder)
    return folder


@pytest.mark.parametrize("kind", [str, Path])
def test_a_model_folder_is_text_or_a_path(kind: type, model: str, tmp_path: Path) -> None:
    folder = kind(model)
    assert load_classifier(folder).labels == ("良い", "悪い")
    assert load_embedder(folder).embed(["猫"]).vectors.shape == (1, 32)
    assert load_embedder(folder, inspect(folder)).max_length == 512
    assert read_folder(folder).folder == Path(model)
    assert load_tokenizer(folder).vocabulary == load_tokenizer(read_folder(folder)).vocabulary
    masked = kind(tmp_path / "穴埋め")
    make_model(masked, layers=2, hidden=32)
    assert load_masked_lm(masked) is not None
    again = kind(tmp_path / "写し")
    save_modernbert(load_modernbert(masked, ModernBertForMaskedLM), again, tokenizer=masked)
    assert load_masked_lm(again) is not None
    assert make_tokenizer(kind(tmp_path / "語彙")) == tmp_path / "語彙"


@pytest.mark.parametrize("kind", [str, Path])
def test_a_missing_folder_is_named(kind: type, tmp_path: Path) -> None:
    with pytest.raises(JnlpError, match=r"無い"):
        load_masked_lm(kind(tmp_path / "無い"))


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_to_write_is_text_or_a_path(kind: type, tmp_path: Path) -> None:
    out = kind(tmp_path / "結果.csv")
    assert format_of(out) == "csv"
    with open_writer(None, out, rejects=kind(tmp_path / "失敗.jsonl")) as output:
        output.write({"文": "猫"})
    assert Path(out).read_text(encoding="utf-8").split() == ["文", "猫"]
