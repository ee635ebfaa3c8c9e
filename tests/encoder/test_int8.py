"""int8 by torch's operators, against the definition."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.encoder.forms import kernels, quantisation
from jnlp.encoder.forms.cpu_kernels import SteppedForward
from jnlp.encoder.forms.int8 import TorchInt8Steps
from jnlp.encoder.forms.quantisation import Quantised, quantise
from jnlp.encoder.load import load_classifier, load_embedder, load_masked_lm
from jnlp.encoder.runtime import Runtime
from jnlp.testing import SENTENCES, make_model
from tests.encoder.models import LENGTHS, encoder_of, packed_of


@pytest.fixture
def plain(monkeypatch):
    """No kernels, whatever this machine has built."""
    monkeypatch.setattr(kernels, "load", lambda: None)


def cosines(a, b):
    return F.cosine_similarity(torch.as_tensor(a).float(), torch.as_tensor(b).float())


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 70), st.sampled_from([1e-30, 1e-3, 1.0, 1e5]), st.integers(0, 99))
def test_rounding_is_off_by_half_a_step_at_most(rows, columns, scale, seed):
    x = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * scale
    values, step = quantise(x)
    assert values.dtype is torch.int8
    assert values.abs().max() <= quantisation.LARGEST
    assert ((values * step - x).abs() <= 0.5001 * step).all()


def test_a_row_of_zeros_stays_zero():
    values, step = quantise(torch.zeros(2, 8))
    assert not values.any()
    assert step.isfinite().all()


def test_a_linear_layer_is_that_of_the_rounded_numbers():
    linear = torch.nn.Linear(96, 40)
    x = torch.randn(33, 96)
    rows, step = quantise(x)
    weight, scale = quantise(linear.weight.detach())
    expected = F.linear((rows * step).double(), (weight * scale).double(), linear.bias.detach().double())
    torch.testing.assert_close(Quantised.of(linear)(x).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("failure", [AttributeError, RuntimeError, "wrong"])
def test_without_torchs_private_product_the_same_comes_of_a_public_one(monkeypatch, failure):
    a, b = (torch.randint(-127, 128, (40, 64), dtype=torch.int8) for _ in range(2))
    expected = (a.long() @ b.long().T).float()
    quantisation._product.cache_clear()
    assert torch.equal(quantisation._product()(a, b.T), expected)

    def broken(a, b):
        if failure == "wrong":
            return torch.zeros(len(a), b.shape[1], dtype=torch.int32)
        raise failure

    monkeypatch.setattr(torch, "_int_mm", broken)
    quantisation._product.cache_clear()
    assert quantisation._product() is quantisation._product_in_fp32
    assert torch.equal(quantisation._product()(a, b.T), expected)
    quantisation._product.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_plain_states_are_close_to_those_in_fp32(plain, lengths, dtype):
    model, packed = encoder_of(dtype=dtype), packed_of(lengths)
    with torch.inference_mode():
        found = SteppedForward(model, TorchInt8Steps(model))(packed)
        expected = encoder_of(dtype=torch.float32)(packed)
    assert found.dtype is dtype
    assert cosines(found, expected).min() > 0.999


def test_biases_are_added(plain):
    model = encoder_of(dtype=torch.float32, attention_bias=True, mlp_bias=True, norm_bias=True)
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)
    packed = packed_of((50, 3))
    with torch.inference_mode():
        assert cosines(SteppedForward(model, TorchInt8Steps(model))(packed), model(packed)).min() > 0.99


def test_all_three_heads_answer_in_int8(plain, tmp_path):
    folder = make_model(tmp_path / "mlm", hidden=128, heads=2)
    texts = [*SENTENCES, "。".join(SENTENCES)]
    fp32 = load_embedder(folder, runtime=Runtime(dtype="fp32")).embed(texts).vectors
    assert cosines(load_embedder(folder, runtime=Runtime(dtype="int8")).embed(texts).vectors, fp32).min() > 0.98
    assert load_masked_lm(folder, runtime=Runtime(dtype="int8")) is not None
    labels = make_model(tmp_path / "labels", hidden=128, heads=2, labels=("甲", "乙"))
    assert load_classifier(labels, runtime=Runtime(dtype="int8")) is not None
