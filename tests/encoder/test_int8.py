"""int8: torch's operators against the definition, and the compiled rows against torch's operators."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.encoder import int8, kernels
from jnlp.encoder.int8 import Int8, Plain, Quantised, quantise, to_int8
from jnlp.encoder.load import load_classifier, load_embedder, load_masked_lm
from jnlp.encoder.modernbert import ModernBert, ModernBertConfig
from jnlp.encoder.packing import pack
from jnlp.encoder.runtime import Runtime
from jnlp.testing import SENTENCES, make_model

needs_int8_kernel = pytest.mark.skipif(
    not kernels.processor_flags() >= kernels.NEEDED_INT8 or kernels.compiler() is None,
    reason="needs a processor with AVX-512 bf16 and VNNI, and a C++ compiler",
)
LENGTHS = [(1,), (2,), (15, 16, 17), (63, 64, 65), (127, 128, 129), (511, 512, 513), (47, 1, 300, 48, 5)]


@pytest.fixture
def plain(monkeypatch):
    """No kernels, whatever this machine has built."""
    monkeypatch.setattr(kernels, "load", lambda: None)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The kernels, built into a cache of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        kernels.status.cache_clear()
        kernels.build()
        found = kernels.load()
        assert found is not None, kernels.status().text
        yield found
    kernels.status.cache_clear()


def encoder_of(hidden=128, heads=2, inner=192, layers=4, dtype=torch.bfloat16, **config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hidden + layers)
        shape = {
            "vocab_size": 500,
            "hidden_size": hidden,
            "intermediate_size": inner,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "initializer_range": 0.05,
        }
        model = ModernBert(ModernBertConfig(**shape | config))
        for name, weight in model.named_parameters():
            if "norm" in name:  # else all are 1, and one taken for another would not be seen
                torch.nn.init.uniform_(weight, 0.5, 1.5)
    return model.eval().requires_grad_(False).to(dtype)


def packed_of(lengths):
    generator = torch.Generator().manual_seed(sum(lengths))
    return pack([torch.randint(0, 500, (n,), generator=generator).numpy() for n in lengths])


def cosines(a, b):
    return F.cosine_similarity(torch.as_tensor(a).float(), torch.as_tensor(b).float())


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 70), st.sampled_from([1e-30, 1e-3, 1.0, 1e5]), st.integers(0, 99))
def test_rounding_is_off_by_half_a_step_at_most(rows, columns, scale, seed):
    x = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * scale
    values, step = quantise(x)
    assert values.dtype is torch.int8
    assert values.abs().max() <= int8.LARGEST
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
    int8._product.cache_clear()
    assert torch.equal(int8._product()(a, b.T), expected)

    def broken(a, b):
        if failure == "wrong":
            return torch.zeros(len(a), b.shape[1], dtype=torch.int32)
        raise failure

    monkeypatch.setattr(torch, "_int_mm", broken)
    int8._product.cache_clear()
    assert int8._product() is int8._widened
    assert torch.equal(int8._product()(a, b.T), expected)
    int8._product.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_plain_states_are_close_to_those_in_fp32(plain, lengths, dtype):
    model, packed = encoder_of(dtype=dtype), packed_of(lengths)
    with torch.inference_mode():
        found = Int8(model, Plain(model))(packed)
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
        assert cosines(Int8(model, Plain(model))(packed), model(packed)).min() > 0.99


@needs_int8_kernel
@pytest.mark.parametrize("shape", [(64, 1, 64), (128, 2, 192), (256, 4, 1024), (768, 12, 1152)], ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_compiled_rows_equal_plain_rows(compiled, lengths, shape):
    from jnlp.encoder.kernels.int8 import CompiledRows

    hidden, heads, inner = shape
    model = encoder_of(hidden, heads, inner, layers=2)
    both = [CompiledRows(compiled, model), Plain(model)]
    generator = torch.Generator().manual_seed(sum(lengths))
    start, attended = (torch.randn(sum(lengths), hidden, generator=generator) for _ in range(2))
    for index, before in ((0, None), (1, attended.bfloat16()), (2, attended.bfloat16())):
        rows = [start.clone(), start.clone()]
        found, expected = (kind.step(index, x, before) for kind, x in zip(both, rows, strict=True))
        # a number that lies between two steps may be rounded to either
        assert (rows[0] - rows[1]).norm() <= 1e-2 * (rows[1] - start).norm()
        assert (found is None) == (expected is None) == (index == 2)
        if found is not None:
            assert (found.float() - expected.float()).norm() <= 1e-2 * expected.float().norm()


@needs_int8_kernel
def test_compiled_rows_do_not_depend_on_their_neighbours(compiled):
    from jnlp.encoder.kernels.int8 import CompiledRows

    model = encoder_of()
    rows = CompiledRows(compiled, model)
    x, attended = torch.randn(101, 128), torch.randn(101, 128).bfloat16()
    whole, part = x.clone(), x[37:80].clone()
    qkv, some = rows.step(1, whole, attended), rows.step(1, part, attended[37:80].contiguous())
    assert torch.equal(whole[37:80], part)
    assert torch.equal(qkv[37:80], some)


@needs_int8_kernel
def test_the_compiled_rows_are_taken_where_they_fit(compiled, monkeypatch):
    from jnlp.encoder.kernels.int8 import CompiledRows

    monkeypatch.setattr(kernels, "load", lambda: compiled)
    kinds = {
        "fits": encoder_of(),
        "fp32": encoder_of(dtype=torch.float32),
        "heads of 32": encoder_of(heads=4),
        "inner 96": encoder_of(inner=96),
        "biases": encoder_of(mlp_bias=True),
    }
    for model in kinds.values():
        to_int8(model)
    chosen = {name: type(model.inference._rows) for name, model in kinds.items()}
    assert chosen == {name: CompiledRows if name == "fits" else Plain for name in kinds}


@needs_int8_kernel
def test_a_processor_without_vnni_uses_torch(compiled, monkeypatch):
    from jnlp.encoder.kernels.library import Kernels

    older = Kernels(compiled.path, bf16=True, int8=False)
    monkeypatch.setattr(kernels, "load", lambda: older)
    model = encoder_of()
    to_int8(model)
    assert type(model.inference._rows) is Plain


def test_all_three_heads_answer_in_int8(plain, tmp_path):
    folder = make_model(tmp_path / "mlm", hidden=128, heads=2)
    texts = [*SENTENCES, "。".join(SENTENCES)]
    fp32 = load_embedder(folder, runtime=Runtime(dtype="fp32")).embed(texts).vectors
    assert cosines(load_embedder(folder, runtime=Runtime(dtype="int8")).embed(texts).vectors, fp32).min() > 0.98
    assert load_masked_lm(folder, runtime=Runtime(dtype="int8")) is not None
    labels = make_model(tmp_path / "labels", hidden=128, heads=2, labels=("甲", "乙"))
    assert load_classifier(labels, runtime=Runtime(dtype="int8")) is not None
