"""What tasks see, against transformers and sentence-transformers on the same folders."""

import threading

import numpy as np
import pytest
import torch

from jnlp.encoder.forms import kernels
from jnlp.encoder.load import Runtime, load_classifier, load_embedder, load_masked_lm
from jnlp.encoder.packing import pack
from jnlp.errors import UsageError
from jnlp.models.folder import inspect
from jnlp.testing import SENTENCES, make_model
from jnlp.text import fold, nfkc
from jnlp.types import Overflow, Pooling, ProblemType, Purpose

FP32 = Runtime(device="cpu", dtype="fp32")
TEXTS = [*SENTENCES, "", "猫", "".join(SENTENCES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "masked-lm")


@pytest.fixture(scope="module")
def embedder(folder):
    return load_embedder(folder, runtime=FP32)


@pytest.fixture(scope="module")
def classifier_folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "classifier", labels=("良い", "悪い", "他"))


def _relative(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def test_a_text_alone_and_in_a_batch(embedder):
    together = embedder.embed(TEXTS).vectors
    for text, vector in zip(TEXTS, together, strict=True):
        assert _relative(embedder.embed([text]).vectors[0], vector) < 1e-6


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_in_few_bits_a_text_alone_and_in_a_batch_differ_by_rounding(folder, monkeypatch, dtype):
    monkeypatch.setattr(kernels, "load", lambda: None)
    embedder = load_embedder(folder, runtime=Runtime(device="cpu", dtype=dtype))
    together = embedder.embed(TEXTS).vectors
    for text, vector in zip(TEXTS, together, strict=True):
        assert _relative(embedder.embed([text]).vectors[0], vector) < 0.01


def test_small_batches_keep_the_order(folder, embedder):
    tight = load_embedder(folder, runtime=Runtime(device="cpu", dtype="fp32", batch_tokens=8))
    assert _relative(tight.embed(TEXTS).vectors, embedder.embed(TEXTS).vectors) < 2e-6


def test_one_string_is_not_taken_for_its_characters(embedder):
    with pytest.raises(UsageError, match="texts is one string"):
        embedder.embed("契約の解約")


def test_nothing_in_nothing_out(folder, embedder, classifier_folder):
    assert embedder.embed([]).vectors.shape == (0, 64)
    assert load_classifier(classifier_folder, runtime=FP32).logits([]).values.shape == (0, 3)
    assert load_masked_lm(folder, runtime=FP32).at_masks([], []).shape == (0, embedder.tokenizer.vocabulary)


def test_two_threads(embedder):
    wanted = embedder.embed(TEXTS).vectors
    results = {}

    def work(name):
        results[name] = embedder.embed(TEXTS).vectors

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(results[name], wanted) for name in range(4))


def test_windows_are_joined_and_counted(folder):
    counted = []
    runtime = Runtime(device="cpu", dtype="fp32", count=lambda windows, cut: counted.append((windows, cut)))
    embedder = load_embedder(folder, runtime=runtime)
    long = "".join(SENTENCES) * 9
    found = embedder.embed(["短い", long])
    assert found.windows.tolist()[0] == 1 < found.windows[1]
    assert found.cut.tolist() == [0, 0]
    truncated = embedder.embed(["短い", long], overflow=Overflow.TRUNCATE)
    assert truncated.windows.tolist() == [1, 1]
    assert truncated.cut[0] == 0 < truncated.cut[1]
    assert counted == [(1, 0), (0, int(truncated.cut[1]))]
    assert _relative(found.vectors[0], truncated.vectors[0]) < 2e-6
    assert not np.allclose(found.vectors[1], truncated.vectors[1])


def test_states_tile_the_tokens_and_pool_to_the_embedding(embedder):
    (states,) = embedder.states(SENTENCES[0])
    assert states.core == (0, len(states.states))
    assert _relative(states.states.mean(0), embedder.embed([SENTENCES[0]]).vectors[0]) < 1e-5
    long = "".join(SENTENCES) * 9
    windows = list(embedder.states(long))
    assert len(windows) > 1
    offsets = np.concatenate([w.offsets[slice(*w.core)] for w in windows])
    assert offsets.tolist() == embedder.tokenizer.encode([long])[0].offsets.tolist()


def test_masked_lm_equals_transformers(folder):
    from transformers import AutoModelForMaskedLM

    head = load_masked_lm(folder, runtime=FP32)
    theirs = AutoModelForMaskedLM.from_pretrained(folder).eval()
    ids = [encoded.ids for encoded in head.tokenizer.encode(["今日は<mask>です。", "<mask><mask>", "猫"])]
    positions = [np.asarray([4]), np.asarray([1, 2]), np.asarray([], dtype=np.int64)]
    with torch.inference_mode():
        want = [theirs(torch.from_numpy(i)[None]).logits[0][p] for i, p in zip(ids, positions, strict=True)]
    got = head.at_masks(ids, positions)
    assert got.dtype == np.float32
    assert _relative(got, torch.cat(want).numpy()) < 1e-4
    with pytest.raises(ValueError, match="longer than the model's 512"):
        head.at_masks([np.ones(513, dtype=np.int64)], [np.asarray([1])])


def test_classifier_equals_transformers(classifier_folder):
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    head = load_classifier(classifier_folder, runtime=FP32)
    theirs = AutoModelForSequenceClassification.from_pretrained(classifier_folder).eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(classifier_folder / "tokenizer.json"))
    texts = [SENTENCES[0], (SENTENCES[1], SENTENCES[2]), "猫"]
    with torch.inference_mode():
        inputs = [tokenizer(*([t] if isinstance(t, str) else t), return_tensors="pt")["input_ids"] for t in texts]
        want = torch.cat([theirs(ids).logits for ids in inputs]).numpy()
    found = head.logits(texts)
    assert _relative(found.values, want) < 1e-4
    assert (found.labels, found.problem_type) == (("良い", "悪い", "他"), ProblemType.SINGLE_LABEL)
    assert found.owner.tolist() == [0, 1, 2]
    assert found.spans.tolist() == [[0, len(SENTENCES[0])], [0, len(SENTENCES[2])], [0, 1]]


def test_bf16_points_where_fp32_does(tmp_path):
    folder = make_model(tmp_path / "m", hidden=128, initializer_range=0.02)
    exact = load_embedder(folder, runtime=FP32).embed(TEXTS).vectors
    rounded = load_embedder(folder, runtime=Runtime(device="cpu", dtype="bf16")).embed(TEXTS).vectors
    cosine = (exact * rounded).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    assert cosine.min() > 0.999


def _sentence_transformer(folder, out, mode):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling as Pool
    from sentence_transformers.sentence_transformer.modules import Transformer

    prompts = {"query": "検索クエリ: ", "document": "検索文書: "}
    model = SentenceTransformer(modules=[Transformer(str(folder)), Pool(64, mode)], prompts=prompts, device="cpu")
    model.save(str(out))
    return model


@pytest.mark.parametrize("pooling", Pooling)
def test_sentence_transformers_folder(folder, tmp_path, pooling):
    model = _sentence_transformer(folder, tmp_path / "st", pooling.value)
    embedder = load_embedder(tmp_path / "st", runtime=FP32)
    assert embedder.pooling is pooling
    for purpose, name in ((Purpose.QUERY, "query"), (Purpose.DOCUMENT, "document"), (Purpose.SIMILARITY, None)):
        want = model.encode(list(SENTENCES), prompt_name=name)
        assert _relative(embedder.embed(SENTENCES, purpose=purpose).vectors, want) < 1e-4


def test_fingerprint_changes_with_what_decides_a_vector(folder, tmp_path):
    import dataclasses

    spec = inspect(folder)
    same = make_model(tmp_path / "same")
    other = make_model(tmp_path / "other", seed=1)
    specs = [
        (folder, dataclasses.replace(spec, pooling=Pooling.CLS)),
        (folder, dataclasses.replace(spec, prefixes={Purpose.QUERY: "検索クエリ: "})),
        (folder, dataclasses.replace(spec, max_length=128)),
        (other, spec),
    ]
    first = load_embedder(folder, spec, runtime=FP32).fingerprint
    assert load_embedder(same, spec, runtime=Runtime(device="cpu", dtype="bf16")).fingerprint == first
    composed, again, folded = (
        load_embedder(folder, spec, runtime=dataclasses.replace(FP32, normalize=normalize)).fingerprint
        for normalize in (nfkc, nfkc, fold)
    )
    assert composed == again
    assert len({first, composed, folded, *(load_embedder(f, s, runtime=FP32).fingerprint for f, s in specs)}) == 7


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A tiny random BERT for each head, with a WordPiece tokenizer: another architecture."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("bert")
    characters = sorted(set("".join(SENTENCES)))
    vocabulary = {p: i for i, p in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=1))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **{f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep", "mask")},
    )
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=3,
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    kinds = {"embedding": "BertModel", "masked": "BertForMaskedLM", "classifier": "BertForSequenceClassification"}
    for name, kind in kinds.items():
        getattr(transformers, kind)(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def test_bert_through_transformers(bert):
    import transformers

    texts = ["吾輩は猫である。", "雨が降っているので、傘を持って出かけました。", "猫"]
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(bert / "embedding")

    embedder = load_embedder(bert / "embedding", runtime=FP32)
    model = transformers.AutoModel.from_pretrained(bert / "embedding").eval()
    with torch.inference_mode():
        states = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0] for text in texts]
    assert _relative(embedder.embed(texts).vectors, torch.stack([s.mean(0) for s in states]).numpy()) < 1e-4
    assert embedder.embed(["猫" * 200]).windows.tolist() == [4]

    head = load_masked_lm(bert / "masked", runtime=FP32)
    model = transformers.AutoModelForMaskedLM.from_pretrained(bert / "masked").eval()
    ids = [encoded.ids for encoded in head.tokenizer.encode(["吾輩は[MASK]である。", "[MASK]"])]
    with torch.inference_mode():
        want = [model(torch.from_numpy(i)[None]).logits[0][p] for i, p in zip(ids, (4, 1), strict=True)]
    got = head.at_masks(ids, [np.asarray([4]), np.asarray([1])])
    assert _relative(got, torch.stack(want).numpy()) < 1e-4

    classifier = load_classifier(bert / "classifier", runtime=FP32)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bert / "classifier").eval()
    pairs = [("猫", "雨が降っている"), ("吾輩は猫である。", "傘")]
    typed = {"return_tensors": "pt", "return_token_type_ids": True}
    with torch.inference_mode():
        want = torch.cat([model(**tokenizer(*pair, **typed)).logits for pair in pairs])
    assert _relative(classifier.logits(pairs).values, want.numpy()) < 1e-4, "token types tell the texts apart"


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Bert", {}),
        ("Roberta", {"pad_token_id": 1}),
        ("DebertaV2", {"legacy": True}),
        ("DebertaV2", {"legacy": False}),
        ("Luke", {"pad_token_id": 1, "entity_vocab_size": 8, "entity_emb_size": 8}),
        ("DistilBert", {"dim": 32, "n_heads": 2, "n_layers": 2, "hidden_dim": 64}),
    ],
)
def test_masked_lm_of_other_architectures_answers_where_asked_only(kind, more):
    import transformers

    from jnlp.encoder.forms.transformers import TransformersMaskedLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    if kind == "DistilBert":
        sizes = {}
    config = getattr(transformers, f"{kind}Config")(vocab_size=50, max_position_embeddings=64, **sizes, **more)
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}ForMaskedLM")(config).eval()
    rows: list[int] = []
    model.get_output_embeddings().register_forward_hook(lambda _, __, out: rows.append(out.numel() // out.shape[-1]))
    sequences = [np.arange(5, 15), np.arange(20, 24), np.arange(30, 37)]
    with torch.inference_mode():
        alone = [model(torch.from_numpy(ids)[None]).logits[0] for ids in sequences]
        rows.clear()
        got = TransformersMaskedLM(model)(pack(sequences), torch.tensor([3, 9, 12, 20]))
    want = torch.stack([alone[0][3], alone[0][9], alone[1][2], alone[2][6]])
    assert _relative(got.numpy(), want.numpy()) < 1e-4
    assert rows == [4]
