"""The compiled layer steps: in bf16 against the definition, in int8 against torch's own int8 product."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from jnlp.encoder.forms import kernels
from jnlp.encoder.forms.cpu_kernels import SteppedForward, apply_norm
from jnlp.encoder.forms.cpu_torch import TorchForward, accelerate
from jnlp.encoder.forms.int8 import TorchInt8Steps, to_int8
from jnlp.encoder.forms.kernels.binding import Binding
from jnlp.encoder.forms.kernels.compile import compile_library
from jnlp.encoder.forms.kernels.layers import CompiledSteps, lay_out
from jnlp.encoder.forms.kernels.library import Kernels
from jnlp.encoder.shared_weights import share_weights
from tests.encoder.models import LENGTHS, encoder_of, packed_of

KINDS = kernels.kinds()
pytestmark = pytest.mark.skipif(
    not KINDS or kernels.compiler() is None, reason="needs a processor with AVX2 or NEON, and a C++ compiler"
)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def library(request, tmp_path_factory):
    """The kernels for each kind of processor that this one can run."""
    path = tmp_path_factory.mktemp("kernels") / "kernels.so"
    compile_library(kernels.compiler(), request.param.flags, path)
    return Kernels(Binding(path, request.param))


@pytest.fixture(params=["fp32 fp32", "int8 fp32", "bf16 bf16", "int8 bf16"])
def formats(request, library):
    """The format of products, and of attention."""
    products, states = request.param.split()
    if (products, states) not in library.binding.steps:
        pytest.skip("this kind of processor has no bf16")
    return products, states


class Exact:
    """The step between two attentions in fp32, from the model's weights as the format of the products rounds them."""

    blocks = False

    def __init__(self, encoder, products, offset):
        self.layers = list(encoder.layers)
        self.levels = None if products != "int8" else 63 if offset == 64 else 127

    def times(self, x, linear):
        weight = linear.weight.float()
        return x @ weight.T if self.levels is None else rounded(x, self.levels) @ rounded(weight, 127).T

    def step(self, index, x, attended, /):
        if attended is not None:
            layer = self.layers[index - 1]
            x += self.times(attended.float(), layer.attn.Wo)
            inner, gate = self.times(apply_norm(x, layer.mlp_norm), layer.mlp.Wi).chunk(2, dim=-1)
            x += self.times(F.gelu(inner) * gate, layer.mlp.Wo)
        if index == len(self.layers):
            return None
        layer = self.layers[index]
        return self.times(apply_norm(x, layer.attn_norm), layer.attn.Wqkv)


def rounded(x, levels):
    """A matrix with each row rounded to multiples of its largest number / levels."""
    scale = x.abs().amax(dim=1, keepdim=True).clamp(min=1e-20) / levels
    return (x / scale).round() * scale


def make(_name, layout):
    return layout()


def compiled_steps(library, products, model):
    offset = library.binding.int8_offset
    return CompiledSteps(library, products, model, lay_out(model, products, offset))


@pytest.mark.parametrize("shape", [(64, 1, 64), (128, 2, 192), (256, 4, 1024), (768, 12, 1152)], ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_compiled_steps_equal_plain_steps(library, formats, lengths, shape):
    hidden, heads, inner = shape
    products, states = formats
    model = encoder_of(hidden, heads, inner, layers=2, dtype=DTYPES[states])
    both = [compiled_steps(library, products, model), Exact(model, products, library.binding.int8_offset)]
    allowed = 1e-5 if products == "fp32" else 1e-2  # a number that lies between two steps may be rounded to either
    generator = torch.Generator().manual_seed(sum(lengths))
    start, attended = (torch.randn(sum(lengths), hidden, generator=generator) for _ in range(2))
    attended = attended.to(DTYPES[states])
    for index, before in ((0, None), (1, attended), (2, attended)):
        rows = [start.clone(), start.clone()]
        found, expected = (kind.step(index, x, before) for kind, x in zip(both, rows, strict=True))
        assert (rows[0] - rows[1]).norm() <= allowed * (rows[1] - start).norm()
        assert (found is None) == (expected is None) == (index == 2)
        if found is not None:
            assert (found.float() - expected.float()).norm() <= allowed * expected.float().norm()


def test_compiled_steps_do_not_depend_on_their_neighbours(library, formats):
    products, states = formats
    rows = compiled_steps(library, products, encoder_of(dtype=DTYPES[states]))
    x, attended = torch.randn(101, 128), torch.randn(101, 128).to(DTYPES[states])
    whole, part = x.clone(), x[37:80].clone()
    qkv, some = rows.step(1, whole, attended), rows.step(1, part, attended[37:80].contiguous())
    assert torch.equal(whole[37:80], part)
    assert torch.equal(qkv[37:80], some)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_states_in_bf16_are_nearer_to_fp32_than_those_of_the_plain_form(library, lengths, monkeypatch):
    if "bf16" not in library.binding.attention:
        pytest.skip("this kind of processor has no bf16")
    monkeypatch.setattr(kernels, "load", lambda: library)
    model, packed = encoder_of(hidden=256, heads=4, inner=512), packed_of(lengths)
    exact = encoder_of(hidden=256, heads=4, inner=512).float()
    with torch.inference_mode():
        expected = exact(packed)
        plain = TorchForward(model)(packed).float()
        accelerate(model, make)
        assert type(model.inference) is SteppedForward
        found = model(packed).float()
    assert (found - expected).norm() <= 5e-3 * expected.norm()
    assert (found - expected).norm() <= (plain - expected).norm()


def test_the_compiled_steps_are_taken_where_they_fit(library, formats, monkeypatch):
    products, states = formats
    if products == "fp32":
        pytest.skip("torch's products are as fast in fp32")
    monkeypatch.setattr(kernels, "load", lambda: library)
    kinds = {
        "fits": encoder_of(dtype=DTYPES[states]),
        "heads of 32": encoder_of(heads=4),
        "inner 96": encoder_of(inner=96),
        "biases": encoder_of(mlp_bias=True),
    }
    for model in kinds.values():
        (to_int8 if products == "int8" else accelerate)(model, make)
    chosen = {name: type(getattr(model.inference, "_steps", None)) for name, model in kinds.items()}
    other = TorchInt8Steps if products == "int8" else type(None)
    assert chosen == {name: CompiledSteps if name == "fits" else other for name in kinds}


def test_without_bf16_a_bf16_model_is_computed_in_torch(library, monkeypatch):
    if "bf16" in library.binding.attention:
        pytest.skip("this kind of processor has bf16")
    monkeypatch.setattr(kernels, "load", lambda: library)
    to_int8(model := encoder_of(), make)
    assert type(model.inference._steps) is TorchInt8Steps
    accelerate(other := encoder_of(), make)
    assert type(other.inference) is TorchForward


def test_processes_that_share_a_folder_hold_a_layout_once(library, formats, tmp_path):
    laid = lay_out(encoder_of(), formats[0], library.binding.int8_offset)
    made = []

    def layout():
        made.append(1)
        return laid

    first, second = (share_weights(tmp_path, "layers", layout) for _ in range(2))
    assert made == [1]
    assert laid.keys() == first.keys()
    for name, tensor in laid.items():
        assert torch.equal(first[name], tensor)
        assert first[name].data_ptr() % 64 == second[name].data_ptr() % 64 == 0
