"""The layers compiled for a GPU: here torch's compiler makes them for the CPU, from the same functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from jnlp.encoder.forms.cpu_torch import accelerate
from jnlp.encoder.forms.gpu_compiled import CompiledForward
from jnlp.encoder.modernbert import ModernBert, ModernBertConfig
from jnlp.encoder.packing import Packed, pack
from jnlp.encoder.runtime import Runtime
from jnlp.errors import JnlpError, UsageError
from jnlp.training.dense_encoder import can_compile

if TYPE_CHECKING:
    from click.testing import CliRunner


def model(**more) -> ModernBert:
    sizes = {"hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 12, "num_attention_heads": 2}
    torch.manual_seed(0)
    return ModernBert(ModernBertConfig(vocab_size=300, local_attention=8, **sizes, **more)).requires_grad_(False).eval()


def batch(*lengths: int) -> Packed:
    return pack([np.random.default_rng(length).integers(7, 300, length) for length in lengths])


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize("bias", [False, True])
def test_compiled_layers_give_the_states_of_the_model_whatever_the_lengths(dtype, tolerance, *, bias) -> None:
    network = model(attention_bias=bias, mlp_bias=bias, norm_bias=bias).to(dtype)
    fused = CompiledForward(network)
    with torch.inference_mode():
        for number, lengths in enumerate(((5, 9, 20), (2,), (64, 3, 3), (100, 200), (2, 2))):
            packed = batch(*lengths)
            # what the first batch has made serves all lengths; and all layers, which are more than may be compiled for
            with torch._dynamo.config.patch(error_on_recompile=number > 0):
                found = fused(packed)
            wanted = network(packed)
            assert found.dtype == wanted.dtype
            assert float((found - wanted).abs().max() / wanted.abs().max()) < tolerance


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_it_gives_the_states_of_the_model() -> None:
    network = model().to("cuda", torch.bfloat16)
    fused = CompiledForward(network)
    with torch.inference_mode():
        for number, lengths in enumerate(((5, 9, 20), (2,), (100, 200))):
            packed = batch(*lengths).to("cuda")
            wanted = network(packed)
            with torch._dynamo.config.patch(error_on_recompile=number > 0):
                found = fused(packed)
            assert float((found - wanted).abs().max() / wanted.abs().max()) < 0.02


def test_what_cannot_be_compiled_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise TorchDynamoException("Cannot find a working triton installation.\nTraceback …")

    fused = CompiledForward(model())
    monkeypatch.setattr(fused, "_before", failing)
    with pytest.raises(JnlpError, match="torch cannot compile the layers: Cannot find a working triton inst") as told:
        fused(batch(3))
    assert told.value.hint == "leave --compile out"


def test_the_command_line_asks_for_it_and_undoes_what_the_configuration_asks_for(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jnlp.cli import build_cli
    from jnlp.plugins import installed, load_plugins

    plugins = load_plugins([candidate for candidate in installed() if candidate.distribution == "jnlp"])

    def embed(*more: str):
        return runner.invoke(build_cli(plugins), ["embed", "-", "--device", "cpu", *more], input="猫\n", obj=plugins)

    refused = embed("--compile")
    assert refused.exit_code == 2
    assert "compiling is for a GPU" in str(refused.exception) + refused.output
    monkeypatch.setenv("JNLP_COMPILE", "true")
    assert embed().exit_code == 2
    assert embed("--no-compile").exit_code == 0


def test_on_a_gpu_it_is_taken_where_it_is_asked_for() -> None:
    for device, compiling, taken in (("meta", True, CompiledForward), ("meta", False, type(None)), ("cpu", True, None)):
        network = model().to(device)
        accelerate(network, lambda _, made: made(), compiling=compiling)
        if taken is None:
            assert not isinstance(network.inference, CompiledForward)
        else:
            assert type(network.inference) is taken


def test_without_a_gpu_it_is_refused_in_a_line() -> None:
    with pytest.raises(UsageError, match="compiling is for a GPU, and the model runs on cpu") as refused:
        Runtime(device="cpu", compile=True).place()
    assert refused.value.hint == "leave --compile out"
