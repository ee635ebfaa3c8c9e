"""Nonsense in the files of a model folder: it loads and answers, or one line says which key of which file is wrong."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.encoder.load import load_classifier, load_embedder, load_masked_lm
from jnlp.errors import JnlpError
from jnlp.models.folder import inspect
from jnlp.testing import make_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NONSENSE: list[Any] = [
    None, "", "文", -1, 0, 1, 3, 10**9, 10**30, 1.5, -0.5, 2.5, float("nan"), float("inf"), True, False, [], [1],
    ["文"], {}, {"文": 1}, {"0": None}, [[[[]]]], {"a": {"b": {"c": {}}}}, "full_attention", "9" * 400,
]  # fmt: skip
BROKEN = [b"", b"{", b"\xff\xfe", b"[1,2", b'{"a":1}{"a":1}', b"[" * 5000, b'{"a":' * 3000]
OPTIONAL = ("layer_types", "rope_parameters", "id2label", "num_labels", "problem_type", "jnlp_temperature")

SENTENCE: dict[str, Any] = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ],
    "1_Pooling/config.json": {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True},
    "sentence_bert_config.json": {"max_seq_length": 512},
    "config_sentence_transformers.json": {"prompts": {"query": "検索クエリ: "}, "default_prompt_name": None},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    made = {
        "lm": make_model(root / "lm", layers=2, hidden=16),
        "embedder": make_model(root / "st", layers=2, hidden=16),
    }
    made["classifier"] = make_model(root / "cl", layers=2, hidden=16, labels=("清", "毒"))
    (made["embedder"] / "1_Pooling").mkdir()
    for name, value in SENTENCE.items():
        (made["embedder"] / name).write_text(json.dumps(value), encoding="utf-8")
    return made


def ask_lm(folder: Path) -> None:
    head = load_masked_lm(folder, inspect(folder))
    ids = head.tokenizer.encode(["文<mask>"])[0].ids
    head.at_masks([ids], [[1]])  # type: ignore[list-item]


ASK: dict[str, Callable[[Path], object]] = {
    "lm": ask_lm,
    "embedder": lambda folder: load_embedder(folder, inspect(folder)).embed(["文"]),
    "classifier": lambda folder: load_classifier(folder, inspect(folder)).logits(["文", "次"]),
}
FILES = [
    ("lm", "config.json"), ("lm", "tokenizer_config.json"), ("classifier", "config.json"),
    *(("embedder", name) for name in SENTENCE),
]  # fmt: skip


def mutations(value: Any) -> Iterator[bytes]:
    yield from BROKEN
    yield from (json.dumps(odd).encode() for odd in NONSENSE)
    entry = value if isinstance(value, dict) else value[1]
    for key in [*entry, *(OPTIONAL if "hidden_size" in entry else ())]:
        for odd in NONSENSE:
            changed = {**entry, key: odd}
            yield json.dumps(changed if entry is value else [value[0], changed]).encode()
        less = {name: entry[name] for name in entry if name != key}
        yield json.dumps(less if entry is value else [value[0], less]).encode()


def trial(ask: Callable[[Path], object], folder: Path, path: Path, written: bytes) -> None:
    whole = path.read_bytes()
    path.write_bytes(written)
    try:
        ask(folder)
    except JnlpError as error:
        said = str(error)
    except Exception as error:
        raise AssertionError(f"{path.name} = {written[:300]!r}") from error
    else:
        return
    finally:
        path.write_bytes(whole)
    assert "\n" not in said
    assert str(folder) in said or path.name in said, (written, said)


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_nonsense_in_a_file_is_one_line_or_an_answer(kind: str, name: str, folders: dict[str, Path]) -> None:
    path = folders[kind] / name
    every = list(mutations(json.loads(path.read_text(encoding="utf-8"))))
    for written in random.Random(0).sample(every, min(40, len(every))):
        trial(ASK[kind], folders[kind], path, written)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), FILES)
def test_every_nonsense(kind: str, name: str, folders: dict[str, Path]) -> None:
    path = folders[kind] / name
    for written in mutations(json.loads(path.read_text(encoding="utf-8"))):
        trial(ASK[kind], folders[kind], path, written)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", -1), ("hidden_size", 10**30), ("num_hidden_layers", 10**9), ("num_attention_heads", 0),
        ("vocab_size", "文"), ("attention_dropout", 1.5), ("norm_eps", float("nan")), ("mask_token_id", -1),
        ("local_attention", "128"), ("mlp_bias", "no"), ("layer_types", ["full"]),
        ("rope_parameters", {"full_attention": {"rope_theta": 0}}), ("jnlp_temperature", 0),
        ("id2label", {"0": "a", "2": "b"}), ("id2label", {"x": "a"}), ("max_position_embeddings", 0),
    ],
)  # fmt: skip
def test_the_line_names_key_and_file(key: str, value: object, folders: dict[str, Path]) -> None:
    path = folders["classifier"] / "config.json"
    whole = path.read_text(encoding="utf-8")
    path.write_text(json.dumps({**json.loads(whole), key: value}), encoding="utf-8")
    try:
        with pytest.raises(JnlpError, match=rf"config\.json: {key} cannot be"):
            ASK["classifier"](folders["classifier"])
    finally:
        path.write_text(whole, encoding="utf-8")


def test_a_damaged_tokenizer_is_one_line(folders: dict[str, Path]) -> None:
    path = folders["embedder"] / "tokenizer.json"
    whole = path.read_bytes()
    rng = random.Random(1)
    written = [b"", b"{}", b"[]", whole[: len(whole) // 2], b"\xff" * 100, b"[" * 5000]
    for _ in range(20):
        at = rng.randrange(len(whole))
        written.append(whole[:at] + bytes([rng.randrange(256)]) + whole[at + 1 :])
    for data in written:
        trial(ASK["embedder"], folders["embedder"], path, data)


@pytest.mark.parametrize(
    "name", ["文" * 300, "a" * 300, "a\0b", "a\nb", "/" + "x" * 5000, "a/" * 300, " ", "~nobody/x"]
)
def test_names_that_no_model_can_have(name: str) -> None:
    done = CliRunner().invoke(build_cli(), ["embed", "文", "--model", name])
    assert done.exit_code in (1, 2), done.exception
    assert isinstance(done.exception, SystemExit)
