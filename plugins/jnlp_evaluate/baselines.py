"""Encoders to compare with, by hub id, and the packages that their tokenizers need."""

from __future__ import annotations

from dataclasses import dataclass

_MECAB = ("fugashi", "unidic-lite")
_PIECES = ("sentencepiece",)


@dataclass(frozen=True, slots=True)
class Baseline:
    """An encoder on the hub.

    Args:
        repository: Its hub id, for `--model`.
        architecture: As people call it.
        packages: What its tokenizer needs, by the names that pip takes.
        note: What else is to be known.
        code: True if it runs code of its repository, so that it needs `--trust-remote-code`.
    """

    repository: str
    architecture: str
    packages: tuple[str, ...] = ()
    note: str = ""
    code: bool = False


_JUMAN = "its tokenizer calls Juman++, which is installed separately"

BASELINES = (
    Baseline("sbintuitions/modernbert-ja-30m", "ModernBERT"),
    Baseline("sbintuitions/modernbert-ja-70m", "ModernBERT"),
    Baseline("sbintuitions/modernbert-ja-130m", "ModernBERT"),
    Baseline("sbintuitions/modernbert-ja-310m", "ModernBERT"),
    Baseline("llm-jp/llm-jp-modernbert-base", "ModernBERT"),
    Baseline("KoichiYasuoka/modernbert-base-japanese-wikipedia", "ModernBERT"),
    Baseline("tohoku-nlp/bert-base-japanese-v3", "BERT", _MECAB),
    Baseline("tohoku-nlp/bert-large-japanese-v2", "BERT", _MECAB),
    Baseline("tohoku-nlp/bert-base-japanese-char-v3", "character BERT", _MECAB),
    Baseline("tohoku-nlp/bert-large-japanese-char-v2", "character BERT", _MECAB),
    Baseline("studio-ousia/luke-japanese-base-lite", "LUKE", _PIECES),
    Baseline("studio-ousia/luke-japanese-large-lite", "LUKE", _PIECES),
    Baseline("ku-nlp/deberta-v2-base-japanese", "DeBERTa-v2", _PIECES, "expects texts cut into words by Juman++"),
    Baseline("ku-nlp/deberta-v3-base-japanese", "DeBERTa-v2", _PIECES),
    Baseline("nlp-waseda/roberta-base-japanese-with-auto-jumanpp", "RoBERTa", ("rhoknp",), _JUMAN),
    Baseline("nlp-waseda/roberta-large-japanese-seq512-with-auto-jumanpp", "RoBERTa", ("rhoknp",), _JUMAN),
    Baseline("google-bert/bert-base-multilingual-cased", "BERT"),
    Baseline("FacebookAI/xlm-roberta-base", "XLM-R"),
    Baseline("FacebookAI/xlm-roberta-large", "XLM-R"),
    Baseline("microsoft/Multilingual-MiniLM-L12-H384", "MiniLM", _PIECES),
    Baseline("retrieva-jp/bert-1.3b", "RetrievaBERT", code=True),
)
"""Encoders that Japanese models are compared with; jnlp has read none of their weights."""
