"""The public test kit: makes tiny random models, so that tests need no network."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jnlp.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SENTENCES = (
    "おはようございます、今日の天気は晴れです。",
    "円安が進み、輸出企業の株価が上がった。",
    "契約を途中で解約する条件は、第十二条に定める。",
    "吾輩は猫である。名前はまだ無い。",
    "この映画は最後まで退屈しなかった。",
    "東京都と大阪府の人口は増え続けている。",
    "機械学習の論文を毎朝ひとつ読むことにしている。",
    "雨が降っているので、傘を持って出かけました。",
    "The quick brown fox jumps over the lazy dog.",
    "２０２６年１１月２３日、ﾃﾞｰﾀを更新した。",
)
"""Japanese sentences for tokenizers and examples."""

SPECIALS = ("<unk>", "<s>", "</s>", "<pad>", "<sep>", "<mask>", "<cls>")
"""Special tokens in the order of their ids, as in ModernBERT-Ja."""


def make_tokenizer(folder: str | Path, /, *, texts: Iterable[str] = SENTENCES, vocabulary: int = 480) -> Path:
    """Write a small `tokenizer.json` of ModernBERT-Ja's kind: unigram, NFKC, byte fallback, `<s> … </s>`.

    Args:
        folder: The folder; created if needed.
        texts: The texts that the pieces are counted in.
        vocabulary: The maximum number of pieces, including the special tokens and 256 bytes.

    Returns:
        The folder.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

    pieces = [(token, 0.0) for token in SPECIALS] + [(f"<0x{byte:02X}>", 0.0) for byte in range(256)]
    pieces += _pieces([unicodedata.normalize("NFKC", text) for text in texts], vocabulary - len(pieces))
    tokenizer: Any = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = zip(("unk", "bos", "eos", "pad", "sep", "mask", "cls"), SPECIALS, strict=True)
    settings: dict[str, object] = {f"{name}_token": token for name, token in names}
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192}
    (folder / "tokenizer_config.json").write_text(dumps(settings, indent=2) + "\n", encoding="utf-8")
    return folder


def _pieces(texts: Sequence[str], size: int) -> list[tuple[str, float]]:
    """Return characters, and strings of up to four that occur twice, with log-probabilities. Deterministic."""
    counts = Counter(text[i : i + n] for text in texts for n in range(1, 5) for i in range(len(text) - n + 1))
    kept = [(piece, count) for piece, count in counts.items() if len(piece) == 1 or count > 1]
    # characters first, then by the text that a piece covers
    kept.sort(key=lambda item: (len(item[0]) > 1, -len(item[0]) * item[1], item[0]))
    total = sum(count for _, count in kept[:size])
    return [(piece, math.log(count / total)) for piece, count in kept[:size]]


def make_model(
    folder: str | Path,
    /,
    *,
    head: str = "masked-lm",
    layers: int = 4,
    hidden: int = 64,
    heads: int = 2,
    positions: int = 512,
    labels: Sequence[str] = (),
    seed: int = 0,
    texts: Iterable[str] = SENTENCES,
    **config: Any,
) -> Path:
    """Write a tiny ModernBERT with random weights, in Hugging Face's format, with a tokenizer.

    Args:
        folder: The folder; created if needed.
        head: `masked-lm` or `embedding`; with `labels` it is a classifier.
        layers: Number of layers; the first and every third are global.
        hidden: The size of the states.
        heads: Number of attention heads.
        positions: The maximum length in tokens.
        labels: A classifier's labels.
        seed: The seed of the weights.
        texts: The texts that the tokenizer's pieces are counted in.
        **config: More fields of `ModernBertConfig`.

    Returns:
        The folder.
    """
    import torch
    from tokenizers import Tokenizer

    from jnlp.encoder.checkpoint import save_modernbert
    from jnlp.encoder.modernbert import (
        ModernBert,
        ModernBertConfig,
        ModernBertForMaskedLM,
        ModernBertForSequenceClassification,
    )

    folder = make_tokenizer(folder, texts=texts)
    settings: dict[str, Any] = {
        "vocab_size": Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size(),
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": positions,
        "labels": tuple(labels),
        # larger than in training, so that layers and heads differ enough to be distinguished
        "initializer_range": 0.2,
    }
    kinds: dict[str, Any] = {"masked-lm": ModernBertForMaskedLM, "embedding": ModernBert}
    kind = ModernBertForSequenceClassification if labels else kinds[head]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = kind(ModernBertConfig(**(settings | config)))
    save_modernbert(network, folder)
    return folder
