"""Encoders of other architectures are fine-tuned through transformers by the same protocol."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.errors import JnlpError
from jnlp.types import Choice, DataSource, Evaluation, Example, Measured
from jnlp_evaluate import others
from jnlp_evaluate.baselines import BASELINES
from jnlp_evaluate.finetune import prepare, run_cell
from jnlp_evaluate.others import CardModel, OtherModel, PaddedBackbone, Tokens, missing_packages
from jnlp_evaluate.protocols import Cell, Rows

NOUNS = ("駅", "店", "宿", "本", "道", "庭", "橋", "船")
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<mask>")
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
ARCHITECTURES = {
    "bert": {},
    "roberta": {"max_position_embeddings": 34},
    "xlm-roberta": {"max_position_embeddings": 34},
    "luke": {"entity_vocab_size": 4, "entity_emb_size": 8, "max_position_embeddings": 34},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0},
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
}
SOURCE = DataSource("https://example.org", "CC0", "花子")
CLASSIFY = Evaluation("mine", "試験", "accuracy", Measured.CLASSIFY, SOURCE, "mine:read", max_length=64)
CHOOSE = Evaluation("mine", "試験", "accuracy", Measured.CHOICE, SOURCE, "mine:read", max_length=64)
REGRESS = Evaluation("mine", "試験", "spearman", Measured.REGRESSION, SOURCE, "mine:read", max_length=64)


def make(folder, kind="bert", **more):
    """A random encoder with a tokenizer of single characters, as transformers saves them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    characters = dict.fromkeys("".join(NOUNS) + "がをはどれ?。高い安古新しあるです")
    words = {word: number for number, word in enumerate((*SPECIAL, *characters))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    names = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token", "mask_token"), SPECIAL, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = SIZES | {"max_position_embeddings": 32, "vocab_size": len(words), "pad_token_id": 0} | more
    AutoModel.from_config(AutoConfig.for_model(kind, **sizes)).save_pretrained(folder)
    return folder


def cell(evaluation, rows, folder):
    backbone = PaddedBackbone(OtherModel.open(str(folder)))
    prepared = prepare(evaluation, rows, backbone)
    half = len(rows) // 2
    parts = Rows(tuple(range(half)), tuple(range(half, len(rows))), tuple(range(half, len(rows))))
    return run_cell(evaluation, prepared, parts, Cell(1e-2, 60, 0), backbone, "cpu", lambda *_: None)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_architecture_learns_by_the_card_s_protocol(tmp_path, kind):
    rows = [Example(f"{noun}{particle}高い。", particle) for _ in range(4) for noun in NOUNS for particle in "がを"]
    record = cell(CLASSIFY, rows, make(tmp_path / kind, kind, **ARCHITECTURES[kind]))
    assert record["test"] > 0.9
    assert record["rows"] == [32, 32, 32]


def test_choices_and_numbers_are_learnt_too(tmp_path):
    folder = make(tmp_path / "bert")
    choices = [Choice("高いのはどれ?", (f"{a}は安い", f"{a}は高い", f"{a}は古い"), 1) for a in NOUNS * 4]
    assert cell(CHOOSE, choices, folder)["test"] > 0.9
    numbers = [Example(("駅がある。", f"{a}{'が' * n}ある。"), float(n)) for a in NOUNS for n in range(4)]
    assert -1 <= cell(REGRESS, numbers, folder)["test"] <= 1


def test_padding_changes_no_logits(tmp_path):
    model = OtherModel.open(str(make(tmp_path / "roberta", "roberta", max_position_embeddings=34)))
    backbone = PaddedBackbone(model)
    short, long = backbone.encode(["駅。", "駅が高い。店が安い。"], 64)
    network = CardModel(_encoder(model), 16, 2).eval()

    def logits(*texts: Tokens):
        return backbone.learner(network, [[text] for text in texts], torch.device("cpu")).logits(range(len(texts)))

    with torch.no_grad():
        assert torch.allclose(logits(short)[0], logits(short, long)[0], atol=1e-5)


def _encoder(model):
    from transformers import AutoModel

    return AutoModel.from_pretrained(model.source)


def test_texts_are_cut_to_the_positions_of_the_model(tmp_path):
    for kind, positions in (("bert", 32), ("roberta", 34)):
        model = OtherModel.open(str(make(tmp_path / kind, kind, max_position_embeddings=positions)))
        (found,) = PaddedBackbone(model).encode([("駅" * 99, "店" * 99)], 64)
        assert len(found) == (32 if kind == "bert" else 33)
        assert found.kinds.any()


def test_the_command_measures_another_architecture(tmp_path):
    folder = make(tmp_path / "bert-mini")
    particles = {"が": 1, "を": 0}
    rows = [
        {"sentence": f"{a}{p}{b}。", "label": right}
        for a in NOUNS
        for b in ("高い", "安い", "古い")
        for p, right in particles.items()
    ]
    for part, chosen in (("train", rows[:36]), ("valid", rows[36:])):
        path = tmp_path / f"data/jcola/{part}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in chosen), "utf-8")
    call = ["evaluate", "jcola", "--data", tmp_path / "data", "--model", folder, "-o", tmp_path / "out", "-q"]
    result = CliRunner().invoke(build_cli(), [str(argument) for argument in call])
    assert result.exit_code == 0, result.output
    saved = json.loads((tmp_path / "out/bert-mini/jcola/result.json").read_text("utf-8"))
    assert saved["model"] == "bert-mini"
    assert saved["parameters"] > 1000
    assert len(saved["weights_sha256"]) == 64
    assert len(saved["cells"]) == 3


# --- what is missing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        ({"word_tokenizer_type": "mecab", "mecab_kwargs": {"mecab_dic": "unidic_lite"}}, ["fugashi", "unidic-lite"]),
        ({"word_tokenizer_type": "mecab", "mecab_kwargs": {"mecab_dic": "ipadic"}}, ["fugashi", "ipadic"]),
        ({"word_tokenizer_type": "jumanpp"}, ["rhoknp"]),
        ({"word_tokenizer_type": "basic"}, []),
    ],
)
def test_what_a_japanese_bert_s_tokenizer_needs(monkeypatch, config, missing):
    monkeypatch.setattr(others, "find_spec", lambda _: None)
    assert missing_packages({"tokenizer_class": "BertJapaneseTokenizer"} | config) == missing


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    folder = make(tmp_path / "bert")
    config = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    monkeypatch.setattr(others, "find_spec", lambda _: None)
    call = ["evaluate", "jcola", "--data", tmp_path, "--model", folder, "-q"]
    result = CliRunner().invoke(build_cli(), [str(argument) for argument in call])
    assert result.exit_code == 1
    assert "needs fugashi and unidic-lite" in result.stderr
    assert "pip install fugashi unidic-lite" in result.stderr
    assert "Traceback" not in result.stderr


def test_code_of_a_repository_runs_only_when_asked(tmp_path):
    folder = make(tmp_path / "own")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    own = {"model_type": "retrieva", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config | own), "utf-8")
    (folder / "code.py").write_text("raise SystemExit('code ran')\n", "utf-8")
    with pytest.raises(JnlpError, match=r"runs code of its repository \(retrieva\)") as error:
        OtherModel.open(str(folder))
    assert "--trust-remote-code" in str(error.value.hint)
    assert OtherModel.open(str(folder), trust=True).trust
    (folder / "config.json").write_text(json.dumps({"model_type": "no-such"}), "utf-8")
    with pytest.raises(JnlpError, match="does not know the architecture 'no-such'"):
        OtherModel.open(str(folder))


def test_the_list_of_encoders():
    result = CliRunner().invoke(build_cli(), ["evaluate", "models", "-q"])
    assert result.exit_code == 0, result.output
    rows = {row["model"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert len(rows) == len(BASELINES)
    assert rows["tohoku-nlp/bert-base-japanese-v3"]["needs"] == "fugashi unidic-lite"
    assert rows["retrieva-jp/bert-1.3b"]["note"] == "needs --trust-remote-code"
