"""The whole way on a GPU beside the same on a CPU; skipped where there is no CUDA device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import jnlp
from jnlp.encoder.load import load_classifier, load_embedder, load_masked_lm
from jnlp.encoder.runtime import Runtime
from jnlp.encoder.vectors import unit
from jnlp.testing import SENTENCES, make_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

LONG = "契約を途中で解約する条件は、第十二条に定める。" * 60
TEXTS = ["猫", *SENTENCES, LONG, LONG * 4]
LEAST = {"fp32": 0.99999, "bf16": 0.999}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("cuda") / "embedder", head="embedding", positions=512)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_vectors_are_those_of_the_cpu_alone_and_in_a_batch(folder: Path, dtype: str) -> None:
    wanted = unit(load_embedder(folder, runtime=Runtime(device="cpu", dtype="fp32")).embed(TEXTS).vectors)
    embedder = load_embedder(folder, runtime=Runtime(device="cuda", dtype=dtype))
    together = unit(embedder.embed(TEXTS).vectors)
    assert (together * wanted).sum(1).min() > LEAST[dtype]
    alone = np.concatenate([unit(embedder.embed([text]).vectors) for text in TEXTS])
    assert np.abs(alone - together).max() < (1e-5 if dtype == "fp32" else 2e-2)


def test_small_batches_give_the_same(folder: Path) -> None:
    whole, small = (load_embedder(folder, runtime=Runtime(device="cuda", batch_tokens=n)) for n in (None, 8))
    assert (unit(whole.embed(TEXTS).vectors) * unit(small.embed(TEXTS).vectors)).sum(1).min() > 0.999


def test_states_and_sentence_transformers(folder: Path) -> None:
    embedder = load_embedder(folder, runtime=Runtime(device="cuda"))
    (windows,) = ([*embedder.states(TEXTS[1])],)
    assert np.isfinite(windows[0].states).all()
    on_gpu, on_cpu = (jnlp.sentence_transformer(str(folder), device=device) for device in ("cuda", "cpu"))
    assert (on_gpu.encode(TEXTS, normalize_embeddings=True) * on_cpu.encode(TEXTS, normalize_embeddings=True)).sum(
        1
    ).min() > 0.99


def test_masks_and_labels(tmp_path: Path) -> None:
    masked = make_model(tmp_path / "masked")
    labelled = make_model(tmp_path / "labelled", labels=("0", "1"))
    gpu, cpu = (Runtime(device=device, dtype="fp32") for device in ("cuda", "cpu"))
    models = [load_masked_lm(masked, runtime=runtime) for runtime in (gpu, cpu)]
    ids = models[0].tokenizer.encode([f"今日は{models[0].tokenizer.mask_token}です。"])[0].ids
    at = np.flatnonzero(ids == models[0].tokenizer.mask_id)
    found, wanted = (model.at_masks([ids], [at]) for model in models)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    found, wanted = (load_classifier(labelled, runtime=runtime).logits(TEXTS[:3]).values for runtime in (gpu, cpu))
    np.testing.assert_allclose(found, wanted, atol=1e-3)
