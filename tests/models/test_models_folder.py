"""What a folder says about itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest

from jnlp.errors import JnlpError
from jnlp.models.folder import inspect, missing
from jnlp.types import Head, Pooling, ProblemType, Purpose


def test_masked_lm(tmp_path, kit):
    spec = inspect(kit.write_model(tmp_path / "m"))
    assert spec.heads == (Head.EMBEDDING, Head.MASKED_LM)
    assert spec.architecture == "modernbert"
    assert spec.parameters == 50 * 8 + 8 + 8 + 64 + 8 + 50
    assert spec.max_length == 512
    assert (spec.pooling, spec.prefixes, spec.labels, spec.problem_type) == (Pooling.MEAN, {}, (), None)


@pytest.mark.parametrize("architectures", [["ModernBertModel"], ["ModernBertForMaskedLM"], None])
def test_an_encoder_has_no_masked_lm_whatever_its_config_says(tmp_path, kit, architectures):
    folder = kit.write_model(tmp_path / "m", kit.encoder, architectures=architectures)
    assert inspect(folder).heads == (Head.EMBEDDING,)


def test_classifier_labels_in_the_order_of_their_numbers(tmp_path, kit):
    folder = kit.write_model(
        tmp_path / "m",
        kit.classifier,
        architectures=["ModernBertForSequenceClassification"],
        id2label={"2": "芸能", "0": "経済", "1": "スポーツ"},
    )
    spec = inspect(folder, "./m")
    assert spec.name == "./m"
    assert spec.heads == (Head.CLASSIFIER,)
    assert spec.labels == ("経済", "スポーツ", "芸能")
    assert spec.problem_type is ProblemType.SINGLE_LABEL


SIGMOID = "torch.nn.modules.activation.Sigmoid"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ProblemType.MULTI_LABEL),
        ({"problem_type": "regression"}, ProblemType.REGRESSION),
        ({"problem_type": "multi_label_classification"}, ProblemType.MULTI_LABEL),
        ({"sentence_transformers": {"activation_fn": SIGMOID}}, ProblemType.MULTI_LABEL),
        ({"sbert_ce_default_activation_function": SIGMOID}, ProblemType.MULTI_LABEL),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, ProblemType.REGRESSION),
    ],
)
def test_one_label_is_a_probability_unless_the_folder_says_otherwise(tmp_path, kit, config, expected):
    folder = kit.write_model(
        tmp_path / "m",
        kit.classifier,
        architectures=["ModernBertForSequenceClassification"],
        id2label={"0": "LABEL_0"},
        **config,
    )
    assert inspect(folder).problem_type is expected


def test_labels_that_are_not_numbered_from_0(tmp_path, kit):
    folder = kit.write_model(
        tmp_path / "m",
        kit.classifier,
        architectures=["ModernBertForSequenceClassification"],
        id2label={"1": "肯定", "2": "否定"},
    )
    with pytest.raises(JnlpError, match="id2label"):
        inspect(folder)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, Pooling.CLS),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, Pooling.MEAN),
        ({"pooling_mode": "cls"}, Pooling.CLS),
        ({"pooling_mode": ["mean"]}, Pooling.MEAN),
    ],
)
def test_sentence_transformers_files(tmp_path, kit, pooling, expected):
    folder = sentence_transformers(tmp_path / "m", kit, pooling)
    spec = inspect(folder)
    assert spec.pooling is expected
    assert spec.max_length == 256
    assert spec.prefixes == {
        Purpose.QUERY: "検索クエリ: ",
        Purpose.DOCUMENT: "検索文書: ",
        Purpose.TOPIC: "トピック: ",
        Purpose.SIMILARITY: "",
    }


@pytest.mark.parametrize(
    ("pooling", "kind", "message"),
    [
        ({"pooling_mode": "max"}, "Normalize", "max pooling"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "Normalize", "cls\\+mean pooling"),
        ({"pooling_mode": "mean", "include_prompt": False}, "Normalize", "prefix"),
        ({"pooling_mode": "mean"}, "Dense", "Dense"),
    ],
)
def test_what_jnlp_does_not_do_is_an_error_and_not_a_wrong_vector(tmp_path, kit, pooling, kind, message):
    with pytest.raises(JnlpError, match=message):
        inspect(sentence_transformers(tmp_path / "m", kit, pooling, kind))


def sentence_transformers(folder, kit, pooling, last="Normalize"):
    kit.write_model(folder, kit.encoder)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Last", last)]
    listed = [{"idx": i, "path": p, "type": f"sentence_transformers.models.{t}"} for i, (p, t) in enumerate(modules)]
    kit.write_json(folder / "modules.json", listed)
    kit.write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 8, **pooling})
    kit.write_json(folder / "sentence_bert_config.json", {"max_seq_length": 256})
    prompts = {"query": "検索クエリ: ", "document": "検索文書: ", "Clustering": "トピック: "}
    kit.write_json(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})
    return folder


@pytest.mark.parametrize(
    ("model_type", "positions", "tokenizer", "expected"),
    [
        ("bert", 512, 512, 512),
        ("bert", 512, 10**30, 512),
        ("xlm-roberta", 514, 512, 512),
        ("luke", 514, None, 512),
        ("deberta-v2", 1024, 512, 512),
    ],
)
def test_the_longest_input_of_other_architectures(tmp_path, kit, model_type, positions, tokenizer, expected):
    folder = kit.write_model(
        tmp_path / "m", model_type=model_type, architectures=["XForMaskedLM"], max_position_embeddings=positions
    )
    kit.write_json(folder / "tokenizer_config.json", {"model_max_length": tokenizer})
    spec = inspect(folder)
    assert (spec.architecture, spec.max_length) == (model_type, expected)
    assert spec.heads == (Head.EMBEDDING, Head.MASKED_LM)


@pytest.mark.parametrize(
    ("front", "expected"),
    [
        ("license: mit", "MIT"),
        ('license: "apache-2.0"', "Apache-2.0"),
        ("language: ja\nlicense: cc-by-sa-4.0\ntags: []", "CC-BY-SA-4.0"),
        ("license: other\nlicense_name: my-own", "my-own"),
        ("language: ja", None),
    ],
)
def test_licence_from_the_card(tmp_path, kit, front, expected):
    folder = kit.write_model(tmp_path / "m")
    (folder / "README.md").write_text(f"---\n{front}\n---\n# 日本語モデル\nlicense: wtfpl\n", encoding="utf-8")
    assert inspect(folder).licence == expected


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file(tmp_path, kit, name):
    folder = kit.write_model(tmp_path / "m")
    (folder / name).unlink()
    assert missing(folder) == name
    with pytest.raises(JnlpError) as caught:
        inspect(folder)
    assert name in caught.value.message
    assert str(folder) in caught.value.message
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="gives up root, so it starts as root")
def test_a_file_that_may_not_be_read(tmp_path, kit):
    folder = kit.write_model(tmp_path / "m")
    (folder / "config.json").chmod(0)
    for parent in (folder, *folder.parents[:-1]):
        if str(parent).startswith(tempfile.gettempdir() + "/"):
            parent.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path; from jnlp.models.folder import inspect; os.setuid(65534)\n"
        "try: inspect(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == f"JnlpError {folder / 'config.json'} cannot be read: Permission denied\n"


def test_only_a_pickle(tmp_path, kit):
    folder = kit.write_model(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(JnlpError, match="safetensors only"):
        inspect(folder)


@pytest.mark.parametrize("kept", [0, 3, 8, 60, -1])
def test_truncated_weights(tmp_path, kit, kept):
    folder = kit.write_model(tmp_path / "m")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:kept])
    with pytest.raises(JnlpError, match=r"model\.safetensors is (truncated|not a safetensors file)") as caught:
        inspect(folder)
    assert f"{len(whole[:kept]):,}" in caught.value.message


@pytest.mark.parametrize("text", ["", "{", "[1]", '"文字列"'])
def test_a_damaged_config(tmp_path, kit, text):
    folder = kit.write_model(tmp_path / "m")
    (folder / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(JnlpError, match=r"config\.json is damaged"):
        inspect(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", '{"model_type": "modernbert", "max_position_embeddings": null}'),
        ("config.json", '{"model_type": "modernbert", "max_position_embeddings": "長い"}'),
        ("config.json", '{"model_type": "modernbert", "architectures": 1}'),
        ("modules.json", '["Pooling"]'),
        ("sentence_bert_config.json", '{"max_seq_length": "長い"}'),
    ],
)
def test_values_of_the_wrong_kind(tmp_path, kit, name, text):
    folder = kit.write_model(tmp_path / "m")
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(JnlpError) as caught:
        inspect(folder)
    assert str(folder) in caught.value.message
    assert "is damaged" in caught.value.message or f"{name}: " in caught.value.message


def test_shards(tmp_path, kit):
    folder = kit.write_model(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    halves = {"model-1.safetensors": kit.encoder, "model-2.safetensors": {"head.dense.weight": (8, 8)}}
    halves["model-2.safetensors"] |= {"decoder.bias": (50,)}
    kit.write_json(
        folder / "model.safetensors.index.json",
        {"weight_map": {tensor: name for name, tensors in halves.items() for tensor in tensors}},
    )
    for name, tensors in halves.items():
        kit.write_safetensors(folder / name, tensors)
    spec = inspect(folder)
    assert spec.heads == (Head.EMBEDDING, Head.MASKED_LM)
    assert spec.parameters == 416 + 64 + 50
    (folder / "model-2.safetensors").unlink()
    assert missing(folder) == "model-2.safetensors"


def test_shards_outside_the_folder_are_refused(tmp_path, kit):
    folder = kit.write_model(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    kit.write_json(folder / "model.safetensors.index.json", {"weight_map": {"x": "../other.safetensors"}})
    with pytest.raises(JnlpError, match="damaged"):
        inspect(folder)


HEADERS = [
    b"[" * 5000,
    b'{"a":' * 5000,
    b"[]",
    b'"a"',
    b"{}{",
    b'{"a": 1}',
    b'{"a": {"shape": [1e400], "data_offsets": [0, 4]}}',
    b'{"a": {"shape": [-1], "data_offsets": [0, 4]}}',
    b'{"a": {"shape": ["2"], "data_offsets": [0, 4]}}',
    b'{"a": {"shape": [2], "data_offsets": [0, 1e400]}}',
    b'{"a": {"shape": [2], "data_offsets": [0]}}',
    b'{"a": {"shape": [2], "data_offsets": {"1": 4}}}',
    b'{"a": {"shape": [2], "data_offsets": [0, 4' + b"0" * 5000 + b"]}}",
    b'{"\xff": {}}',
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_nonsense_in_the_header_of_weights(tmp_path, kit, header):
    folder = kit.write_model(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(JnlpError, match=r"model\.safetensors is (truncated|not a safetensors file)"):
        inspect(folder)


@pytest.mark.parametrize(
    "text", ["[" * 5000, '{"weight_map": {"a": 1}}', '{"weight_map": []}', "{}", '{"weight_map": {"a": null}}']
)
def test_nonsense_in_the_index_of_weights(tmp_path, kit, text):
    folder = kit.write_model(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    with pytest.raises(JnlpError, match=r"model\.safetensors\.index\.json is damaged"):
        inspect(folder)
