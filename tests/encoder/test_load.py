"""Folders that are whole, and folders that are not: one clear line each."""

import dataclasses
import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from jnlp.encoder.checkpoint import load_modernbert, save_modernbert
from jnlp.encoder.load import Runtime, describe, load_classifier, load_embedder, load_masked_lm
from jnlp.encoder.modernbert import ModernBert, ModernBertForMaskedLM
from jnlp.errors import JnlpError, UsageError
from jnlp.models.folder import inspect
from jnlp.testing import make_model
from jnlp.types import ModelSpec

FP32 = Runtime(device="cpu", dtype="fp32")


@pytest.fixture
def folder(tmp_path):
    return make_model(tmp_path / "model", layers=2, hidden=32)


def _weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    weights = {name: tensor.clone() for name, tensor in weights.items()}
    save_file(change(weights), folder / "model.safetensors")


def _config(folder, **changes):
    values = json.loads((folder / "config.json").read_text(encoding="utf-8")) | changes
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")


def _vectors(folder, spec=None):
    return load_embedder(folder, spec, runtime=FP32).embed(["今日は良い天気です。"]).vectors


def test_encoder_only_prefixed_or_not_and_tied_copy(folder):
    want = _vectors(folder)
    _weights(folder, lambda w: w | {"decoder.weight": w["model.embeddings.tok_embeddings.weight"].clone()})
    assert (_vectors(folder) == want).all()
    assert load_masked_lm(folder, runtime=FP32).tokenizer.vocabulary
    _weights(folder, lambda w: {name: t for name, t in w.items() if name.startswith("model.")})
    assert (_vectors(folder) == want).all()
    _weights(folder, lambda w: {name.removeprefix("model."): t for name, t in w.items()})
    assert (_vectors(folder) == want).all()


def test_fp16_is_cast_up(folder):
    _weights(folder, lambda w: {name: t.half() for name, t in w.items()})
    network = load_modernbert(folder, ModernBertForMaskedLM, FP32)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in network.parameters())
    assert not network.training


def test_shards(folder):
    want = _vectors(folder)
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    files = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: weights[name].clone() for name in names if files[name] == file}, folder / file)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    assert (_vectors(folder) == want).all()
    (folder / files[names[0]]).unlink()
    with pytest.raises(JnlpError, match=r"model-00001-of-00002\.safetensors"):
        load_embedder(folder, ModelSpec("m"), runtime=FP32)


def test_saved_and_loaded_is_the_same(folder, tmp_path):
    network = load_modernbert(folder, ModernBertForMaskedLM, FP32)
    save_modernbert(network, tmp_path / "copy", tokenizer=folder)
    again = load_modernbert(tmp_path / "copy", ModernBertForMaskedLM, FP32)
    assert again.config == network.config
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), network.parameters(), strict=True))
    assert (_vectors(tmp_path / "copy") == _vectors(folder)).all()


def test_untied_decoder(folder):
    generator = torch.Generator().manual_seed(1)
    _config(folder, tie_word_embeddings=False)
    _weights(folder, lambda w: w | {"decoder.weight": torch.randn(w["decoder.bias"].shape[0], 32, generator=generator)})
    network = load_modernbert(folder, ModernBertForMaskedLM, FP32)
    states = torch.randn(3, 32)
    want = network.head(states) @ network.decoder.weight.T + network.decoder.bias
    torch.testing.assert_close(network.logits(states), want)


def test_one_logit_is_yes_or_no_and_unnamed_labels_are_numbered(tmp_path):
    folder = make_model(tmp_path / "reranker", layers=2, hidden=32, labels=["関連"])
    _config(folder, id2label=None, label2id=None)
    spec = dataclasses.replace(ModelSpec("r"), max_length=64)
    head = load_classifier(folder, spec, runtime=FP32)
    assert (head.labels, head.problem_type.name, head.max_length) == (("LABEL_0",), "MULTI_LABEL", 64)


def _truncate(path, share=0.5):
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])


BROKEN = {
    "no config": (lambda f: (f / "config.json").unlink(), r"config\.json is missing"),
    "config cut off": (lambda f: _truncate(f / "config.json"), r"config\.json is damaged: not JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "is damaged: not an object"),
    "config too narrow": (lambda f: _config(f, hidden_size=16), "by config.json"),
    "config without sizes": (lambda f: _config(f, vocab_size=None), "does not state vocab_size"),
    "config with nonsense": (lambda f: _config(f, problem_type="guess"), "does not describe a ModernBERT"),
    "more layers than weights": (lambda f: _config(f, num_hidden_layers=3, layer_types=None), "lack model.layers.2"),
    "fewer layers than weights": (lambda f: _config(f, num_hidden_layers=1, layer_types=None), "have model.layers.1"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors is missing"),
    "pickle only": (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "pickled weights only"),
    "weights cut off": (lambda f: _truncate(f / "model.safetensors"), "cut off or broken"),
    "weights header cut off": (lambda f: _truncate(f / "model.safetensors", 0.001), "cut off or broken"),
    "weights no safetensors": (lambda f: (f / "model.safetensors").write_bytes(b"PK\3\4" * 9), "cut off or broken"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
    "tokenizer cut off": (lambda f: _truncate(f / "tokenizer.json"), "is not a tokenizer"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_folder(folder, name):
    spec = inspect(folder)
    damage, message = BROKEN[name]
    damage(folder)
    with pytest.raises(JnlpError, match=message) as raised:
        load_masked_lm(folder, spec, runtime=FP32)
    assert str(folder) in str(raised.value)
    assert raised.value.hint
    assert "\n" not in str(raised.value)


def test_missing_heads(folder, tmp_path):
    with pytest.raises(JnlpError, match="no classifier: it has embeddings and a masked-LM head") as raised:
        load_classifier(folder, runtime=FP32)
    assert "jnlp train classifier" in raised.value.hint
    with pytest.raises(JnlpError, match="no masked-LM head: it has a classifier"):
        load_masked_lm(make_model(tmp_path / "c", layers=1, hidden=32, labels="ab"), runtime=FP32)
    with pytest.raises(JnlpError, match="no masked-LM head: it has embeddings"):
        load_masked_lm(make_model(tmp_path / "e", layers=1, hidden=32, head="embedding"), runtime=FP32)


def test_missing_head_of_another_architecture(tmp_path):
    import transformers

    config = transformers.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(JnlpError, match=r"lacks classifier\.bias of ModelForSequenceClassification: it has BertModel"):
        load_classifier(tmp_path, ModelSpec("bert"), runtime=FP32)


def test_runtime():
    assert describe(FP32) == ("cpu", "fp32", "as asked")
    assert describe(Runtime(device="cpu", dtype="bf16"))[1] == "bf16"
    for device in ("tpu", "mps:0", "cuda:99", "meta"):
        with pytest.raises(UsageError, match="no device"):
            Runtime(device=device).place()
    with pytest.raises(UsageError, match="no dtype"):
        Runtime(device="cpu", dtype="fp8").place()


def test_loading_imports_neither_transformers_nor_torchs_compiler(folder):
    code = (
        "import sys; from pathlib import Path; from jnlp.encoder.load import load_embedder, Runtime;"
        f"e = load_embedder(Path({str(folder)!r}), runtime=Runtime(device='cpu'));"
        "e.embed(['猫']); "
        "print({'transformers', 'torch._dynamo', 'sympy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_network_without_head_ignores_the_head(folder):
    assert isinstance(load_modernbert(folder, ModernBert, FP32), ModernBert)


def test_an_architecture_that_names_its_size_otherwise(folder, tmp_path):
    import transformers

    config = transformers.DistilBertConfig(
        vocab_size=load_masked_lm(folder, runtime=FP32).tokenizer.vocabulary, dim=8, n_layers=1, n_heads=1, hidden_dim=8
    )
    transformers.DistilBertModel(config).save_pretrained(tmp_path / "distil")
    shutil.copyfile(folder / "tokenizer.json", tmp_path / "distil" / "tokenizer.json")
    embedder = load_embedder(tmp_path / "distil", runtime=FP32)
    assert embedder.dimension == 8
    assert embedder.embed(["今日は良い天気です。"]).vectors.shape == (1, 8)
