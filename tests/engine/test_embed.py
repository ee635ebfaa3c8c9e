"""The task `embed`: every option against the encoder itself, every output format read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import jnlp
from jnlp.cli import build_cli
from jnlp.testing import SENTENCES, make_model
from jnlp.types import Pooling, Purpose

TEXTS = [*SENTENCES, "長い文です。" * 200]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("embed") / "model", layers=2, hidden=32, positions=64)


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder with prompts, as ruri-v3 has them."""
    folder = make_model(tmp_path_factory.mktemp("embed") / "prefixed", layers=2, hidden=32, head="embedding")
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True})
    )
    prompts = {"query": "検索クエリ: ", "document": "検索文書: "}
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}, ensure_ascii=False))
    return folder


def vectors(model: Path, **options: object) -> np.ndarray:
    return np.stack([result.vector for result in jnlp.load(str(model), dtype="fp32").run("embed", TEXTS, **options)])


def test_vectors_are_those_of_the_encoder_at_unit_length(model: Path) -> None:
    raw = jnlp.load(str(model), dtype="fp32").models().embedder().embed(TEXTS).vectors
    assert np.allclose(vectors(model, unit_length=False), raw, atol=1e-6)
    unit = vectors(model)
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    assert np.allclose(unit, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)


def test_a_truncated_dimension_is_the_first_part_rescaled(model: Path) -> None:
    raw = vectors(model, unit_length=False)[:, :8]
    cut = vectors(model, dimension=8)
    assert cut.shape == (len(TEXTS), 8)
    assert np.allclose(cut, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)
    with pytest.raises(jnlp.UsageError, match="--dimension 33 is more than the model has"):
        vectors(model, dimension=33)


def test_pooling_overrides_the_model_s_own(model: Path) -> None:
    nlp = jnlp.load(str(model), dtype="fp32")
    expected = nlp.models().embedder(pooling=Pooling.CLS).embed(TEXTS).vectors
    first = next(nlp.models().embedder().states(TEXTS[0]))
    assert np.allclose(expected[0], first.states[0], atol=1e-5)
    assert np.allclose(vectors(model, pooling="cls", unit_length=False), expected, atol=1e-6)
    assert not np.allclose(vectors(model, pooling="mean", unit_length=False), expected, atol=1e-3)


def test_the_purpose_chooses_the_prefix(prefixed: Path) -> None:
    nlp = jnlp.load(str(prefixed), dtype="fp32")
    as_query = nlp.run("embed", ["契約の解約"], purpose="query")[0].vector
    by_hand = nlp.run("embed", ["検索クエリ: 契約の解約"], purpose="similarity")[0].vector
    assert np.allclose(as_query, by_hand, atol=1e-6)
    assert not np.allclose(as_query, nlp.run("embed", ["契約の解約"], purpose=Purpose.DOCUMENT)[0].vector, atol=1e-3)


def test_a_long_text_is_windowed_truncated_or_refused(model: Path) -> None:
    nlp = jnlp.load(str(model), on_overflow="truncate")
    nlp.run("embed", TEXTS)
    assert nlp.usage.windowed == 0
    assert nlp.usage.cut > 0
    with pytest.raises(jnlp.RecordError):
        jnlp.load(str(model), on_overflow="error").run("embed", TEXTS)


def test_a_normaliser_before_the_model_changes_what_it_reads(model: Path) -> None:
    plain, folded = jnlp.load(str(model), dtype="fp32"), jnlp.load(str(model), dtype="fp32", normalize="fold-kana")
    (katakana,), (hiragana,) = plain.run("embed", ["カタカナ"]), plain.run("embed", ["かたかな"])
    assert not np.allclose(katakana.vector, hiragana.vector, atol=1e-3)
    assert np.allclose(folded.run("embed", ["カタカナ"])[0].vector, hiragana.vector, atol=1e-6)


@pytest.mark.parametrize("ending", ["npy", "parquet", "jsonl", "csv"])
def test_every_format_holds_the_same_vectors(ending: str, model: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.txt", tmp_path / f"out.{ending}"
    source.write_text("\n".join(TEXTS), encoding="utf-8")
    arguments = [
        "embed",
        source,
        "-o",
        out,
        "--model",
        model,
        "--dtype",
        "fp32",
        "--batch-tokens",
        "256",
        "--threads",
        "1",
    ]
    result = CliRunner().invoke(build_cli(), [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "1 text was longer than the model and read in windows" in result.stderr
    assert np.allclose(read_back(out), vectors(model), atol=1e-5)


def read_back(out: Path) -> np.ndarray:
    if out.suffix == ".npy":
        assert len(out.with_suffix(".ids.txt").read_text(encoding="utf-8").splitlines()) == len(TEXTS)
        return np.load(out)
    if out.suffix == ".parquet":
        import pyarrow.parquet as pq

        return np.array(pq.read_table(out)["vector"].to_pylist(), np.float32)
    if out.suffix == ".csv":
        import csv

        with out.open(encoding="utf-8", newline="") as file:
            vectors = [row["vector"].split() for row in csv.DictReader(file)]
        return np.array([[float(number) for number in vector] for vector in vectors], np.float32)
    return np.array([json.loads(line)["vector"] for line in out.read_text(encoding="utf-8").splitlines()], np.float32)


def test_the_table_for_a_person(model: Path) -> None:
    result = CliRunner().invoke(build_cli(), ["embed", "今日は", "--model", str(model), "--format", "table", "-q"])
    header, _, row = result.stdout.splitlines()
    assert header.split() == ["text", "dimension", "vector"]
    assert row.split()[:2] == ["今日は", "32"]
