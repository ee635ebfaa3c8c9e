"""The packed forward against transformers on the same random weights, in fp32."""

import dataclasses
from functools import lru_cache

import numpy as np
import pytest
import torch

from jnlp.encoder.config import GLOBAL, LOCAL
from jnlp.encoder.modernbert import (
    ModernBert,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
)
from jnlp.encoder.packing import pack
from jnlp.errors import JnlpError
from jnlp.types import Pooling, ProblemType

SHAPES = {
    "30m": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 10, "num_attention_heads": 4},
    "70m": {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 13, "num_attention_heads": 6},
    "130m": {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 19, "num_attention_heads": 8},
    "310m": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 25, "num_attention_heads": 12},
}
EDGES = (1, 2, 63, 64, 65, 66, 127, 128, 129, 130)


def _config(size="30m", *, layers=None, **changes):
    shape = SHAPES[size] | ({"num_hidden_layers": layers} if layers else {})
    # larger weights than in training: attention is sharp, so that a wrong mask or rotation shows
    return ModernBertConfig(**(shape | {"vocab_size": 1200, "initializer_range": 0.05} | changes))


@lru_cache(maxsize=1)
def _pair(kind, config):
    """Return our network and transformers' with the same weights."""
    import transformers
    from transformers.initialization import no_init_weights

    torch.manual_seed(0)
    names = {
        ModernBert: "ModernBertModel",
        ModernBertForMaskedLM: "ModernBertForMaskedLM",
        ModernBertForSequenceClassification: "ModernBertForSequenceClassification",
    }
    ours = kind(config).eval()
    hf_config = transformers.ModernBertConfig(**config.to_dict())
    hf_config._attn_implementation = "sdpa"
    with no_init_weights():
        theirs = getattr(transformers, names[kind])(hf_config).eval()
    theirs.tie_weights()
    report = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert not report.unexpected_keys
    assert set(report.missing_keys) <= {"decoder.weight"}, "tied to the embeddings"
    return ours, theirs


def _sequences(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(7, 1200, length) for length in lengths]


def _assert_equal(got, want):
    assert got.shape == want.shape
    assert (got - want).abs().max() <= 1e-4 * want.abs().max()


def _check_encoder(config, lengths):
    ours, theirs = _pair(ModernBert, config)
    sequences = _sequences(lengths)
    with torch.inference_mode():
        states = torch.split(ours(pack(sequences)), [len(s) for s in sequences])
        for got, ids in zip(states, sequences, strict=True):
            _assert_equal(got, theirs(torch.from_numpy(ids)[None]).last_hidden_state[0])


@pytest.mark.parametrize("lengths", [*((n,) for n in EDGES), (513,), (2049,), (3, 200, 64, 1, 64, 130)], ids=str)
def test_30m_at_full_depth(lengths):
    _check_encoder(_config("30m"), lengths)


def test_all_edges_in_one_batch():
    _check_encoder(_config("30m"), (*EDGES, 513, *EDGES))


def test_width_of_the_others():
    _check_encoder(_config("130m", layers=4), (2, 65, 130))


def test_long_positions():
    _check_encoder(_config("30m", layers=2), (4100,))


@pytest.mark.slow
def test_30m_at_8192():
    _check_encoder(_config("30m"), (8192,))


@pytest.mark.slow
@pytest.mark.parametrize("layers", [4, None], ids=["four-layers", "full-depth"])
@pytest.mark.parametrize("size", ["70m", "130m", "310m"])
def test_others(size, layers):
    _check_encoder(_config(size, layers=layers), (*EDGES, 513))


def test_masked_lm():
    ours, theirs = _pair(ModernBertForMaskedLM, _config("30m"))
    with torch.no_grad():
        ours.decoder.bias.normal_()
        theirs.decoder.bias.copy_(ours.decoder.bias)
    sequences = _sequences((70, 1, 20))
    packed = pack(sequences)
    at = torch.tensor([0, 3, 69, 70, 71, 90])
    with torch.inference_mode():
        got = ours(packed, at)
        want = torch.cat([theirs(torch.from_numpy(ids)[None]).logits[0] for ids in sequences])[at]
    _assert_equal(got, want)


@pytest.mark.parametrize("pooling", Pooling)
def test_classifier(pooling):
    labels = ("良い", "悪い", "どちらでもない")
    ours, theirs = _pair(
        ModernBertForSequenceClassification, _config("30m", layers=4, labels=labels, classifier_pooling=pooling)
    )
    sequences = _sequences((70, 1, 20))
    with torch.inference_mode():
        got = ours(pack(sequences))
        want = torch.cat([theirs(torch.from_numpy(ids)[None]).logits for ids in sequences])
    assert theirs.config.id2label == dict(enumerate(labels))
    _assert_equal(got, want)


def test_gradients_equal_transformers():
    ours, theirs = _pair(ModernBertForMaskedLM, _config("30m", layers=4))
    sequences = _sequences((70, 3))
    loss = ours(pack(sequences), torch.tensor([0, 5, 69, 72])).logsumexp(-1).sum()
    loss.backward()
    rows = torch.cat([theirs(torch.from_numpy(ids)[None]).logits[0] for ids in sequences])[[0, 5, 69, 72]]
    rows.logsumexp(-1).sum().backward()
    wanted = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert (parameter.grad - wanted[name].grad).abs().max() <= 1e-4 * wanted[name].grad.abs().max(), name


def test_bf16_points_where_fp32_does():
    torch.manual_seed(0)
    network = ModernBert(_config("30m", initializer_range=0.02)).eval()
    packed = pack(_sequences((70, 200)))
    with torch.inference_mode():
        exact = network(packed)
        rounded = network.bfloat16()(packed).float()
    assert torch.nn.functional.cosine_similarity(exact, rounded).min() > 0.999


def test_initial_weights_are_modernberts():
    torch.manual_seed(0)
    config = ModernBertConfig(vocab_size=4000, num_hidden_layers=8, labels=("a", "b"))
    network = ModernBertForSequenceClassification(config)
    state = network.state_dict()
    kept = 0.8796  # the standard deviation that is left of a normal cut at two of its own
    for name, std in {
        "model.embeddings.tok_embeddings.weight": 0.02,
        "model.layers.3.attn.Wqkv.weight": 0.02,
        "model.layers.3.mlp.Wi.weight": 0.02,
        "model.layers.3.attn.Wo.weight": 0.02 / 4,
        "model.layers.3.mlp.Wo.weight": 0.02 / 4,
        "head.dense.weight": 0.02 / 4,
    }.items():
        assert state[name].std() == pytest.approx(kept * std, rel=0.03), name
        assert state[name].abs().max() <= 2 * std, name
    assert state["classifier.weight"].std() == pytest.approx(kept * 256**-0.5, rel=0.15)
    assert not state["classifier.bias"].any()
    assert (state["model.final_norm.weight"] == 1).all()


def test_config_both_ways():
    config = _config(labels=("陽性", "陰性"), problem_type=ProblemType.MULTI_LABEL, classifier_pooling=Pooling.MEAN)
    assert ModernBertConfig.from_dict(config.to_dict()) == config
    uneven = dataclasses.replace(config, num_hidden_layers=4, layer_types=(GLOBAL, LOCAL, LOCAL, LOCAL))
    assert ModernBertConfig.from_dict(uneven.to_dict()) == uneven


def test_config_of_transformers_4():
    values = SHAPES["30m"] | {
        "model_type": "modernbert",
        "vocab_size": 102_400,
        "global_attn_every_n_layers": 2,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 1234.0,
        "bos_token_id": 1,
        "torch_dtype": "bfloat16",
        "reference_compile": False,
    }
    config = ModernBertConfig.from_dict(values)
    assert config.layer_types == (GLOBAL, LOCAL) * 5
    assert [config.window(0), config.window(1)] == [None, 64]
    assert [config.theta(0), config.theta(1)] == [160_000, 1234]
    assert (config.bos_token_id, config.mask_token_id) == (1, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "bert"}, "model_type is 'bert'"),
        ({"hidden_activation": "relu"}, "hidden_activation is 'relu'"),
        ({"hidden_size": None}, "does not state hidden_size"),
        ({"num_attention_heads": 5}, "hidden size 256 over 5 heads"),
        ({"rope_parameters": {GLOBAL: {"rope_type": "yarn", "rope_theta": 1.0}}}, "yarn"),
    ],
)
def test_config_of_what_would_compute_something_else(change, message):
    with pytest.raises(JnlpError, match=message):
        ModernBertConfig.from_dict(_config().to_dict() | change)
