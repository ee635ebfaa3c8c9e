"""A SentenceTransformer on the packed encoder against sentence-transformers itself, and against our own embedder."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize
from sentence_transformers.sentence_transformer.modules import Pooling

import jnlp
from jnlp.encoder.load import Runtime, load_embedder
from jnlp.testing import SENTENCES, make_model
from jnlp.types import Purpose

LONG = "契約を途中で解約する条件は、第十二条に定める。" * 8
TEXTS = ["", "猫", *SENTENCES, LONG, LONG * 20]  # the last one is longer than the model
PROMPTS = {"query": "検索クエリ: ", "document": "検索文書: ", "topic": "トピック: "}


def _model(folder: Path, pooling: str = "mean", normalize: bool = True) -> Path:
    """Make a model in the layout of sentence-transformers, with prompts."""
    make_model(folder, head="embedding", positions=256)
    kinds = ["base.modules.transformer.Transformer", "sentence_transformer.modules.pooling.Pooling"]
    kinds += ["base.modules.normalize.Normalize"] if normalize else []
    modules = []
    for number, kind in enumerate(kinds):
        path = f"{number}_{kind.rpartition('.')[2]}" if number else ""
        modules.append({"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.{kind}"})
        (folder / path).mkdir(exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    Pooling(64, pooling).save(str(folder / "1_Pooling"))
    if normalize:
        Normalize().save(str(folder / "2_Normalize"))
    settings = {"prompts": PROMPTS, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 256}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return _model(tmp_path_factory.mktemp("packed") / "model")


@pytest.fixture(scope="module")
def ours(folder):
    return jnlp.sentence_transformer(str(folder), device="cpu", dtype="fp32")


def test_a_batch_in_one_go_as_on_a_gpu_gives_the_same_states(ours):
    module = ours[0]
    features = module.preprocess(TEXTS)
    mask = features["attention_mask"].bool()
    sequences = [row[keep].numpy() for row, keep in zip(features["input_ids"], mask, strict=True)]
    with torch.inference_mode():
        found, wanted = module._at_once(sequences, mask), module._in_batches(sequences, mask)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def theirs(folder):
    return SentenceTransformer(str(folder), device="cpu")


def test_vectors_are_those_of_sentence_transformers_and_of_the_embedder(folder, ours, theirs):
    assert isinstance(ours, SentenceTransformer)
    vectors = ours.encode(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, theirs.encode(TEXTS), atol=1e-5)
    embedder = load_embedder(folder, runtime=Runtime(device="cpu", dtype="fp32"))
    rows = embedder.embed(TEXTS[:-1]).vectors
    np.testing.assert_allclose(vectors[:-1], rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("texts", ["おはよう", "", ["おはよう"], [], ["b", "", LONG]])
@pytest.mark.parametrize(
    "options",
    [
        {"convert_to_tensor": True},
        {"convert_to_numpy": False},
        {"normalize_embeddings": True},
        {"truncate_dim": 16},
        {"batch_size": 1},
        {"prompt": "検索クエリ: "},
        {"prompt_name": "topic"},
    ],
)
def test_encode_takes_and_gives_the_same(ours, theirs, texts, options):
    got, wanted = ours.encode(texts, **options), theirs.encode(texts, **options)
    assert type(got) is type(wanted)
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-5)


@pytest.mark.parametrize("method", ["encode_query", "encode_document"])
def test_queries_and_documents_get_their_prompts(ours, theirs, method):
    vectors = getattr(ours, method)(SENTENCES)
    np.testing.assert_allclose(vectors, getattr(theirs, method)(SENTENCES), atol=1e-5)
    assert np.abs(vectors - ours.encode(SENTENCES)).max() > 1e-2


def test_states_of_tokens(ours, theirs):
    for got, wanted in zip(
        ours.encode(TEXTS, output_value="token_embeddings"),
        theirs.encode(TEXTS, output_value="token_embeddings"),
        strict=True,
    ):
        assert torch.allclose(got, wanted, atol=1e-5)
    everything = ours.encode(["猫", LONG], output_value=None)
    assert [int(one["attention_mask"].sum()) for one in everything] == [3, len(everything[1]["attention_mask"])]


def test_precision_similarity_and_lengths(ours, theirs):
    assert (ours.encode(TEXTS, precision="binary") == theirs.encode(TEXTS, precision="binary")).mean() > 0.99
    a, b = ours.encode(SENTENCES), theirs.encode(SENTENCES)
    np.testing.assert_allclose(ours.similarity(a, a), theirs.similarity(b, b), atol=1e-5)
    assert ours.get_embedding_dimension() == theirs.get_embedding_dimension() == 64
    assert ours.max_seq_length == theirs.max_seq_length == 256
    assert ours.prompts == {**theirs.prompts, "similarity": ""}
    got, wanted = ours.preprocess(TEXTS), theirs.preprocess(TEXTS)
    assert torch.equal(got["attention_mask"], wanted["attention_mask"])
    assert torch.equal(got["input_ids"], wanted["input_ids"])


def test_a_shorter_length_cuts_earlier(folder, theirs):
    ours, other = (make(str(folder), device="cpu") for make in (_fp32, SentenceTransformer))
    ours.max_seq_length = other.max_seq_length = 12
    np.testing.assert_allclose(ours.encode(TEXTS), other.encode(TEXTS), atol=1e-5)
    assert np.abs(ours.encode(LONG) - theirs.encode(LONG)).max() > 1e-2


def _fp32(folder, device):
    return jnlp.sentence_transformer(folder, device=device, dtype="fp32")


@pytest.mark.parametrize(("pooling", "normalize"), [("mean", False), ("cls", True)])
def test_modules_are_those_of_the_folder(tmp_path, pooling, normalize):
    folder = _model(tmp_path / "model", pooling, normalize)
    wanted = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(_fp32(str(folder), "cpu").encode(TEXTS), wanted, atol=1e-5)


def test_a_plain_folder_is_pooled_by_the_mean_and_prompts_come_from_the_spec(tmp_path):
    from dataclasses import replace

    from jnlp.encoder.forms.sentence_transformer import wrap
    from jnlp.models.folder import inspect

    folder = make_model(tmp_path / "plain", positions=256)
    spec = replace(inspect(folder), prefixes={Purpose.QUERY: "検索クエリ: "})
    model = wrap(folder, spec, device="cpu", dtype="fp32")
    assert model.prompts == {"query": "検索クエリ: ", "document": ""}
    other = SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(model.encode(TEXTS), other.encode(TEXTS), atol=1e-5)


def test_a_saved_model_loads_without_jnlp_and_here_again(ours, tmp_path):
    ours.save_pretrained(str(tmp_path / "saved"))
    ours.save_pretrained(str(tmp_path / "saved"))  # again, over itself
    wanted = ours.encode_query(TEXTS)
    code = (
        "import sys, numpy as np\nfrom sentence_transformers import SentenceTransformer\n"
        "model = SentenceTransformer(sys.argv[1], device='cpu')\n"
        "np.save(sys.argv[2], model.encode_query(__import__('json').load(open(sys.argv[3]))))\n"
        "assert not any(name.split('.')[0] == 'jnlp' for name in sys.modules)\n"
    )
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS), encoding="utf-8")
    arguments = [str(tmp_path / name) for name in ("saved", "vectors.npy", "texts.json")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), wanted, atol=1e-5)
    again = _fp32(str(tmp_path / "saved"), "cpu")
    np.testing.assert_allclose(again.encode_query(TEXTS), wanted, atol=1e-6)
    assert again.max_seq_length == 256


def test_moves_and_copies(ours):
    moved = copy.deepcopy(ours).to(torch.bfloat16)
    assert moved[0].embedder is not ours[0].embedder
    cosines = (moved.encode(SENTENCES) * ours.encode(SENTENCES)).sum(1)
    assert cosines.min() > 0.99
    assert np.abs(moved.encode(SENTENCES) - ours.encode(SENTENCES)).max() > 0
    np.testing.assert_allclose(moved.float().encode(SENTENCES), ours.encode(SENTENCES), atol=1e-6)
    with pytest.raises(jnlp.JnlpError, match=r"torch\.float16"):
        moved.half()


@pytest.mark.slow
def test_several_processes(ours):
    vectors = ours.encode(TEXTS, device=["cpu", "cpu"], chunk_size=4)
    np.testing.assert_allclose(vectors, ours.encode(TEXTS), atol=1e-6)


def test_a_worker_gets_the_folder_and_not_the_weights(ours):
    import pickle

    state = pickle.dumps(ours)
    assert len(state) < 20_000
    np.testing.assert_allclose(pickle.loads(state).encode(SENTENCES), ours.encode(SENTENCES), atol=1e-6)
