"""The backend of numpy against torch's: the same weights give the same answers up to rounding."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from jnlp import models
from jnlp.encoder.arrays import load as choice
from jnlp.encoder.arrays.network import gelu, layer_norm
from jnlp.encoder.arrays.weights import Stored, as_bf16, from_bf16, read_arrays, to_bf16
from jnlp.encoder.checkpoint import NETWORKS
from jnlp.encoder.config import ModernBertConfig
from jnlp.encoder.forms import kernels
from jnlp.encoder.forms.kernels.binding import Binding
from jnlp.encoder.forms.kernels.layout import lay_out_rows
from jnlp.encoder.forms.kernels.processors import processor_flags
from jnlp.encoder.load import Runtime, describe_run, load_classifier, load_embedder, load_masked_lm
from jnlp.encoder.shape import shapes
from jnlp.errors import JnlpError, MissingHeadError, UsageError
from jnlp.models.folder import read_folder
from jnlp.testing import SENTENCES, make_model
from jnlp.types import Pooling

BUILTIN = Path(models.__file__).parent / "builtin"
TEXTS = [*SENTENCES, "。".join(SENTENCES) * 3, "猫"]


VNNI = {"avx512_vnni", "avx_vnni"}
"""Without these, int8 multiplies activations of 7 bits instead of 8 (docs/log.md), which rounds twice as much."""


@pytest.fixture(scope="module", autouse=True)
def binding(kernel_cache):
    """The kernels of this processor, in use."""
    (path,) = (kernel_cache / "jnlp" / "kernels").iterdir()
    found = Binding(path, kernels.kinds()[0])
    with kernels.trial(found):
        yield found


@pytest.fixture(params=["fp32", "bf16", "int8"])
def dtype(request, binding):
    if request.param == "bf16" and "bf16" not in binding.attention:
        pytest.skip("this kind of processor has no bf16")
    return request.param


def heads(load, folder, dtype):
    """A head on numpy's backend, on torch's, and on torch's in fp32."""
    chosen = [(dtype, "numpy"), (dtype, "torch"), ("fp32", "torch")]
    return [load(folder, runtime=Runtime("cpu", each, backend=name)) for each, name in chosen]


def assert_as_close(found, torchs, expected):
    """In fp32 the same; in a smaller format as close to fp32 as torch's, in which more values are rounded."""
    error, allowed = (np.linalg.norm(values - expected) / np.linalg.norm(expected) for values in (found, torchs))
    assert error <= max(1.2 * allowed, 1e-5)
    assert allowed < (0.15 if processor_flags() & VNNI else 0.2)  # else the comparison says little


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.CLS])
def test_vectors(tmp_path, dtype, pooling):
    loaded = heads(load_embedder, make_model(tmp_path / "model", hidden=128, layers=4), dtype)
    for each in loaded:
        each.pooling = pooling
    assert len({each.fingerprint for each in loaded}) == 1
    assert_as_close(*(each.embed(TEXTS).vectors for each in loaded))
    assert_as_close(*(np.concatenate([part.states for part in each.states(TEXTS[-2])]) for each in loaded))


@pytest.mark.parametrize("tied", [True, False])
def test_masks(tmp_path, dtype, tied):
    folder = make_model(
        tmp_path / "model", hidden=128, tie_word_embeddings=tied, decoder_bias=tied, classifier_bias=not tied
    )
    ids = [np.arange(n) % 50 + 7 for n in (1, 17, 80)]
    at = [np.asarray(places) for places in ([0], [3, 9], [79, 0, 40])]
    assert_as_close(*(each.at_masks(ids, at) for each in heads(load_masked_lm, folder, dtype)))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_labels(tmp_path, dtype, pooling):
    labels = ("良い", "悪い", "他")
    folder = make_model(tmp_path / "model", hidden=128, labels=labels, classifier_pooling=Pooling(pooling))
    loaded = heads(load_classifier, folder, dtype)
    assert {each.labels for each in loaded} == {labels}
    assert_as_close(*(each.logits(TEXTS).values for each in loaded))


def test_the_models_that_ship(dtype):
    vectors = [each.embed(TEXTS).vectors for each in heads(load_embedder, BUILTIN / "tiny-search", dtype)]
    assert_as_close(*vectors)
    logits = [each.logits(TEXTS).values for each in heads(load_classifier, BUILTIN / "tiny-toxicity", dtype)]
    assert_as_close(*logits)
    rng = np.random.default_rng(0)  # of one sequence, how the errors compare is chance
    ids = [np.array([1, *rng.integers(263, 20_000, size), 5, 2]) for size in (2, 3, 5, 8, 13, 21, 34, 55)]
    at = [np.array([len(each) - 2]) for each in ids]
    assert_as_close(*(each.at_masks(ids, at) for each in heads(load_masked_lm, BUILTIN / "tiny", dtype)))


def test_a_result_does_not_depend_on_its_batch(tmp_path, dtype):
    folder = make_model(tmp_path / "model", hidden=128)
    one, many = (
        load_embedder(folder, runtime=Runtime("cpu", dtype, batch_tokens=n, backend="numpy")) for n in (8, 4096)
    )
    np.testing.assert_array_equal(one.embed(TEXTS).vectors, many.embed(TEXTS).vectors)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_every_dtype_of_a_file(tmp_path, stored):
    folder = make_model(tmp_path / "model", hidden=128, layers=2)
    path = folder / "model.safetensors"
    save_file({name: tensor.to(stored) for name, tensor in load_file(path).items()}, path)
    assert_as_close(*(each.embed(TEXTS).vectors for each in heads(load_embedder, folder, "fp32")))


@pytest.mark.parametrize("head", list(NETWORKS), ids=str)
@pytest.mark.parametrize("tied", [True, False])
def test_the_expected_shapes_are_those_of_the_network(head, tied):
    config = ModernBertConfig(
        vocab_size=50, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=1,
        tie_word_embeddings=tied, decoder_bias=tied, classifier_bias=not tied, labels=("a", "b"),
    )  # fmt: skip
    network = NETWORKS[head](config)
    assert shapes(config, head) == {name: tuple(w.shape) for name, w in network.state_dict().items()}


def test_bf16_is_rounded_as_by_torch():
    numbers = torch.cat([torch.randn(10_000), torch.tensor([0.0, -0.0, 1e-40, 3e38, 1.00390625, 1.01171875])])
    bits = to_bf16(numbers.numpy())
    assert (bits == numbers.bfloat16().view(torch.int16).numpy().view(np.uint16)).all()
    assert (from_bf16(bits) == numbers.bfloat16().float().numpy()).all()


def test_every_half_is_rounded_to_bf16_as_by_torch():
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    bits = torch.from_numpy(finite).bfloat16().view(torch.int16).numpy().view(np.uint16)
    assert (as_bf16(finite) == bits).all()
    assert (as_bf16(finite.astype(np.float32)) == bits).all()
    assert as_bf16(bits) is bits


def test_rows_are_laid_out_in_panels_of_64():
    rows = np.arange(100 * 6, dtype=np.float16).reshape(100, 6)
    laid = lay_out_rows(rows, as_bf16)
    assert laid.shape == (2, 3, 64, 2)
    whole = np.concatenate([as_bf16(rows), np.zeros((28, 6), np.uint16)])
    assert (laid == whole.reshape(2, 64, 3, 2).transpose(0, 2, 1, 3)).all()


def test_functions_equal_those_of_torch():
    x, weight = torch.randn(50, 64) * 4, torch.rand(64)
    np.testing.assert_allclose(gelu(x.numpy()), torch.nn.functional.gelu(x), atol=2e-6)
    expected = torch.nn.functional.layer_norm(x, (64,), weight, eps=1e-5)
    np.testing.assert_allclose(
        layer_norm(x.numpy(), weight.numpy(), 1e-5, out=np.empty((50, 64), "f4")), expected, atol=1e-5
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_weights_that_are_no_numbers_are_refused(tmp_path, value, stored):
    folder = make_model(tmp_path / "model", hidden=128, layers=1)
    path = folder / "model.safetensors"
    weights = {name: tensor.to(stored) for name, tensor in load_file(path).items()}
    weights["model.final_norm.weight"][3] = value
    save_file(weights, path)
    with pytest.raises(JnlpError, match=r"NaN or infinity: final_norm\.weight"):
        load_embedder(folder, runtime=Runtime("cpu", "fp32", backend="numpy"))


def test_finite_numbers_are_finite():
    largest = Stored(np.asarray([65504.0, -65504.0, 0.0], np.float16), "F16")
    assert largest.is_finite()
    assert Stored(np.zeros((0, 4), np.float16), "F16").is_finite()
    many = np.zeros((300, 1000), np.float16)
    assert Stored(many, "F16").is_finite()
    many[-1, -1] = np.inf
    assert not Stored(many, "F16").is_finite()


def test_broken_files_and_missing_heads_say_what_is_wrong(tmp_path):
    folder = make_model(tmp_path / "model", hidden=128, layers=1)
    runtime = Runtime("cpu", "fp32", backend="numpy")
    with pytest.raises(MissingHeadError, match="has no classifier"):
        load_classifier(folder, runtime=runtime)
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file({name: w for name, w in weights.items() if "Wqkv" not in name}, path)
    with pytest.raises(JnlpError, match=r"lack layers\.0\.attn\.Wqkv\.weight"):
        load_embedder(folder, runtime=runtime)
    save_file({name: w.to(torch.int8) for name, w in weights.items()}, path)
    with pytest.raises(JnlpError, match="I8, which is no dtype of weights"):
        read_arrays(folder)
    model = read_folder(folder)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(JnlpError, match="truncated"):
        load_embedder(model, runtime=runtime)


# --- the choice of the backend -----------------------------------------------------------------------------------


@pytest.fixture
def fresh(monkeypatch):
    """As in a process without torch, on a machine without a GPU."""
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    monkeypatch.setattr(choice, "has_gpu", lambda: False)


@pytest.mark.usefixtures("fresh")
def test_numpy_runs_what_it_can(monkeypatch):
    model = read_folder(BUILTIN / "tiny")
    assert choice.choose(model, Runtime())
    assert choice.choose(model, Runtime("cpu", "int8")).formats[0] == "int8"
    assert choice.choose(model, Runtime("cuda")) is None
    assert choice.choose(model, Runtime(compile=True)) is None
    assert choice.choose(model, Runtime(converted=Path("shared")))
    assert choice.choose(model, Runtime(backend="torch")) is None
    monkeypatch.setenv(choice.VARIABLE, "torch")
    assert choice.choose(model, Runtime()) is None
    assert choice.choose(model, Runtime(backend="numpy"))
    monkeypatch.setenv(choice.VARIABLE, "jax")
    with pytest.raises(UsageError, match="no backend 'jax'"):
        choice.choose(model, Runtime())


@pytest.fixture
def odd(tmp_path):
    """A model with heads of 32, which the kernels do not compute."""
    return read_folder(make_model(tmp_path / "odd", hidden=64, layers=1, heads=2))


def test_torch_runs_the_rest(odd, fresh, monkeypatch):
    assert choice.choose(odd, Runtime()) is None
    with pytest.raises(UsageError, match=r"cannot run .*odd: the kernels are not compiled"):
        choice.choose(odd, Runtime(backend="numpy"))
    model = read_folder(BUILTIN / "tiny")
    monkeypatch.setattr(choice, "has_gpu", lambda: True)
    assert choice.choose(model, Runtime()) is None
    assert choice.choose(model, Runtime("cpu"))
    monkeypatch.setattr(kernels, "functions", lambda: None)
    assert choice.choose(model, Runtime("cpu")) is None


def test_a_process_with_torch_keeps_to_it(monkeypatch):
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    assert choice.choose(read_folder(BUILTIN / "tiny"), Runtime("cpu")) is None


def test_a_gpu_is_known_by_its_drivers_files(tmp_path):
    assert not choice.has_gpu(devices=tmp_path)
    (tmp_path / "nvidiactl").touch()
    assert choice.has_gpu(devices=tmp_path)


def test_how_it_runs():
    model = read_folder(BUILTIN / "tiny")
    found = describe_run(model, Runtime("cpu", "fp32", threads=2, backend="numpy"))
    assert found == "cpu, fp32, 2 threads, compiled kernels"
