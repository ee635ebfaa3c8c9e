"""Memory-mapped token shards: a corpus is tokenised once, as a stream, with a share of its documents held out."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.io.durable import replacing
from jnlp.strict_json import dumps
from jnlp_pretrain.clean import Cleaner
from jnlp_pretrain.corpus import documents, fraction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from jnlp_pretrain.clean import Clean
    from jnlp_pretrain.corpus import Source

    Tokens = NDArray[np.unsignedinteger[Any]]

TRAIN, VALID = "train", "valid"
SPLITS = (TRAIN, VALID)
SUMMARY = "summary.json"
_BATCH = 4_000_000  # characters that are tokenised together, over all cores
_PIECE = 50_000  # characters of a document that the tokenizer is given at once: its memory grows with a string


@dataclass(frozen=True, slots=True)
class Shard:
    """The tokens of one source: `tokens[ends[i - 1]:ends[i]]` is document i, without special tokens."""

    name: str
    weight: float
    tokens: Tokens
    ends: NDArray[np.int64]


@dataclass(slots=True)
class SourceSummary:
    """Counts of a source: tokens and documents by split, and removed texts by reason."""

    tokens: dict[str, int] = field(default_factory=dict)
    documents: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


def build_shards(
    tokenizer: Tokenizer,
    sources: Sequence[Source],
    table: Mapping[str, Sequence[Path]],
    folder: Path,
    *,
    held_out: float = 0.01,
    clean: Clean | None = None,
    progress: Callable[[str, SourceSummary], None] | None = None,
) -> dict[str, SourceSummary]:
    """Tokenise a corpus into `folder` and return its counts; if that was done before, only read them.

    A document is held out by the hash of its text, before any cleaning, so that no change of the rules moves it into
    the training text. Memory use is a few million characters, and 8 bytes for each document.
    """
    done = folder / SUMMARY
    if done.exists():
        return {name: SourceSummary(**row) for name, row in json.loads(done.read_text(encoding="utf-8")).items()}
    folder.mkdir(parents=True, exist_ok=True)
    cleaner = Cleaner(clean) if clean is not None else None
    summaries: dict[str, SourceSummary] = {}
    for source in sources:
        kept = _keep(source, table[source.name], held_out, cleaner)
        summaries[source.name] = summary = _build_source(tokenizer, source, kept, folder)
        if cleaner is not None:
            summary.dropped, cleaner.dropped = dict(cleaner.dropped), Counter()
        if progress:
            progress(source.name, summary)
    with replacing(done) as file:
        text = dumps({n: asdict(s) for n, s in summaries.items()}, indent=2)
        file.write(text.encode())
    return summaries


def open_shards(folder: Path, sources: Sequence[Source], split: str) -> list[Shard]:
    """Return the non-empty shards of one split, in the order of the sources."""
    shards: list[Shard] = []
    for source in sources:
        ends = np.load(folder / f"{source.name}.{split}.ends.npy")
        if len(ends):
            paths = {dtype: folder / f"{source.name}.{split}.{dtype}" for dtype in ("uint16", "uint32")}
            dtype, path = next((dtype, path) for dtype, path in paths.items() if path.exists())
            tokens = np.asarray(np.memmap(path, np.dtype(dtype), "r"))  # slices of a plain view are cheaper
            shards.append(Shard(source.name, source.weight, tokens, ends))
    return shards


def _keep(source: Source, paths: Sequence[Path], held_out: float, cleaner: Cleaner | None) -> Iterator[tuple[str, str]]:
    """Yield `(split, text)` of the documents that are kept."""
    for key, text in documents(source, paths):
        split = VALID if fraction(key, "held out") < held_out else TRAIN
        if split == TRAIN and source.keep < 1 and fraction(key, "kept") >= source.keep:
            continue
        left = cleaner(text) if cleaner is not None else text
        if left is not None:
            yield split, left


def _build_source(
    tokenizer: Tokenizer, source: Source, texts: Iterator[tuple[str, str]], folder: Path
) -> SourceSummary:
    dtype = np.dtype(np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32)
    ends = {split: array("q") for split in SPLITS}
    sizes = dict.fromkeys(SPLITS, 0)
    with ExitStack() as stack:
        paths = {split: folder / f"{source.name}.{split}.{dtype.name}" for split in SPLITS}
        files = {split: stack.enter_context(path.open("wb")) for split, path in paths.items()}
        for split, ids in _encode(tokenizer, texts):
            np.asarray(ids, dtype).tofile(files[split])
            sizes[split] += len(ids)
            ends[split].append(sizes[split])
    for split in SPLITS:
        np.save(folder / f"{source.name}.{split}.ends.npy", np.array(ends[split], np.int64))
    return SourceSummary(sizes, {split: len(ends[split]) for split in SPLITS})


def _encode(tokenizer: Tokenizer, texts: Iterator[tuple[str, str]]) -> Iterator[tuple[str, list[int]]]:
    """Yield `(split, ids)` of documents; a few million characters are tokenised at once."""
    for batch in _batches(texts):
        pieces = [list(_pieces(text)) for _, text in batch]
        found = iter(tokenizer.encode_batch_fast([p for ps in pieces for p in ps], add_special_tokens=False))
        for (split, _), ps in zip(batch, pieces, strict=True):
            yield split, [number for _ in ps for number in next(found).ids]


def _batches(texts: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    size = 0
    for split, text in texts:
        batch.append((split, text))
        size += len(text)
        if size > _BATCH:
            yield batch
            batch, size = [], 0
    yield batch


def _pieces(text: str) -> Iterator[str]:
    """Cut a text after line ends, about every `_PIECE` characters; no vocabulary piece crosses a line end."""
    start = 0
    while len(text) - start > _PIECE:
        stop = text.rfind("\n", start, start + _PIECE) + 1 or start + _PIECE
        yield text[start:stop]
        start = stop
    yield text[start:]
