"""The matrix products of a layer: oneDNN's against the plain ones, and which are taken."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from jnlp.encoder.forms import cpu_torch as inference
from jnlp.encoder.forms import kernels, products
from jnlp.encoder.forms.cpu_torch import TorchForward, accelerate
from jnlp.encoder.forms.products import DirectProducts, Linears, ReorderedProducts, reorders
from jnlp.encoder.modernbert import ModernBert, ModernBertConfig
from jnlp.encoder.packing import pack


@pytest.fixture(autouse=True)
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "load", lambda: None)


def model() -> ModernBert:
    config = ModernBertConfig(
        vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=2
    )
    torch.manual_seed(0)
    return ModernBert(config).requires_grad_(False).eval()


def make(_layout: str, made):
    return made()


@example(tokens=300, hidden=256, inner=1024, bias=False, seed=0)
@given(
    tokens=st.integers(1, 300),
    hidden=st.integers(1, 9).map(lambda n: 8 * n),
    inner=st.integers(1, 20).map(lambda n: 8 * n),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_reordered_products_are_the_plain_ones(
    dtype: torch.dtype, tokens: int, hidden: int, inner: int, bias: bool, seed: int
) -> None:
    if not reorders(dtype):
        pytest.skip(f"not in {dtype} here")
    torch.manual_seed(seed)
    shapes = (hidden, 3 * hidden), (hidden, hidden), (hidden, 2 * inner), (inner, hidden)
    linears = Linears(*(nn.Linear(a, b, bias=bias, dtype=dtype).requires_grad_(False) for a, b in shapes))
    x, residual, wide = (torch.randn(tokens, width).to(dtype) for width in (hidden, hidden, inner))
    tolerance = 1e-5 if dtype is torch.float32 else 3e-2
    with torch.inference_mode():
        one, other = ReorderedProducts(linears), DirectProducts(linears)
        for found, wanted in (
            (one.project(x), other.project(x)),
            (one.out(x, residual), other.out(x, residual)),
            (one.gated(x), other.gated(x)),
            (one.down(wide, residual), other.down(wide, residual)),
        ):
            assert torch.allclose(found, wanted, rtol=tolerance, atol=tolerance)


def test_a_model_answers_by_reordered_weights_alone_and_by_its_own_where_others_share_them() -> None:
    packed = pack([torch.arange(7, 7 + n).numpy() for n in (5, 80, 1)])
    with torch.inference_mode():
        wanted = model()(packed)
        kinds = {}
        for shared in (False, True):
            network = model()
            accelerate(network, make, shared=shared)
            assert isinstance(network.inference, TorchForward)
            assert torch.allclose(network(packed), wanted, rtol=1e-4, atol=1e-5)
            kinds[shared] = {type(made) for _, made in network.inference._layers}
            held = {weight.weight.device.type for weight in network.layers.modules() if isinstance(weight, nn.Linear)}
            assert held == {"meta" if kinds[shared] == {ReorderedProducts} else "cpu"}
    assert kinds == {False: {ReorderedProducts if reorders(torch.float32) else DirectProducts}, True: {DirectProducts}}


@pytest.mark.parametrize("broken", ["absent", "wrong"])
def test_products_that_torch_has_not_or_that_are_wrong_are_not_used(broken: str, monkeypatch) -> None:
    right = products._pointwise

    def pointwise(*arguments):
        if broken == "absent":
            raise AttributeError("no such operator")
        return right(*arguments) + 1

    monkeypatch.setattr(products, "_pointwise", pointwise)
    reorders.cache_clear()
    try:
        assert not reorders(torch.float32)
        network = model()
        accelerate(network, make)
        assert {type(made) for _, made in network.inference._layers} == {DirectProducts}
    finally:
        reorders.cache_clear()


def test_a_text_longer_than_a_slice_of_rows_has_the_states_of_the_definition(monkeypatch) -> None:
    monkeypatch.setattr(inference, "SLICE", 48)
    packed = pack([torch.randint(7, 90, (n,)).numpy() for n in (130, 20)])
    with torch.inference_mode():
        network = model()
        wanted = network(packed)
        accelerate(network, make)
        assert torch.allclose(network(packed), wanted, rtol=1e-4, atol=1e-5)
