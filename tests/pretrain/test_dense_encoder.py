"""The encoder on rows equals the model, whatever the packing, and attention never crosses documents."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from jnlp.encoder.modernbert import ModernBertConfig, ModernBertForMaskedLM
from jnlp.encoder.packing import pack
from jnlp.errors import JnlpError
from jnlp.training.dense_encoder import DenseEncoder, can_compile
from jnlp_pretrain.masked_lm import MaskedLMLoss, MaskedLMObjective
from jnlp_pretrain.packs import PACKINGS
from jnlp_pretrain.recipe import Optimisation, Recipe, Span, Stage
from jnlp_pretrain.shards import Shard

if TYPE_CHECKING:
    from collections.abc import Collection

CONFIG = ModernBertConfig(
    vocab_size=64,
    hidden_size=128,
    num_hidden_layers=4,
    intermediate_size=64,
    num_attention_heads=2,
    local_attention=8,
)


@pytest.fixture
def model() -> ModernBertForMaskedLM:
    torch.manual_seed(0)
    model = ModernBertForMaskedLM(CONFIG)
    for layer in model.model.layers:  # the small weights of a start would hide what attention does
        layer.attn.Wqkv.weight.data.mul_(8)  # type: ignore[operator, union-attr]
    return model


def _documents(sizes: Collection[int]) -> list[np.ndarray]:
    return [np.random.default_rng(n).integers(7, 64, size=n) for n in sizes]


def test_rows_give_the_states_of_the_model(model: ModernBertForMaskedLM) -> None:
    packed = pack(_documents((10, 22, 32, 5, 11, 16)))
    with torch.inference_mode():
        assert torch.allclose(DenseEncoder(model.model)(packed, 32), model.model(packed), atol=1e-5)


def _losses(model: ModernBertForMaskedLM, compiled: Collection[int], *, packing: str = "naive") -> MaskedLMObjective:
    shard = Shard("a", 1.0, np.concatenate(_documents(range(5, 60))).astype(np.uint16), np.cumsum(range(5, 60)))
    stage = Stage(1000, (Span(32),), packing, batch=256, micro_batch=128)
    recipe = Recipe("x", (stage,), optimisation=Optimisation(dtype="fp32"))
    return MaskedLMObjective(
        recipe, MaskedLMLoss(model, compiled=compiled, require_compile=True), [shard], [shard], [9]
    )


def _gradients(objective: MaskedLMObjective) -> tuple[float, dict[str, torch.Tensor]]:
    objective.model.zero_grad()
    loss, _ = objective.backward(0, 0.0)
    found = {n: p.grad.clone() for n, p in objective.model.named_parameters() if p.grad is not None}
    return float(loss), found


def _same(mine: MaskedLMObjective, theirs: MaskedLMObjective, tolerance: float = 1e-5) -> None:
    (loss, found), (other, expected) = _gradients(mine), _gradients(theirs)
    assert loss == pytest.approx(other, abs=tolerance)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=tolerance), name


def test_dense_rows_give_the_loss_and_gradients_of_the_packed_model(
    model: ModernBertForMaskedLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = _losses(model, ())
    packed = _losses(model, ())
    loss, found = _gradients(dense)
    monkeypatch.setattr("jnlp_pretrain.masked_lm.LONGEST", 16)  # rows of 32 now go through the packed encoder
    other, expected = _gradients(packed)
    # the mask is drawn after the gaps of the rows are filled: the same tokens are free, and the same are drawn
    assert loss == pytest.approx(other, abs=1e-5)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-5), name


def test_another_turn_begins_with_other_text_and_other_masks(model: ModernBertForMaskedLM) -> None:
    seen = []
    for turn in (0, 0, 7):
        objective = _losses(model, ())
        objective = MaskedLMObjective(objective.recipe, objective.loss, objective.shards, [], [9], turn=turn)
        seen.append((_gradients(objective)[0], objective.state()["turn"]))
    assert seen[0] == seen[1]
    assert seen[0][0] != seen[2][0]
    assert [turn for _, turn in seen] == [0, 0, 7]


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_compiled_rows_give_the_loss_and_gradients_of_plain_ones(model: ModernBertForMaskedLM) -> None:
    _same(_losses(model, (32,)), _losses(model, ()), 1e-5)


def test_without_packing_batches_hold_as_many_documents_as_their_tokens_allow(model: ModernBertForMaskedLM) -> None:
    objective = _losses(model, (), packing="none")
    _, tokens = objective.backward(0, 0.0)
    assert 256 - 2 * 34 < tokens <= 256


@pytest.mark.parametrize("packing", sorted(PACKINGS))
def test_attention_never_crosses_documents(model: ModernBertForMaskedLM, packing: str) -> None:
    objective = _losses(model, (), packing=packing)
    stage = objective.recipe.stages[0]
    rows = objective._take(stage, 32)
    rng = np.random.default_rng(0)
    for victim in range(sum(map(len, rows))):
        batch = objective._batch(rows, 32, 1e-9, rng)
        bounds = list(pairwise(batch.packed.cu_seqlens.tolist()))
        start, stop = bounds[victim]
        changed = torch.randint(7, 64, (stop - start,))
        with torch.inference_mode():
            before = _states(objective, batch)
            batch.packed.ids[start:stop] = changed
            after = _states(objective, batch)
        same = (before == after).all(-1)
        assert not same[start:stop].all()
        assert same[:start].all()
        assert same[stop:].all()


def _states(objective: MaskedLMObjective, batch: object) -> torch.Tensor:
    from jnlp_pretrain.masked_lm import Batch

    assert isinstance(batch, Batch)
    if batch.length is None:
        return objective.model.model(batch.packed)  # type: ignore[no-any-return]
    return DenseEncoder(objective.model.model)(batch.packed, batch.length)


def test_what_cannot_be_compiled_runs_as_it_is(model: ModernBertForMaskedLM, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_headers(*_: object, **__: object) -> object:
        def fail(*_: object) -> object:
            raise TorchDynamoException("fatal error: Python.h: No such file or directory\ncompilation terminated")

        return fail

    monkeypatch.setattr(torch, "compile", no_headers)
    packed = pack(_documents((10, 22, 32)))
    with torch.inference_mode():
        expected = DenseEncoder(model.model)(packed, 32)
        assert torch.equal(DenseEncoder(model.model, (32,))(packed, 32), expected)
        with pytest.raises(JnlpError, match=r"torch cannot compile: fatal error: Python\.h: No such file"):
            DenseEncoder(model.model, (32,), require_compile=True)(packed, 32)
