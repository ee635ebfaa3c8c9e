"""The parts of pre-training: masking, schedule, optimiser, co-occurrence, attention in rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jnlp.encoder.modernbert import ModernBertConfig, ModernBertForMaskedLM
from jnlp.training.optim import Muon, StableAdamW, optimisers, orthogonalise
from jnlp.training.schedule import Clock, warmup_stable_decay
from jnlp_pretrain.cooccurrence import cooccurrence_embeddings, log_unigram, piece_counts
from jnlp_pretrain.masking import mask
from jnlp_pretrain.shards import Shard


def test_masking_is_80_10_10() -> None:
    ids = np.random.default_rng(0).integers(7, 1000, size=100_000)
    ids[::50] = 1
    masked = mask(ids, 0.3, 1000, np.random.default_rng(1))
    assert len(masked.at) / np.sum(ids >= 7) == pytest.approx(0.3, abs=0.01)
    assert np.array_equal(masked.targets, ids[masked.at])
    assert (ids[masked.at] >= 7).all()
    now = masked.ids[masked.at]
    assert np.mean(now == 5) == pytest.approx(0.8, abs=0.01)
    assert np.mean(now == masked.targets) == pytest.approx(0.1, abs=0.01)
    others = np.setdiff1d(np.arange(len(ids)), masked.at)
    assert np.array_equal(masked.ids[others], ids[others])


def test_masking_takes_one_token_at_least_and_never_a_special_one() -> None:
    masked = mask(np.array([1, 9, 2]), 1e-9, 10, np.random.default_rng(0))
    assert masked.at.tolist() == [1]
    assert mask(np.array([1, 2]), 0.3, 10, np.random.default_rng(0)).at.tolist() == []


@pytest.mark.parametrize(
    ("progress", "factor"), [(0, 0), (0.05, 0.5), (0.1, 1), (0.5, 1), (0.7, 1), (0.775, 0.5), (1, 0)]
)
def test_schedule(progress: float, factor: float) -> None:
    assert warmup_stable_decay(progress, 0.1, 0.3) == pytest.approx(factor if progress != 0.775 else 0.5, abs=1e-9)


@given(st.floats(0, 1), st.floats(0.01, 0.4), st.floats(0.01, 0.5))
def test_schedule_stays_within_bounds(progress: float, warmup: float, decay: float) -> None:
    assert 0 <= warmup_stable_decay(progress, warmup, decay) <= 1


def test_clock_goes_by_tokens_or_by_time() -> None:
    clock = Clock(tokens=100)
    clock.start()
    assert clock.progress(25) == 0.25
    late = Clock(tokens=100, seconds=10, spent=8)
    late.start()
    assert 0.8 <= late.progress(25) < 0.9
    assert late.progress(100) == 1


@pytest.mark.parametrize("shape", [(2, 8, 32), (3, 32, 8), (1, 16, 16)])
def test_orthogonalise_brings_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)).float())
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_muon_goes_downhill_and_resumes() -> None:
    torch.manual_seed(0)
    target = torch.randn(8, 12)
    weights = torch.nn.Parameter(torch.zeros(8, 12))
    optimiser = Muon([weights], lr=0.1)
    losses = []
    for _ in range(60):
        loss = (weights - target).square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    again = Muon([weights], lr=0.05)
    again.load_state_dict(optimiser.state_dict())
    assert torch.equal(again.state[weights]["momentum"], optimiser.state[weights]["momentum"])


def test_stable_adamw_is_adamw_while_gradients_are_steady() -> None:
    torch.manual_seed(0)
    start, gradient = torch.randn(6, 4), torch.randn(6, 4)
    mine, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    ours = StableAdamW([mine], lr=0.01, weight_decay=0.1)
    adamw = torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.1)
    for _ in range(5):
        mine.grad, theirs.grad = gradient.clone(), gradient.clone()
        ours.step()
        adamw.step()
    assert torch.allclose(mine, theirs, atol=1e-6)


def test_stable_adamw_clips_the_update_where_the_second_moment_lags() -> None:
    params = [torch.nn.Parameter(torch.zeros(64)) for _ in range(2)]
    ours = StableAdamW([params[0]], lr=0.01)
    adamw = torch.optim.AdamW([params[1]], lr=0.01, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0)
    for size in [1e-3] * 100 + [1.0]:
        before = [param.detach().clone() for param in params]
        for param, optimiser in zip(params, (ours, adamw), strict=True):
            param.grad = torch.full((64,), size)
            optimiser.step()
    moved = [(param - old).abs().mean().item() for param, old in zip(params, before, strict=True)]
    # g / sqrt(v) of the last step: sqrt(1 / (1 - 0.98))
    assert moved[1] / moved[0] == pytest.approx(50**0.5, rel=0.1)


def test_stable_adamw_resumes_in_the_same_bits() -> None:
    torch.manual_seed(0)
    gradients = torch.randn(6, 8)
    whole, cut = (torch.nn.Parameter(torch.ones(8)) for _ in range(2))
    first, second = StableAdamW([whole], lr=0.1), StableAdamW([cut], lr=0.1)
    for number, gradient in enumerate(gradients):
        if number == 3:
            state = second.state_dict()
            second = StableAdamW([cut], lr=0.1)
            second.load_state_dict(state)
        whole.grad, cut.grad = gradient.clone(), gradient.clone()
        first.step()
        second.step()
    assert torch.equal(whole, cut)


def test_every_parameter_has_one_optimiser() -> None:
    model = ModernBertForMaskedLM(
        ModernBertConfig(
            vocab_size=64, hidden_size=64, num_hidden_layers=2, intermediate_size=64, num_attention_heads=1
        )
    )
    for name, count in (("adamw", 1), ("stable-adamw", 1), ("muon", 2)):
        made = optimisers(model, name, lr=1e-3, matrix_lr=1e-3, weight_decay=0.1)
        held = [id(p) for o in made for group in o.param_groups for p in group["params"]]
        assert len(made) == count
        assert sorted(held) == sorted(id(p) for p in model.parameters())


def _shard(tokens: list[int]) -> Shard:
    return Shard("a", 1.0, np.array(tokens, np.uint16), np.array([len(tokens)]))


def test_cooccurrence_puts_interchangeable_pieces_together() -> None:
    rng = np.random.default_rng(0)
    tokens: list[int] = []
    for _ in range(3000):  # 晴れ (10) and 雨 (11) after 天気 (12); パン (13) and 米 (14) before 食べ (15)
        tokens += [12, int(rng.choice([10, 11])), 20] if rng.random() < 0.5 else [int(rng.choice([13, 14])), 15, 21]
    vectors = cooccurrence_embeddings([_shard(tokens)], 24, 6, std=0.02, window=2)
    unit = torch.nn.functional.normalize(vectors, dim=1)
    assert unit[10] @ unit[11] > 0.8 > unit[10] @ unit[13] + 0.5
    assert torch.allclose(vectors.pow(2).mean(1).sqrt(), torch.full((24,), 0.02), atol=1e-5)
    assert torch.equal(vectors, cooccurrence_embeddings([_shard(tokens)], 24, 6, std=0.02, window=2))


def test_log_unigram_is_a_distribution() -> None:
    counts = piece_counts([_shard([7, 7, 8]), _shard([9])], 12)
    assert counts.tolist() == [0, 0, 0, 0, 0, 0, 0, 2, 1, 1, 0, 0]
    assert log_unigram(counts).exp().sum().item() == pytest.approx(1, abs=1e-6)
    assert log_unigram(counts).argmax() == 7
