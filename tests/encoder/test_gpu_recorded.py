"""Batches recorded for a GPU: the shapes of recordings, and, where there is a GPU, their states."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jnlp.encoder.attention import reference
from jnlp.encoder.forms.gpu_recorded import USES, RecordedForward, empty, place, shape_of
from jnlp.encoder.modernbert import ModernBert, ModernBertConfig
from jnlp.encoder.packing import Packed, pack

SIZES = {"hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 4, "num_attention_heads": 2}


def model() -> ModernBert:
    torch.manual_seed(0)
    return ModernBert(ModernBertConfig(vocab_size=300, local_attention=8, **SIZES)).requires_grad_(False).eval()


def batch(*lengths: int) -> Packed:
    return pack([np.random.default_rng(length).integers(7, 300, length) for length in lengths])


def test_shapes_are_few_and_hold_their_batches() -> None:
    assert shape_of((1,)) == (256, 8, 128)
    assert shape_of((512,) * 16) == (8192, 16, 512)
    assert shape_of((8192,)) == (8192, 8, 8192)
    assert shape_of((30,) * 100) == (3072, 128, 128)
    rng = np.random.default_rng(0)
    shapes = set()
    for _ in range(300):
        lengths = tuple(rng.integers(2, 60, rng.integers(1, 33)).tolist())
        shapes.add(shape := shape_of(lengths))
        assert all(least <= most for least, most in zip((sum(lengths), len(lengths), max(lengths)), shape, strict=True))
        assert shape[0] <= max(256, 2 * sum(lengths))
    assert len(shapes) <= 9


def test_a_batch_in_a_larger_one_has_the_states_it_has_alone() -> None:
    network = model()

    def padded(q, k, v, bounds, _, window):
        """Attend as the kernels of a GPU do: by the bounds alone; tokens of no sequence get anything."""
        lengths = tuple(bounds.diff().tolist())
        used = sum(lengths)
        found = reference(q[:used], k[:used], v[:used], bounds, lengths, window)
        return torch.cat((found, torch.full_like(q[used:], float("nan"))))

    with torch.inference_mode(False), torch.no_grad():
        into = empty(shape_of((300, 40)), "cpu")
        for lengths in ((300, 40), (5, 9, 20), (2,)):
            packed = batch(*lengths)
            wanted = network(packed)
            network.attend = padded
            place(packed, into)
            torch.testing.assert_close(network(into)[: len(packed.ids)], wanted, rtol=1e-4, atol=1e-5)
            del network.attend
            network.attend = reference


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("inference", [True, False])
def test_a_recording_gives_the_states_of_the_model(*, inference: bool) -> None:
    network = model().to("cuda", torch.bfloat16)
    recorded = RecordedForward(network, network.compute)
    with torch.inference_mode() if inference else torch.no_grad():
        for lengths in ((5, 9, 20), (60, 3), (2,), (100, 200), (90, 190), (5, 9, 20)) * USES:
            packed = batch(*lengths).to("cuda")
            wanted, found = network(packed), recorded(packed)
            assert found.shape == wanted.shape
            assert float((found - wanted).abs().max() / wanted.abs().max()) < 0.02
    assert recorded._able
    assert len(recorded._recordings) == 2
