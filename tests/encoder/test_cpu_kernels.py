"""The compiled layer steps: in bf16 against the definition, in int8 against torch's own int8 product."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from jnlp.encoder.forms import kernels
from jnlp.encoder.forms.cpu_kernels import SteppedForward, apply_norm
from jnlp.encoder.forms.cpu_torch import TorchForward, accelerate
from jnlp.encoder.forms.int8 import TorchInt8Steps, to_int8
from jnlp.encoder.shared_weights import share_weights
from tests.encoder.models import LENGTHS, encoder_of, packed_of

pytestmark = pytest.mark.skipif(
    not kernels.processor_flags() >= kernels.NEEDED_INT8 or kernels.compiler() is None,
    reason="needs a processor with AVX-512 bf16 and VNNI, and a C++ compiler",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The kernels, built into a cache of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        kernels.status.cache_clear()
        kernels.build()
        found = kernels.load()
        assert found is not None, kernels.status().text
        yield found
    kernels.status.cache_clear()


@pytest.fixture(params=["bf16", "int8"])
def precision(request):
    return request.param


class Exact:
    """The step between two attentions in fp32, from the model's bf16 weights."""

    blocks = False

    def __init__(self, encoder):
        self.layers = list(encoder.layers)

    def step(self, index, x, attended, /):
        if attended is not None:
            layer = self.layers[index - 1]
            x += times(attended.float(), layer.attn.Wo)
            inner, gate = times(apply_norm(x, layer.mlp_norm), layer.mlp.Wi).chunk(2, dim=-1)
            x += times(F.gelu(inner) * gate, layer.mlp.Wo)
        if index == len(self.layers):
            return None
        layer = self.layers[index]
        return times(apply_norm(x, layer.attn_norm), layer.attn.Wqkv)


def times(x, linear):
    return x @ linear.weight.float().T


def make(_name, layout):
    return layout()


def compiled_steps(library, precision, model):
    from jnlp.encoder.forms.kernels.layers import CompiledSteps, lay_out

    return CompiledSteps(library, precision, model, lay_out(model, precision))


@pytest.mark.parametrize("shape", [(64, 1, 64), (128, 2, 192), (256, 4, 1024), (768, 12, 1152)], ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_compiled_steps_equal_plain_steps(library, precision, lengths, shape):
    hidden, heads, inner = shape
    model = encoder_of(hidden, heads, inner, layers=2)
    both = [compiled_steps(library, precision, model), {"bf16": Exact, "int8": TorchInt8Steps}[precision](model)]
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


def test_compiled_steps_do_not_depend_on_their_neighbours(library, precision):
    rows = compiled_steps(library, precision, encoder_of())
    x, attended = torch.randn(101, 128), torch.randn(101, 128).bfloat16()
    whole, part = x.clone(), x[37:80].clone()
    qkv, some = rows.step(1, whole, attended), rows.step(1, part, attended[37:80].contiguous())
    assert torch.equal(whole[37:80], part)
    assert torch.equal(qkv[37:80], some)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_states_in_bf16_are_nearer_to_fp32_than_those_of_the_plain_form(library, lengths, monkeypatch):
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


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_the_compiled_steps_are_taken_where_they_fit(library, precision, monkeypatch):
    from jnlp.encoder.forms.kernels.layers import CompiledSteps

    monkeypatch.setattr(kernels, "load", lambda: library)
    kinds = {
        "fits": encoder_of(),
        "fp32": encoder_of(dtype=torch.float32),
        "heads of 32": encoder_of(heads=4),
        "inner 96": encoder_of(inner=96),
        "biases": encoder_of(mlp_bias=True),
    }
    for model in kinds.values():
        (to_int8 if precision == "int8" else accelerate)(model, make)
    chosen = {name: type(getattr(model.inference, "_steps", None)) for name, model in kinds.items()}
    other = TorchInt8Steps if precision == "int8" else type(None)
    assert chosen == {name: CompiledSteps if name == "fits" else other for name in kinds}


def test_a_processor_without_vnni_uses_torch_for_int8_alone(library, monkeypatch):
    from jnlp.encoder.forms.kernels.library import Kernels

    older = Kernels(library.path, bf16=True, int8=False)
    monkeypatch.setattr(kernels, "load", lambda: older)
    model = encoder_of()
    to_int8(model, make)
    assert type(model.inference._steps) is TorchInt8Steps
    accelerate(other := encoder_of(), make)
    assert type(other.inference) is SteppedForward


def test_processes_that_share_a_folder_hold_a_layout_once(library, precision, tmp_path, monkeypatch):
    from jnlp.encoder.forms.kernels.layers import lay_out

    laid = lay_out(encoder_of(), precision)
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
