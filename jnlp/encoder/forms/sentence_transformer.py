"""A SentenceTransformer that runs on the packed encoder.

Import this module where it is used: it loads sentence-transformers and transformers. A saved model has the layout and
the class names of sentence-transformers alone, so that it loads there without jnlp.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from jnlp.encoder.files import present_weights, read_json
from jnlp.encoder.load import load_embedder
from jnlp.encoder.packing import pack
from jnlp.encoder.runtime import Runtime
from jnlp.encoder.windows import frame
from jnlp.errors import JnlpError
from jnlp.models.folder import MODULES
from jnlp.models.weights import INDEX
from jnlp.strict_json import dumps
from jnlp.types import Overflow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from jnlp.encoder.heads import PackedEmbedder
    from jnlp.types import IntArray, ModelSpec, Text

SETTINGS = "config_sentence_transformers.json"
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.txt",
)


def wrap(folder: Path, spec: ModelSpec, /, **chosen: Any) -> PackedSentenceTransformer:
    """Return a folder's model as a SentenceTransformer.

    Modules are those of the folder's `modules.json` (without one: the encoder and the pooling of the spec). Prompts,
    similarity and dimension are those of its own settings; a prompt that these lack is the prefix of the spec.

    Args:
        folder: The model's folder.
        spec: Its pooling, prefixes and length.
        chosen: Fields of `Runtime`: `device`, `dtype`, `threads`, `batch_tokens`, `compile`.

    Raises:
        JnlpError: A file is missing or broken.
    """
    encoder = PackedTransformer(folder, spec, chosen)
    modules: list[torch.nn.Module] = [encoder, Pooling(encoder.get_embedding_dimension(), spec.pooling.value)]
    if _normalises(folder):
        modules.append(Normalize())
    settings = read_json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    prompts = {purpose.value: prefix for purpose, prefix in spec.prefixes.items()}
    return PackedSentenceTransformer(
        modules=modules,
        device=str(encoder.place.device),
        prompts=prompts | (settings.get("prompts") or {}),
        default_prompt_name=settings.get("default_prompt_name"),
        similarity_fn_name=settings.get("similarity_fn_name"),
        truncate_dim=settings.get("truncate_dim"),
    )


class PackedSentenceTransformer(SentenceTransformer):
    """A SentenceTransformer whose saved form names classes of sentence-transformers only."""

    def save(self, path: str, *args: Any, **kwargs: Any) -> None:
        """Write the model so that `SentenceTransformer(path)` loads it without jnlp; arguments as there."""
        super().save(path, *args, **kwargs)
        listed = Path(path) / MODULES
        modules = json.loads(listed.read_text(encoding="utf-8"))
        modules[0]["type"] = f"{Transformer.__module__}.{Transformer.__name__}"
        listed.write_text(dumps(modules, indent=2), encoding="utf-8")


class PackedTransformer(InputModule):
    """Texts to token states: sentence-transformers' first module, on the packed encoder.

    The network is not a submodule and has no trainable parameters. It is loaded from the folder, and loaded again when
    the model is moved to another device or dtype, and in every worker process.

    Args:
        folder: The model's folder.
        spec: Its pooling and length.
        chosen: Fields of `Runtime`; `threads` applies to each process.
    """

    config_file_name = "sentence_bert_config.json"
    config_keys: list[str] = ["max_seq_length"]  # noqa: RUF012 - the library's name and type
    place: Tensor

    def __init__(self, folder: Path, spec: ModelSpec, chosen: Mapping[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's
        self.folder, self.spec, self.chosen = folder, spec, dict(chosen)
        device, self._dtype = Runtime(**chosen).place()
        # says where the model is, and follows it when it is moved
        self.register_buffer("place", torch.empty(0, dtype=self._dtype, device=device), persistent=False)
        self._loaded: PackedEmbedder | None = None
        self._pad = int(read_json(folder / "config.json").get("pad_token_id") or 0)
        self.max_seq_length = self.embedder.max_length

    @property
    def embedder(self) -> PackedEmbedder:
        """The model on the current device, in the current dtype."""
        if self._loaded is None:
            self._loaded = load_embedder(self.folder, self.spec, runtime=Runtime(**self.chosen))
        return self._loaded

    @property
    def tokenizer(self) -> Any:  # type: ignore[override]  # it is the folder's, and not to be replaced
        """The `tokenizers.Tokenizer`, without truncation or padding."""
        return self.embedder.tokenizer.backend

    def get_embedding_dimension(self) -> int:
        """Return the size of a token's state."""
        return self.embedder.dimension

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any) -> dict[str, Tensor]:
        """Tokenise texts or pairs, truncated at `max_seq_length` as in sentence-transformers.

        Returns:
            `input_ids` and `attention_mask`, int64 `[B, L]`; the padding is removed again before the network runs.
        """
        texts = cast("Sequence[Text]", inputs)
        framed = frame(texts, self.embedder.tokenizer, self.max_seq_length, Overflow.TRUNCATE, prefix=prompt or "")
        rows = [torch.from_numpy(text.window(0).ids) for text in framed]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self._pad)
        lengths = torch.tensor([len(row) for row in rows])
        return {"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Add `token_embeddings`, float32 `[B, L, d]`, 0 if there is no token."""
        ids, mask = features["input_ids"], features["attention_mask"].bool()
        sequences = [row[keep].numpy() for row, keep in zip(ids.cpu(), mask.cpu(), strict=True)]
        states = self._at_once(sequences, mask) if self.place.is_cuda else self._in_batches(sequences, mask.cpu())
        return features | {"token_embeddings": states.to(self.place.device)}

    def _at_once(self, sequences: list[IntArray], mask: Tensor) -> Tensor:
        """Return the states of a batch of the caller's size, computed at once on the model's device: for a GPU."""
        states = torch.zeros(*mask.shape, self.embedder.dimension, device=self.place.device)
        states[mask.to(states.device)] = self.embedder.packed_states(pack(sequences).to(states.device)).float()
        return states

    def _in_batches(self, sequences: list[IntArray], mask: Tensor) -> Tensor:
        """Return the states of a batch, computed in batches of our own size: for a CPU and its caches."""
        states = torch.zeros(*mask.shape, self.embedder.dimension)
        for number, found in enumerate(self.embedder.sequence_states(sequences)):
            states[number, mask[number]] = torch.from_numpy(found)
        return states

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Copy the model's config, weights and tokenizer as they are, and write its length."""
        out = Path(output_path)
        weights = [*present_weights(self.folder), self.folder / INDEX]
        for path in (self.folder / "config.json", *weights, *(self.folder / name for name in _TOKENIZER)):
            if path.is_file() and path.resolve() != (out / path.name).resolve():
                shutil.copyfile(path, out / path.name)
        self.save_config(output_path)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedTransformer:
        """Follow `.to(…)`: free the loaded model, and load it on the new device on first use."""
        before = self.place.device
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.place.dtype != self._dtype:
            self.chosen["dtype"], self._dtype, self._loaded = _dtype_name(self.place.dtype), self.place.dtype, None
        if self.place.device != before:
            self.chosen |= {"device": str(self.place.device), "compile": False}  # it was asked for on the GPU it leaves
            self._loaded = None
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the network: a worker process reads the folder itself."""
        return self.__dict__ | {"_loaded": None}


def _dtype_name(dtype: torch.dtype) -> str:
    names = {torch.float32: "fp32", torch.bfloat16: "bf16"}
    if dtype not in names:
        raise JnlpError(f"jnlp's encoder does not run in {dtype}", hint="float32 or bfloat16")
    return names[dtype]


def _normalises(folder: Path) -> bool:
    if not (folder / MODULES).is_file():
        return False
    modules = json.loads((folder / MODULES).read_text(encoding="utf-8"))
    return any(str(module.get("type", "")).endswith("Normalize") for module in modules)
