"""Memory-mapped token shards: a corpus tokenised once, with the ends of its documents and a held-out share."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.training.corpus import Source, documents, fraction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    Tokens = NDArray[np.unsignedinteger[Any]]

TRAIN, VALID = "train", "valid"
_MANIFEST = "shards.json"
_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Shard:
    """The tokens of one source: `tokens[ends[i - 1]:ends[i]]` is document i, without special tokens."""

    name: str
    weight: float
    tokens: Tokens
    ends: NDArray[np.int64]


def build_shards(
    tokenizer: Tokenizer,
    sources: Sequence[Source],
    table: Mapping[str, Sequence[Path]],
    folder: Path,
    *,
    held_out: float = 0.01,
    progress: Callable[[str, int], None] | None = None,
) -> None:
    """Tokenise a corpus into `folder`; does nothing where the same corpus was tokenised there before.

    A document is held out, and with a weight under 1 kept, by the hash of its key: the same everywhere. Held-out
    documents are drawn before the weight, so a change of the mix never lets one into the training text.
    """
    wanted = {"digest": _digest(tokenizer, sources, table, held_out)}
    manifest = folder / _MANIFEST
    if manifest.exists() and json.loads(manifest.read_text(encoding="utf-8"))["digest"] == wanted["digest"]:
        return
    folder.mkdir(parents=True, exist_ok=True)
    manifest.unlink(missing_ok=True)
    sizes: dict[str, dict[str, int]] = {}
    for source in sources:
        sizes[source.name] = _build_source(tokenizer, source, table[source.name], folder, held_out)
        if progress:
            progress(source.name, sizes[source.name][TRAIN])
    manifest.write_text(json.dumps({**wanted, "tokens": sizes}, ensure_ascii=False, indent=2), encoding="utf-8")


def open_shards(folder: Path, sources: Sequence[Source], split: str) -> list[Shard]:
    """Return the shards of one split that hold text, in the order of the sources."""
    shards: list[Shard] = []
    for source in sources:
        ends = np.load(folder / f"{source.name}.{split}.ends.npy")
        if len(ends):
            tokens = np.load(folder / f"{source.name}.{split}.npy", mmap_mode="r")
            shards.append(Shard(source.name, source.weight, tokens, ends))
    return shards


def _build_source(
    tokenizer: Tokenizer, source: Source, paths: Sequence[Path], folder: Path, held_out: float
) -> dict[str, int]:
    kept: dict[str, list[str]] = {TRAIN: [], VALID: []}
    for key, text in documents(source, paths):
        if fraction(key, "held out") < held_out:
            kept[VALID].append(text)
        elif source.weight >= 1 or fraction(key, "kept") < source.weight:
            kept[TRAIN].append(text)
    dtype = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32
    sizes: dict[str, int] = {}
    for split, texts in kept.items():
        parts = [np.asarray(ids, dtype=dtype) for ids in _encode(tokenizer, texts)]
        tokens = np.concatenate(parts) if parts else np.empty(0, dtype)
        np.save(folder / f"{source.name}.{split}.npy", tokens)
        np.save(folder / f"{source.name}.{split}.ends.npy", np.cumsum([len(p) for p in parts], dtype=np.int64))
        sizes[split] = len(tokens)
    return sizes


def _encode(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[list[int]]:
    stream = iter(texts)
    while batch := list(islice(stream, _CHUNK)):
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            yield encoding.ids


def _digest(
    tokenizer: Tokenizer, sources: Sequence[Source], table: Mapping[str, Sequence[Path]], held_out: float
) -> str:
    listing = [(str(s), [(p.name, p.stat().st_size) for p in table[s.name]]) for s in sources]
    return hashlib.sha256(f"{tokenizer.to_str()}{listing}{held_out}".encode()).hexdigest()
