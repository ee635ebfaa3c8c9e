"""The settings of an index: those given, else its own, else the defaults. What depends on them is not changed alone."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, UsageError
from jnlp.types import Pooling
from jnlp_search.analyse import analyser, index_words
from jnlp_search.options import (
    ANALYSER,
    CHUNK_TOKENS,
    CHUNKER,
    OVERLAP_TOKENS,
    STORE_DEFAULTS,
    ChunkPooling,
    IndexOptions,
)
from jnlp_search.store.catalog import NAME, Catalog
from jnlp_search.store.kinds import check_factory
from jnlp_search.store.schema import READ, UPGRADED, Manifest
from jnlp_search.store.shards import folders_of, index_of, read_layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jnlp.types import Embedder
    from jnlp_search.offsets import IndexWords
    from jnlp_search.store.catalogs import Catalogs


def old_manifest(folder: Path, /) -> Manifest | None:
    """Return the settings of an index that is replaced, if they can be read."""
    with (
        suppress(JnlpError, sqlite3.Error),
        Catalog.reading(folders_of(folder)[0], formats=(*READ, UPGRADED)) as catalog,
    ):
        return catalog.manifest()
    return None


def wanted_shards(folder: Path, options: IndexOptions, /) -> int:
    """Return in how many shards an index is kept: as many as asked for, else its own number, else 1.

    Raises:
        JnlpError: It has another number of shards than asked for, and is not built again.
    """
    layout = read_layout(folder)
    own = layout.shards if layout else 1 if (folder / NAME).exists() else None
    if own is not None and options.shards not in (None, own) and not options.rebuild:
        raise JnlpError(
            f"{folder} was made with --shards {own}, not {options.shards}",
            hint="omit --shards to continue with it; --rebuild indexes everything again",
        )
    return options.shards or own or 1


def new_manifest(embedder: Embedder, options: IndexOptions, model: str, old: Manifest | None = None, /) -> Manifest:
    """Return the settings to index with: those given, else the index's own, else the defaults."""
    from jnlp import __version__

    if (options.chunk_tokens or 0) > embedder.max_length:
        raise UsageError(
            f"--chunk-tokens {options.chunk_tokens:,} is more than the {embedder.max_length:,} that {model} reads",
            hint=f"at most --chunk-tokens {embedder.max_length}, or another --model",
        )
    words = analyser(options.analyser or (old.analyser if old else ANALYSER))
    return Manifest(
        model=model,
        fingerprint=embedder.fingerprint,
        dimension=embedder.dimension,
        chunker=options.chunker or (old.chunker if old else CHUNKER),
        chunk_tokens=options.chunk_tokens or min(old.chunk_tokens if old else CHUNK_TOKENS, embedder.max_length),
        overlap=options.overlap if options.overlap is not None else (old.overlap if old else OVERLAP_TOKENS),
        pooling=_pooling(embedder, options, model, old).value,
        analyser=words.name,
        analyser_version=words.version,
        jnlp=__version__,
        **_store(embedder, options, old),
    )


def _store(embedder: Embedder, options: IndexOptions, old: Manifest | None) -> dict[str, Any]:
    """Return the settings of the vector index: those given, else the index's own, else the defaults."""
    if options.factory is not None:
        check_factory(options.factory, embedder.dimension)
    chosen = {name: getattr(options, name) for name in STORE_DEFAULTS}
    before = {name: getattr(old, name) for name in STORE_DEFAULTS} if old else STORE_DEFAULTS
    return before | {name: value for name, value in chosen.items() if value is not None}


def _pooling(embedder: Embedder, options: IndexOptions, model: str, old: Manifest | None) -> ChunkPooling:
    chosen = options.pooling or (ChunkPooling(old.pooling) if old else ChunkPooling.PASSAGE)
    if chosen is ChunkPooling.LATE and options.pooling is None and old and old.fingerprint != embedder.fingerprint:
        chosen = ChunkPooling.PASSAGE  # it belongs to the model
    if chosen is ChunkPooling.LATE and getattr(embedder, "pooling", Pooling.MEAN) is not Pooling.MEAN:
        raise UsageError(
            f"--pooling late pools token states by their mean, and {model} was trained to use the first token",
            hint="leave it out, or take a model with mean pooling",
        )
    return chosen


def record_manifest(
    catalogs: Catalogs, embedder: Embedder, options: IndexOptions, model: str, made: Manifest | None = None, /
) -> Manifest:
    """Return the settings to index with; record them in new shards, and refuse different ones for old shards.

    Args:
        catalogs: Those of the index's shards, open for writing.
        embedder: Makes the vectors.
        options: What was asked for.
        model: The embedder's name.
        made: The settings, if they were decided before.

    Raises:
        JnlpError: The index was made with others.
    """
    manifest = made or new_manifest(embedder, options, model, catalogs.first.manifest())
    for catalog in catalogs.all:
        _record(catalog, manifest)
    return manifest


def _record(catalog: Catalog, manifest: Manifest) -> None:
    old = catalog.manifest()
    if old is not None:
        _refuse_other(catalog, old, manifest)
    if old is not None and old.analyser_version != manifest.analyser_version:
        analyse_again(catalog, manifest)
    elif old is None or any(getattr(old, name) != getattr(manifest, name) for name in STORE_DEFAULTS):
        with catalog.transaction():
            catalog.set_manifest(manifest)


def _refuse_other(catalog: Catalog, old: Manifest, new: Manifest) -> None:
    folder = index_of(catalog.folder)
    if old.fingerprint != new.fingerprint:
        raise JnlpError(
            f"{folder} was made with model {old.model}, not {new.model}"
            if old.model != new.model
            else f"{folder} was made with another version of model {old.model}, or another --normalize",
            hint=f"--model {old.model} continues with it; --rebuild indexes everything again",
        )
    for name in ("chunker", "chunk_tokens", "overlap", "pooling", "analyser"):
        before, now = getattr(old, name), getattr(new, name)
        if before != now:
            flag = "--" + name.replace("_", "-")
            raise JnlpError(
                f"{folder} was made with {flag} {before}, not {now}",
                hint=f"omit {flag} to continue with it; --rebuild indexes everything again",
            )


def analyse_again(catalog: Catalog, manifest: Manifest, /) -> None:
    """Rebuild the full text from the passages, without a model, and record the manifest."""
    words = analyser(manifest.analyser)
    with catalog.transaction():
        catalog.analyse(partial(index_words, words))
        catalog.set_manifest(manifest)


def words_of(catalog: Catalog, /) -> Callable[[str, str | None], IndexWords]:
    """Return the function that gives the words of a passage as the index has them."""
    manifest = catalog.manifest()
    if manifest is None:
        raise catalog.damaged("the manifest is empty")
    words = analyser(manifest.analyser)
    if words.version != manifest.analyser_version:
        analyse_again(catalog, dataclasses.replace(manifest, analyser_version=words.version))
    return partial(index_words, words)
