"""Training on a GPU beside the same on a CPU; skipped where there is no CUDA device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jnlp.encoder.modernbert import ModernBert, ModernBertConfig, ModernBertForMaskedLM
from jnlp.encoder.packing import pack
from jnlp.encoder.pooling import pool
from jnlp.training.dense_encoder import DenseEncoder
from jnlp.training.embedder.grad_cache import backward
from jnlp.training.embedder.losses import info_nce
from jnlp.training.embedder.sequences import sequence_encoder
from jnlp.training.optim import optimisers, update
from jnlp.types import Pooling
from jnlp_pretrain.masked_lm import MaskedLMLoss, MaskedLMObjective
from jnlp_pretrain.recipe import Optimisation, Recipe, Span, Stage
from jnlp_pretrain.shards import Shard

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

CONFIG = ModernBertConfig(
    vocab_size=300,
    hidden_size=128,
    num_hidden_layers=4,
    intermediate_size=192,
    num_attention_heads=2,
    local_attention=8,
)


def _sequences(*lengths: int) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    return [np.random.default_rng(length).integers(7, 300, length) for length in lengths]


@pytest.mark.parametrize("name", ["adamw", "stable-adamw", "muon"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_steps_of_pre_training_have_the_losses_of_a_cpu(name: str, dtype: str) -> None:
    lengths = range(5, 60)
    shard = Shard("a", 1.0, np.concatenate(_sequences(*lengths)).astype(np.uint16), np.cumsum(lengths))
    stage = Stage(1000, (Span(64),), "naive", batch=512, micro_batch=256)
    recipe = Recipe("x", (stage,), optimisation=Optimisation(name, dtype=dtype))
    found = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        model = ModernBertForMaskedLM(CONFIG).to(device)
        objective = MaskedLMObjective(recipe, MaskedLMLoss(model), [shard], [shard], [9], ahead=False)
        made = optimisers(model, name, lr=1e-3, matrix_lr=1e-3, weight_decay=0.01)
        losses = []
        for step in range(4):
            loss, tokens = objective.backward(step, 0.0)
            assert tokens > 0
            update(model, made, 1.0, clip=1.0)
            losses.append(float(loss))
        found.append([*losses, objective.evaluate()["held_out_loss"]])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3 if dtype == "fp32" else 2e-2)


def test_the_mean_of_long_sequences_and_its_gradient() -> None:
    packed = pack(_sequences(700, 3, 128, 1))
    states = torch.randn(len(packed.ids), 64)
    found = []
    for device in ("cpu", "cuda"):
        leaf = states.to(device, copy=True).requires_grad_()
        vectors = pool(leaf, packed.to(device), Pooling.MEAN)
        (vectors * torch.arange(64.0, device=device)).sum().backward()
        assert leaf.grad is not None
        found.append((vectors.cpu(), leaf.grad.cpu()))
    for got, wanted in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted)


def test_rows_of_equal_length() -> None:
    torch.manual_seed(0)
    network = ModernBert(CONFIG).requires_grad_(False)
    packed = pack(_sequences(10, 22, 32, 5, 11, 16))
    with torch.inference_mode():
        wanted = network(packed)
        moved = network.to("cuda")
        assert torch.allclose(DenseEncoder(moved)(packed.to("cuda"), 32).cpu(), wanted, atol=1e-4)
        assert torch.allclose(moved(packed.to("cuda")).cpu(), wanted, atol=1e-4)


@pytest.mark.parametrize("cache_tokens", [0, 10**6])
def test_gradients_of_a_contrastive_step(cache_tokens: int) -> None:
    sequences = _sequences(*range(20, 84))
    found = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        module = ModernBert(CONFIG).to(device).train()
        encoder = sequence_encoder(module, Pooling.MEAN, torch.device(device), 128, tokens=0)
        owner = torch.arange(32, device=device)
        hidden = torch.zeros(32, 32, dtype=torch.bool, device=device)
        loss, vectors = backward(
            encoder,
            sequences,
            lambda v, owner=owner, hidden=hidden: info_nce(v[:32], v[32:], owner, hidden, 0.05, False),
            cache_tokens,
        )
        gradient = module.layers[0].attn.Wqkv.weight.grad  # type: ignore[operator, union-attr]
        found.append((float(loss), vectors.cpu(), gradient.cpu()))  # type: ignore[operator, union-attr]
    (loss, vectors, gradient), (loss_, vectors_, gradient_) = found
    assert loss_ == pytest.approx(loss, rel=3e-2)
    assert float(torch.nn.functional.cosine_similarity(vectors, vectors_).min()) > 0.999
    assert float(torch.nn.functional.cosine_similarity(gradient.flatten(), gradient_.flatten(), dim=0)) > 0.98
