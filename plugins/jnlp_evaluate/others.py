"""Fine-tunes encoders of other architectures through transformers, by the same protocol and head."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jnlp.encoder.packing import batches
from jnlp.errors import JnlpError
from jnlp.training.micro_batches import MICRO_TOKENS, precision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from jnlp.training.classifier.options import ClassifierOptions
    from jnlp.training.classifier.targets import Goal
    from jnlp.types import IntArray, Text

_DICTIONARIES = {"unidic_lite": "unidic-lite", "unidic": "unidic", "ipadic": "ipadic"}
_SEGMENTERS = {"sudachi": ("sudachipy", "SudachiPy"), "jumanpp": ("rhoknp", "rhoknp")}
_OFFSETS = ("roberta", "xlm-roberta", "luke", "camembert")  # their positions begin after that of padding


@dataclass(frozen=True, slots=True)
class OtherModel:
    """An encoder that transformers runs.

    Args:
        source: Its folder, or its hub id.
        name: What results call it.
        config: The content of its `config.json`.
        trust: Whether code of its repository may run.
    """

    source: str
    name: str
    config: Mapping[str, Any] = field(compare=False)
    trust: bool = False

    @classmethod
    def open(cls, source: str, /, *, trust: bool = False) -> OtherModel:
        """Read the config of a folder or a hub id, and check that all is there that its tokenizer needs.

        Raises:
            JnlpError: It cannot be read, it would run code that is not trusted, or a package is missing.
        """
        from transformers import PretrainedConfig
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING
        from transformers.models.auto.tokenization_auto import get_tokenizer_config

        try:
            config, _ = PretrainedConfig.get_config_dict(source)
            tokenizer = get_tokenizer_config(source)
        except (OSError, ValueError) as error:
            raise JnlpError(
                f"{source} cannot be read: {str(error).splitlines()[0]}", hint="give a model folder, or a hub id"
            ) from error
        kind = str(config.get("model_type", ""))
        if kind not in CONFIG_MAPPING and not trust:
            if config.get("auto_map"):
                raise JnlpError(
                    f"{source} runs code of its repository ({kind})", hint="if you trust it, add --trust-remote-code"
                )
            raise JnlpError(f"transformers does not know the architecture '{kind}' of {source}", hint="another model")
        if missing := missing_packages(tokenizer):
            raise JnlpError(
                f"the tokenizer of {source} needs {' and '.join(missing)}", hint=f"pip install {' '.join(missing)}"
            )
        folder = Path(source)
        return cls(source, folder.resolve().name if folder.is_dir() else source, config, trust)

    @property
    def parameters(self) -> int:
        """The parameters of the encoder."""
        from transformers import AutoConfig, AutoModel

        config = AutoConfig.from_pretrained(self.source, trust_remote_code=self.trust)
        with torch.device("meta"):
            made = AutoModel.from_config(config, trust_remote_code=self.trust)  # type: ignore[no-untyped-call]
        return int(made.num_parameters())

    @property
    def identity(self) -> str:
        """The sha256 of a folder's weights, or the revision of a hub id."""
        folder = Path(self.source)
        if not folder.is_dir():
            return f"revision {self.config.get('_commit_hash')}"
        digest = hashlib.sha256()
        for path in sorted((*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin"))):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def missing_packages(tokenizer: Mapping[str, Any], /) -> list[str]:
    """Return the packages, by the names that pip takes, that a tokenizer's config asks for and that are not there.

    Example:
        >>> missing_packages({"tokenizer_class": "PreTrainedTokenizerFast"})
        []
    """
    if tokenizer.get("tokenizer_class") != "BertJapaneseTokenizer":
        return []
    segmenter = tokenizer.get("word_tokenizer_type", "basic")
    needs: list[tuple[str, str]] = []
    if segmenter == "mecab":
        dictionary = (tokenizer.get("mecab_kwargs") or {}).get("mecab_dic", "unidic_lite")
        needs = [("fugashi", "fugashi")]
        needs += [(dictionary, _DICTIONARIES[dictionary])] if dictionary in _DICTIONARIES else []
    elif segmenter in _SEGMENTERS:
        needs = [_SEGMENTERS[segmenter]]
    return [package for module, package in needs if find_spec(module) is None]


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text as the network reads it: ids, and which of two texts each is of."""

    ids: IntArray
    kinds: IntArray

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.ids)


class CardModel(torch.nn.Module):
    """An encoder with the card's head: linear, GELU, linear on the first token."""

    def __init__(self, encoder: nn.Module, width: int, labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.GELU(), torch.nn.Linear(width, labels))

    def forward(self, **inputs: Tensor) -> Tensor:
        """Return logits `[texts, labels]`."""
        logits: Tensor = self.head(self.encoder(**inputs).last_hidden_state[:, 0])
        return logits


@dataclass(frozen=True, slots=True)
class PaddedModel:
    """A model over padded batches; each row is one text, or one text for each answer."""

    module: CardModel
    rows: Sequence[Sequence[Tokens]]
    device: torch.device
    padding: int

    def parts(self, rows: Sequence[int], /) -> list[list[int]]:
        """Group rows by length under the token budget."""
        return [[rows[i] for i in group] for group in batches([self.tokens([r]) for r in rows], MICRO_TOKENS)]

    def logits(self, rows: Sequence[int], /) -> Tensor:
        """Return fp32 logits `[rows, labels]`, or `[rows, answers]`."""
        texts = [text for row in rows for text in self.rows[row]]
        shape = (len(texts), max(map(len, texts)))
        ids, kinds, real = (np.full(shape, value, np.int64) for value in (self.padding, 0, 0))
        for number, text in enumerate(texts):
            ids[number, : len(text)], kinds[number, : len(text)], real[number, : len(text)] = text.ids, text.kinds, 1
        inputs = {"input_ids": ids, "attention_mask": real}
        if getattr(self.module.encoder.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = kinds
        with precision(self.device):
            out: Tensor = self.module(**{k: torch.from_numpy(v).to(self.device) for k, v in inputs.items()})
        return out.float().view(len(rows), -1)

    def tokens(self, rows: Sequence[int], /) -> int:
        """Return the tokens of the rows."""
        return sum(len(text) for row in rows for text in self.rows[row])


class PaddedBackbone:
    """Reads and builds an encoder of another architecture."""

    def __init__(self, model: OtherModel) -> None:
        from transformers import AutoTokenizer

        self.model = model
        self.tokenizer = AutoTokenizer.from_pretrained(model.source, trust_remote_code=model.trust)
        self.padding = int(self.tokenizer.pad_token_id or model.config.get("pad_token_id") or 0)

    def encode(self, texts: Sequence[Text], max_length: int, /) -> list[Tokens]:
        """Tokenise texts or pairs; longer ones are cut."""
        config = self.model.config
        positions = config.get("max_position_embeddings", max_length)
        positions -= self.padding + 1 if config.get("model_type") in _OFFSETS else 0
        first = [text if isinstance(text, str) else text[0] for text in texts]
        second = None if all(isinstance(text, str) for text in texts) else [text[1] for text in texts]
        most = min(max_length, positions, self.tokenizer.model_max_length)
        found = self.tokenizer(first, second, truncation=True, max_length=most, return_token_type_ids=True)
        kinds = found.get("token_type_ids") or [[0] * len(ids) for ids in found["input_ids"]]
        return [
            Tokens(np.array(ids, np.int64), np.array(kind, np.int64))
            for ids, kind in zip(found["input_ids"], kinds, strict=True)
        ]

    def network(self, goal: Goal, options: ClassifierOptions, place: torch.device, /) -> CardModel:
        """Return the encoder with a new head."""
        from transformers import AutoModel

        torch.manual_seed(options.seed)
        encoder = AutoModel.from_pretrained(self.model.source, trust_remote_code=self.model.trust, dtype=torch.float32)
        return CardModel(encoder, encoder.config.hidden_size, len(goal.labels) or 1).to(place)

    def learner(self, network: Any, rows: Sequence[Sequence[Any]], place: torch.device, /) -> PaddedModel:
        """Return what maps rows to logits."""
        return PaddedModel(network, rows, place, self.padding)
