"""The trained tokenizer: ids, bytes, round trips, and one reading in every library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jnlp.errors import JnlpError
from jnlp_pretrain.tokenizer_train import SPECIAL, TokenizerRecipe, save_tokenizer, train_tokenizer, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenizers import Tokenizer

HARD = (
    ("今日の天気は晴れです。", "今日の天気は晴れです。"),
    ("１２３", "123"),
    ("㍻３年", "平成3年"),
    ("ｶﾞｷﾞ㈱", "ガギ(株)"),
    ("元気😀です", "元気😀です"),
    (" 前後に 空白 ", " 前後に 空白 "),
    ("一行目\n\n二行目\t終", "一行目\n\n二行目\t終"),
    ("𠮷野家で鱻を", "𠮷野家で鱻を"),
    ("ＡＢＣ abc", "ABC abc"),
)


@pytest.fixture(scope="module")
def tokenizer(corpus: Path) -> Tokenizer:
    lines = (corpus / "lines.txt").read_text(encoding="utf-8").split("\n")
    return train_tokenizer(lines, TokenizerRecipe(vocabulary=340, coverage=1.0))


def test_special_tokens_have_the_ids_of_modernbert_ja(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in SPECIAL] == [0, 1, 2, 3, 4, 5, 6]
    assert SPECIAL == ("<unk>", "<s>", "</s>", "<pad>", "<sep>", "<mask>", "<cls>")


def test_vocabulary_is_as_large_as_asked(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() == 340
    assert sum(tokenizer.token_to_id(f"<0x{byte:02X}>") is not None for byte in range(256)) == 256


@pytest.mark.parametrize(("text", "back"), HARD)
def test_text_comes_back_normalised_and_without_unk(tokenizer: Tokenizer, text: str, back: str) -> None:
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids) == back
    assert 0 not in ids


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(5, "Input/output error"), JnlpError("a row is broken")])
def test_what_ends_the_text_is_what_is_told(error: BaseException | type[BaseException]) -> None:
    def lines() -> Iterator[str]:
        yield "今日の天気は晴れです。"
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        train_tokenizer(lines(), TokenizerRecipe(vocabulary=340))


def test_digits_stand_alone(tokenizer: Tokenizer) -> None:
    assert all(
        len(piece) == 1 or not any(c.isdigit() for c in piece) or piece.startswith("<0x")
        for piece in tokenizer.get_vocab()
    )


def test_words_keep_pieces_from_crossing_word_boundaries(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode("今日の天気は晴れです。", add_special_tokens=False).tokens
    assert tokens == ["今日", "の", "天気", "は", "晴れ", "です", "。"]


def test_templates_and_mask(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("天気は<mask>です").tokens[0] == "<s>"
    assert 5 in tokenizer.encode("天気は<mask>です").ids
    pair = tokenizer.encode("今日", "明日")
    assert [t for t in pair.tokens if t in SPECIAL] == ["<s>", "</s>", "</s>"]


def test_transformers_reads_the_same_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from jnlp.encoder.config import ModernBertConfig

    save_tokenizer(tokenizer, tmp_path, max_length=64)
    write_json(tmp_path / "config.json", ModernBertConfig(vocab_size=340).to_dict())
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for text, _ in HARD:
        assert theirs(text)["input_ids"] == tokenizer.encode(text).ids
    assert theirs("今日", "明日")["input_ids"] == tokenizer.encode("今日", "明日").ids
    assert (theirs.mask_token_id, theirs.pad_token_id, theirs.padding_side) == (5, 3, "right")
    assert theirs.decode(theirs("１２３㍻")["input_ids"], skip_special_tokens=True) == "123平成"


@pytest.mark.parametrize(
    ("vocabulary", "message", "hint"),
    [
        (5000, r"cannot have 5000 pieces from this text: at most \d+", "give more text or a smaller vocabulary"),
        (264, r"its characters alone need \d+", "a larger vocabulary, or a lower coverage"),
    ],
)
def test_a_vocabulary_that_does_not_fit_the_text_says_which_way_to_go(vocabulary: int, message: str, hint: str) -> None:
    with pytest.raises(JnlpError, match=message) as caught:
        train_tokenizer(["短い文から始めて、京都の寺まで。"], TokenizerRecipe(vocabulary=vocabulary, coverage=1.0))
    assert hint in str(caught.value.hint)


def test_text_that_cannot_be_read_is_its_own_error() -> None:
    def lines() -> Iterator[str]:
        yield "短い文。"
        raise JnlpError("日記.jsonl:2: not a JSON row with the field text")

    with pytest.raises(JnlpError, match=r"日記\.jsonl:2: not a JSON row"):
        train_tokenizer(lines(), TokenizerRecipe(vocabulary=320))
