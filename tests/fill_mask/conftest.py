"""A tiny random ModernBERT with a Japanese tokenizer, read by transformers: the yardstick of the task's logic."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from jnlp.encoder.runtime import ignore_counts
from jnlp.types import Encoded, Overflow

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<sep>", "<mask>", "<cls>"]
WORDS = [
    "今日",
    "天気",
    "晴れ",
    "曇り",
    "雨",
    "日本",
    "首都",
    "東京",
    "京都",
    "明日",
    "おはよう",
    "ござい",
    "ます",
    "です",
]
WORDS += ["でした", "の", "は", "が", "を", "に", "と", "、", "。"]
CHARACTERS = "今日天気晴曇雨れり本首都東京明おはようございますでした！？ガ（）「」ABCabc12▁"


def build_tokenizer():
    """Return a unigram tokenizer in ModernBERT-Ja's manner: byte fallback, no pre-tokenizer, `<s> … </s>`."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    pieces = dict.fromkeys(SPECIAL, 0.0)
    pieces |= {f"<0x{byte:02X}>": -20.0 for byte in range(256)}
    pieces |= {word: -4.0 - 0.1 * i for i, word in enumerate(WORDS)}
    pieces |= {character: -9.0 for character in CHARACTERS if character not in pieces}
    tokenizer = Tokenizer(models.Unigram(list(pieces.items()), unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


class ReferenceTokenizer:
    """The protocol over a tokenizer of the tokenizers library."""

    def __init__(self, inner):
        self.inner = inner
        self.mask_token, self.mask_id = "<mask>", inner.token_to_id("<mask>")
        self.vocabulary = inner.get_vocab_size()

    def encode(self, texts):
        return [
            Encoded(np.array(found.ids, dtype=np.int64), np.array(found.offsets, dtype=np.int64))
            for found in self.inner.encode_batch(list(texts))
        ]

    def pieces(self, text):
        return self.inner.encode(text, add_special_tokens=False).ids

    def decode(self, ids):
        return self.inner.decode(list(ids))

    def token(self, id):
        return self.inner.id_to_token(id).replace("▁", " ")


class ReferenceMaskedLM:
    """The protocol over transformers: one sequence at a time, nothing clever."""

    def __init__(self, model, tokenizer, max_length=512):
        self.model, self.tokenizer, self.max_length = model, ReferenceTokenizer(tokenizer), max_length
        self.overflow, self.count = Overflow.WINDOW, ignore_counts
        self.calls = 0

    def at_masks(self, ids, positions):
        import torch

        self.calls += 1
        rows = []
        with torch.inference_mode():
            for sequence, at in zip(ids, positions, strict=True):
                assert len(sequence) <= self.max_length
                rows.append(self.model(torch.from_numpy(sequence)[None]).logits[0, torch.from_numpy(at)])
        return torch.cat(rows).numpy()


@dataclass(frozen=True)
class OneModel:
    """The `Models` of a single masked LM."""

    model: object

    def masked_lm(self, model=None, /):
        return self.model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Return reference heads, transformers' own pipeline on the same weights, and a folder with them."""
    import torch
    from transformers import FillMaskPipeline, ModernBertConfig, ModernBertForMaskedLM, PreTrainedTokenizerFast

    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=512,
        local_attention=8,
        initializer_range=0.4,  # large, so that scores differ and depend on the context
        initializer_cutoff_factor=3.0,
        unk_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
        sep_token_id=4,
        cls_token_id=6,
        attn_implementation="eager",
    )
    model = ModernBertForMaskedLM(config).eval()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, mask_token="<mask>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return SimpleNamespace(
        folder=folder,
        lm=lambda max_length=512: ReferenceMaskedLM(model, tokenizer, max_length),
        models=lambda max_length=512: OneModel(ReferenceMaskedLM(model, tokenizer, max_length)),
        pipeline=FillMaskPipeline(model=model, tokenizer=fast, device="cpu"),
        tokenizer=tokenizer,
    )


class MicroTokenizer:
    """Seven pieces: `<s>`, `</s>`, the mask, and four characters."""

    alphabet = "^$_あいうえ"
    mask_token, mask_id, vocabulary = "_", 2, 7

    def encode(self, texts):
        encoded = []
        for text in texts:
            ids = [0, *(self.alphabet.index(character) for character in text), 1]
            offsets = [(0, 0), *((i, i + 1) for i in range(len(text))), (0, 0)]
            encoded.append(Encoded(np.array(ids), np.array(offsets)))
        return encoded

    def pieces(self, text):
        return [self.alphabet.index(character) for character in text]

    def decode(self, ids):
        return "".join(self.alphabet[id] for id in ids)

    def token(self, id):
        return self.alphabet[id]


class MicroLM:
    """A model in which every logit depends on the whole sequence, so that greedy choices go wrong."""

    def __init__(self, max_length=64):
        self.tokenizer, self.max_length = MicroTokenizer(), max_length

    def at_masks(self, ids, positions):
        rows = [
            self.logits(tuple(row.tolist()), int(at)) for row, asked in zip(ids, positions, strict=True) for at in asked
        ]
        return np.stack(rows)

    def logits(self, ids, at):
        seed = int.from_bytes(bytes([at, *ids]), "big") % (2**63)
        return np.random.default_rng(seed).normal(0, 2, self.tokenizer.vocabulary).astype(np.float32)


@pytest.fixture
def micro():
    """Return a micro model."""
    return MicroLM()
