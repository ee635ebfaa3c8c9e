"""The tokenizer read from tokenizer.json."""

import json

import numpy as np
import pytest

from jnlp.encoder import tokenizer as module
from jnlp.encoder.tokenizer import load_tokenizer
from jnlp.errors import JnlpError
from jnlp.testing import SENTENCES, make_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder)


def test_ids_are_transformers(folder, tokenizer):
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    texts = [*SENTENCES, "", "鬱㍻ｶﾞ<mask>です", "改行\nと　空白 "]
    for text, encoded in zip(texts, tokenizer.encode(texts), strict=True):
        want = theirs(text, return_offsets_mapping=True)
        assert encoded.ids.tolist() == want["input_ids"]
        assert encoded.offsets.tolist() == [list(span) for span in want["offset_mapping"]]


def test_specials_and_template(tokenizer):
    assert (tokenizer.mask_token, tokenizer.mask_id) == ("<mask>", 5)
    assert [part.tolist() for part in tokenizer.template.single] == [[1], [2]]
    assert [part.tolist() for part in tokenizer.template.pair] == [[1], [2], [2]]
    assert tokenizer.vocabulary == tokenizer.backend.get_vocab_size()


def test_without_a_post_processor_the_names_decide(folder, tmp_path):
    values = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    values["post_processor"] = None
    (tmp_path / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    (tmp_path / "config.json").write_text('{"bos_token_id": 1, "eos_token_id": 2, "mask_token_id": 5}')
    bare = load_tokenizer(tmp_path)
    assert [part.tolist() for part in bare.template.pair] == [[1], [2], [2]]
    assert bare.mask_token == "<mask>"


def test_truncation_and_padding_in_the_file_are_off(folder, tmp_path):
    values = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    values["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    (tmp_path / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    assert len(load_tokenizer(tmp_path).encode(["今日は良い天気です。"])[0].ids) > 4


def test_bytes_decode_to_characters(tokenizer):
    ids = tokenizer.pieces("鬱😀です")
    assert tokenizer.decode(ids) == "鬱😀です"
    assert tokenizer.token(ids[0]) == "<0xE9>"
    assert tokenizer.token(5) == "<mask>"
    assert tokenizer.decode([1, *ids, 2]) == "鬱😀です"
    with pytest.raises(IndexError):
        tokenizer.token(10**6)


def test_offsets_are_in_the_original(tokenizer):
    text = "ﾃﾞｰﾀ㍻です"
    encoded = tokenizer.encode([text])[0]
    assert text[slice(*encoded.offsets[-2])] in ("す", "です")
    assert encoded.offsets[1, 0] == 0
    assert (np.diff(encoded.offsets[1:-1, 0]) >= 0).all()


def test_long_text_is_cut_at_sentence_ends(tokenizer, monkeypatch):
    # pieces never cross 。 in this vocabulary, so that cutting there changes nothing
    text = "".join(SENTENCES) * 3
    whole = tokenizer.encode([text, "短い", text])
    monkeypatch.setattr(module, "LIMIT", 60)
    monkeypatch.setattr(module, "_AT_ONCE", 100)
    for got, want in zip(tokenizer.encode([text, "短い", text]), whole, strict=True):
        assert got.ids.tolist() == want.ids.tolist()
        assert got.offsets.tolist() == want.offsets.tolist()


def test_prefix_of_a_long_text_is_there_once(tokenizer, monkeypatch):
    text = "".join(SENTENCES) * 3
    (whole,) = tokenizer.bodies([text], prefix="検索文書: ")
    monkeypatch.setattr(module, "LIMIT", 60)
    (cut,) = tokenizer.bodies([text], prefix="検索文書: ")
    assert cut.ids.tolist() == whole.ids.tolist()
    assert cut.offsets.tolist() == whole.offsets.tolist()


def test_normaliser_maps_offsets_back(folder):
    from jnlp.text.align import Builder

    def close_up(text):
        builder = Builder(text)
        for i, character in enumerate(text):
            if character != " ":
                builder.copy(i, i + 1)
        return builder.build()

    spaced = load_tokenizer(folder, normalize=close_up)
    plain = load_tokenizer(folder)
    text = "東 京 都です"
    encoded = spaced.encode([text])[0]
    assert encoded.ids.tolist() == plain.encode(["東京都です"])[0].ids.tolist()
    assert [text[a:b].replace(" ", "") for a, b in encoded.offsets[1:-1]] == [
        "東京都です"[a:b] for a, b in plain.encode(["東京都です"])[0].offsets[1:-1]
    ]


@pytest.mark.parametrize(("content", "message"), [(None, "is missing"), ("{}", "is not a tokenizer")])
def test_broken_files(tmp_path, content, message):
    if content:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(JnlpError, match=message):
        load_tokenizer(tmp_path)
