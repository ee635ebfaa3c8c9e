"""Train a SentencePiece unigram tokenizer and write it as the `tokenizer.json` of a ModernBERT-Ja folder.

The tokenizer has byte fallback, no dummy prefix and no pre-tokenizer. NFKC is part of its normaliser, so that every
library tokenises in the same way.
"""

from __future__ import annotations

import io
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from jnlp.errors import JnlpError, MissingExtraError
from jnlp.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tokenizers import Tokenizer

SPECIAL = ("<unk>", "<s>", "</s>", "<pad>", "<sep>", "<mask>", "<cls>")
"""Special tokens by id, in ModernBERT-Ja's order."""

UNK, BOS, EOS, PAD, SEP, MASK, CLS = range(len(SPECIAL))
FIRST_PIECE = len(SPECIAL) + 256
"""The id of the first piece of text, after the special tokens and the bytes."""
SPACE = "▁"


@dataclass(frozen=True, slots=True)
class TokenizerRecipe:
    """How the tokenizer is trained.

    Args:
        vocabulary: Number of pieces, including special tokens and the 256 bytes.
        characters: Size of the text sample, in characters.
        max_piece: Longest piece, in characters.
        coverage: Share of the sample's characters that get their own piece; the rest are bytes.
        words: Keep pieces within words (Sudachi's, with endings joined). It affects only the vocabulary; text is not
            split into words before it is tokenised.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    vocabulary: int = 20_000
    characters: int = 10_000_000
    max_piece: int = 8
    coverage: float = 0.9995
    words: bool = True


def train_tokenizer(lines: Iterable[str], recipe: TokenizerRecipe, *, threads: int = 2) -> Tokenizer:
    """Return a tokenizer trained on lines of text.

    Raises:
        JnlpError: The text is too small for the vocabulary.
        MissingExtraError: sentencepiece is not installed.
    """
    try:
        import sentencepiece
    except ImportError as error:
        raise MissingExtraError("train", "training a tokenizer") from error

    faults: list[BaseException] = []
    normalised = (unicodedata.normalize("NFKC", line).replace(" ", SPACE) for line in _record(lines, faults) if line)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_words(normalised) if recipe.words else normalised,
            model_writer=model,
            model_type="unigram",
            vocab_size=recipe.vocabulary,
            byte_fallback=True,
            character_coverage=recipe.coverage,
            max_sentencepiece_length=recipe.max_piece,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            split_digits=True,
            pretokenization_delimiter=BOUNDARY if recipe.words else "",
            max_sentence_length=1 << 16,
            num_threads=threads,
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            pad_id=PAD,
            control_symbols=list(SPECIAL[SEP:]),
            minloglevel=2,
        )
    except RuntimeError as error:
        if faults:
            raise faults[0] from error
        raise _refusal(recipe.vocabulary, str(error)) from error
    return convert(model.getvalue())


def _record(lines: Iterable[str], faults: list[BaseException]) -> Iterator[str]:
    """Yield lines, and record the exception that ends them, of which SentencePiece keeps only the text."""
    try:
        yield from lines
    except GeneratorExit:
        raise
    except BaseException as error:
        faults.append(error)
        raise


def _refusal(pieces: int, said: str) -> JnlpError:
    """Return SentencePiece's error as a JnlpError with a remedy."""
    wrong = f"the tokenizer cannot have {pieces} pieces from this text"
    if found := re.search(r"required_chars\. \d+ vs (\d+)", said):
        hint = "a larger vocabulary, or a lower coverage: rare characters become bytes"
        return JnlpError(f"{wrong}: its characters alone need {found[1]}", hint=hint)
    found = re.search(r"<= (\d+)", said)
    reason = f"at most {found[1]}" if found else said.splitlines()[-1]
    return JnlpError(f"{wrong}: {reason}", hint="give more text or a smaller vocabulary")


def convert(model: bytes) -> Tokenizer:
    """Return the tokenizers library's form of a SentencePiece unigram model."""
    import sentencepiece
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    table = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(pieces.get_piece_size())]
    tokenizer = Tokenizer(models.Unigram(table, unk_id=UNK, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", SPACE)])
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Replace(SPACE, " ")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", BOS), ("</s>", EOS)],
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, *, max_length: int) -> None:
    """Write tokenizer.json, tokenizer_config.json and special_tokens_map.json (`config.json` must be there)."""
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {
        "bos_token": SPECIAL[BOS],
        "eos_token": SPECIAL[EOS],
        "unk_token": SPECIAL[UNK],
        "pad_token": SPECIAL[PAD],
        "sep_token": SPECIAL[SEP],
        "mask_token": SPECIAL[MASK],
        "cls_token": SPECIAL[CLS],
    }
    config: dict[str, Any] = {
        **names,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", names)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file as Hugging Face does: indented, Japanese unescaped."""
    path.write_text(dumps(value, indent=2) + "\n", encoding="utf-8")


def _words(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines with a mark between words, and each word once as a line.

    SentencePiece considers only strings that occur before two different continuations. With the mark alone, it would
    miss a word that is never the beginning of another.
    """
    seen: set[str] = set()
    for words in _split_words(lines):
        yield BOUNDARY.join(words)
        yield from (word for word in words if word not in seen)
        seen.update(words)


def _split_words(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the words of each line; a chain of endings of up to four characters (ています) is one word."""
    from sudachipy import Dictionary

    tokenizer = Dictionary().tokenizer()
    for line in lines:
        words, ending = [SPACE], False
        for morpheme in tokenizer.tokenize(line[:_LONGEST_LINE]):
            surface, (kind, detail, *_) = morpheme.surface(), morpheme.part_of_speech()
            follows = kind == "助動詞" or detail in _ENDINGS or (kind == "動詞" and detail == "非自立可能")
            if words[-1] == SPACE or (ending and follows and len(words[-1] + surface) <= _LONGEST_ENDING):
                words[-1] += surface
            else:
                words.append(surface)
            ending = follows
        yield [words[0].removeprefix(SPACE), *words[1:]]


BOUNDARY = "\x1f"
_ENDINGS = frozenset({"接続助詞", "終助詞", "準体助詞"})
_LONGEST_ENDING = 4
_LONGEST_LINE = 12_000  # characters: Sudachi reads at most 49,149 bytes at once
