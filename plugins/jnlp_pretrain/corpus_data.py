"""The data of a run: a tokenizer and token shards, made once per corpus and shared by its runs."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from jnlp.errors import UsageError
from jnlp.io.durable import Lock, replacing
from jnlp_pretrain import corpus as corpora
from jnlp_pretrain.clean import Cleaner
from jnlp_pretrain.recipe import fingerprint
from jnlp_pretrain.shards import SUMMARY, TRAIN, VALID, Shard, build_shards, open_shards
from jnlp_pretrain.tokenizer_train import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer

    from jnlp.types import Progress
    from jnlp_pretrain.corpus import Source
    from jnlp_pretrain.recipe import Recipe
    from jnlp_pretrain.shards import SourceSummary

_SENTENCE_ENDS = ("。", "!", "?", "<0x0A>")


@dataclass(frozen=True, slots=True)
class CorpusData:
    """The data that a run reads.

    Args:
        tokenizer: The tokenizer.
        train, valid: Shards by source.
        summary: Counts of each source's documents.
    """

    tokenizer: Tokenizer
    train: list[Shard]
    valid: list[Shard]
    summary: Mapping[str, SourceSummary]

    @property
    def ends(self) -> list[int]:
        """The ids of the pieces that end a sentence."""
        found = (self.tokenizer.token_to_id(piece) for piece in _SENTENCE_ENDS)
        return [number for number in found if number is not None]


def data_digest(recipe: Recipe, paths: Sequence[Path], tokenizer: str | None) -> str:
    """Return a hash of everything that determines the data of a run, which excludes weights and mixes.

    Args:
        recipe: The recipe with its sources.
        paths: The corpus.
        tokenizer: The tokenizer's JSON if it is not trained.
    """
    sources = [{**asdict(source), "weight": None} for source in recipe.sources]
    listing = [(path.name, path.stat().st_size) for path in paths]
    own = tokenizer if tokenizer is not None else asdict(recipe.tokenizer)
    return fingerprint([sources, listing, own, asdict(recipe.clean), recipe.held_out])


def make_data(
    recipe: Recipe,
    sources: Sequence[Source],
    table: Mapping[str, Sequence[Path]],
    folder: Path,
    *,
    tokenizer: str | None = None,
    progress: Progress | None = None,
) -> CorpusData:
    """Train the tokenizer and tokenise the corpus into `folder`, unless that is done.

    Args:
        recipe: The recipe.
        sources: Its sources.
        table: The files of each source.
        folder: The folder of the data.
        tokenizer: A tokenizer's JSON, instead of training one.
        progress: Called with (phase, done, total, figures).

    Raises:
        UsageError: There is no text to train on.
        JnlpError: Another run is making the same data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = (folder / "shards" / SUMMARY).exists()
    with nullcontext() if whole else Lock(folder / ".lock", folder, hint="wait for it: both read the same corpus"):
        return _make_data(recipe, sources, table, folder, tokenizer, progress)


def _make_data(
    recipe: Recipe,
    sources: Sequence[Source],
    table: Mapping[str, Sequence[Path]],
    folder: Path,
    tokenizer: str | None,
    progress: Progress | None,
) -> CorpusData:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.exists():
        if tokenizer is None and progress:
            progress("tokenizer", 0, 1, {})
        made = (
            train_tokenizer(_sample(recipe, sources, table), recipe.tokenizer).to_str()
            if tokenizer is None
            else tokenizer
        )
        with replacing(path) as file:
            file.write(made.encode())
    loaded = Tokenizer.from_file(str(path))
    counted = itertools.count(1)

    def report(name: str, summary: SourceSummary) -> None:
        if progress:
            figures = {name: float(summary.tokens[TRAIN]), **{k: float(v) for k, v in summary.dropped.items()}}
            progress("shards", next(counted), len(sources), figures)

    shards = folder / "shards"
    summary = build_shards(
        loaded, sources, table, shards, held_out=recipe.held_out, clean=recipe.clean, progress=report
    )
    data = CorpusData(loaded, open_shards(shards, sources, TRAIN), open_shards(shards, sources, VALID), summary)
    if not data.train:
        raise UsageError("the corpus has no text to train on", hint="summary.json lists what was removed")
    return data


def _sample(recipe: Recipe, sources: Sequence[Source], table: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """Yield lines for the tokenizer: equally many characters of each source, chosen by hash, without held-out text."""
    cleaner = Cleaner(replace(recipe.clean, near_duplicates=False))
    share = recipe.tokenizer.characters // max(sum(bool(paths) for paths in table.values()), 1)
    for source in sources:
        room = share
        size = sum(path.stat().st_size for path in table[source.name])
        # about three bytes per character, compressed five to one; affects only the density of the sample
        rate = min(1.0, 3 * share / max(size, 1))
        for key, text in corpora.documents(source, table[source.name]):
            if room <= 0:
                break
            if corpora.fraction(key, "held out") >= recipe.held_out and corpora.fraction(key, "sample") < rate:
                left = cleaner(text[:room]) or ""
                yield from left.split("\n")
                room -= len(left)
