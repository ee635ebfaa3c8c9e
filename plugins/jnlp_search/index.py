"""Makes an index and keeps it up to date."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, UsageError
from jnlp_search import segments
from jnlp_search.analyse import analyser
from jnlp_search.builder import Builder, BuildReport
from jnlp_search.catalog import NAME, Catalog, clear_damage
from jnlp_search.draft import absolute
from jnlp_search.lock import NAME as LOCK
from jnlp_search.lock import writer_lock
from jnlp_search.options import ANALYSER, CHUNK_TOKENS, OVERLAP_TOKENS, IndexOptions
from jnlp_search.schema import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from jnlp.types import Embedder, Failed, Record
    from jnlp_search.chunk import Chunker


def build(
    folder: Path,
    records: Iterable[Record | Failed],
    embedder: Embedder,
    options: IndexOptions | None = None,
    /,
    *,
    model: str,
    sources: Sequence[str | Path] = (),
    chunker: Chunker | None = None,
    on_failed: Callable[[Failed], None] | None = None,
    progress: Callable[[BuildReport], None] | None = None,
) -> BuildReport:
    """Bring the index in `folder` up to date with documents; it is made if it is not there.

    Killed at any point, it opens at its last commit, and building again continues. Documents of `sources` that no
    longer come are removed at the end, unless they failed to be read or `options.keep_missing`.

    Args:
        folder: The index.
        records: The documents, each with an id of its own.
        embedder: Makes the vectors.
        options: How documents are indexed.
        model: The embedder's name, folder or hub id: a search loads it by that.
        sources: The folders and files that `records` is all of.
        chunker: Cuts documents; None is `sentence_chunker`.
        on_failed: Called with each document that was left out.
        progress: Called after each commit.

    Raises:
        JnlpError: Another process is writing, or the index was made with another model or other settings.
    """
    options = options or IndexOptions()
    start = time.monotonic()
    with _clear_errors(folder), clear_damage(folder), _writer(folder) as catalog:
        manifest = _settle(catalog, embedder, options, model)
        segments.repair(catalog)
        roots = [absolute(str(source)) for source in sources]
        builder = Builder(catalog, manifest, embedder, chunker, on_failed, progress, roots)
        for record in records:
            builder.add(record)
        builder.commit()
        if not options.keep_missing:
            builder.remove_missing()
        segments.tidy(catalog)
        builder.report.seconds = time.monotonic() - start
        return builder.report


def delete(folder: Path, names: Iterable[str], /) -> int:
    """Remove documents by name in one commit and return how many were there."""
    with _clear_errors(folder), clear_damage(folder), _writer(folder) as catalog:
        there = [name for name in names if catalog.document(name)]
        with catalog.transaction():
            for name in there:
                catalog.delete_document(name)
        segments.tidy(catalog)
        return len(there)


@contextmanager
def _writer(folder: Path) -> Iterator[Catalog]:
    """Hold the folder, made if it is not there, and its catalogue for writing."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, and an index is a folder", hint="name a new folder: --index my.idx")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / NAME).exists() and any(path.name != LOCK for path in folder.iterdir()):
        raise UsageError(f"{folder} holds other files and is not an index", hint="name a new folder: --index my.idx")
    with writer_lock(folder), Catalog.writing(folder) as catalog:
        yield catalog


@contextmanager
def _clear_errors(folder: Path) -> Iterator[None]:
    """Say in one line what keeps the index from being written; what was committed stays."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        reason = error.strerror or error if isinstance(error, OSError) else error
        raise JnlpError(
            f"{folder} cannot be written: {reason}",
            hint="what was committed is kept; make room or give permission, then run the same command again",
        ) from error
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"{folder} holds what was indexed so far; the same command goes on")
        raise


def recorded_model(folder: Path, /) -> str | None:
    """Return the model that an index was made with, or None where there is no index yet."""
    if not (folder / NAME).is_file():
        return None
    with clear_damage(folder), Catalog.reading(folder) as catalog:
        manifest = catalog.manifest()
    return manifest.model if manifest else None


def _settle(catalog: Catalog, embedder: Embedder, options: IndexOptions, model: str) -> Manifest:
    """Return what to index with: as the index was made, or as asked for where it is new or to be rebuilt."""
    from jnlp import __version__

    if (options.chunk_tokens or 0) > embedder.max_length:
        raise UsageError(
            f"--chunk-tokens {options.chunk_tokens:,} is more than the {embedder.max_length:,} that {model} reads",
            hint=f"at most --chunk-tokens {embedder.max_length}, or another --model",
        )
    known = catalog.manifest()
    old = None if options.rebuild else known
    words = analyser(options.analyser or (old.analyser if old else ANALYSER))
    manifest = Manifest(
        model=model,
        fingerprint=embedder.fingerprint,
        dimension=embedder.dimension,
        chunker=old.chunker if old else "sentences",
        chunk_tokens=options.chunk_tokens or (old.chunk_tokens if old else CHUNK_TOKENS),
        overlap=options.overlap if options.overlap is not None else (old.overlap if old else OVERLAP_TOKENS),
        analyser=words.name,
        analyser_version=words.version,
        jnlp=__version__,
    )
    if old:
        _refuse_other(catalog, old, manifest)
    elif known:
        _clear(catalog, manifest)
    if old and old.analyser_version != manifest.analyser_version:
        _analyse_again(catalog, manifest)
    if not known:
        with catalog.transaction():
            catalog.set_manifest(manifest)
    return manifest


def _refuse_other(catalog: Catalog, old: Manifest, new: Manifest) -> None:
    folder = catalog.path.parent
    if old.fingerprint != new.fingerprint:
        raise JnlpError(
            f"{folder} was made with model {old.model}, not {new.model}"
            if old.model != new.model
            else f"{folder} was made with another version of model {old.model}, or another --normalize",
            hint=f"--model {old.model} goes on with it, --rebuild indexes everything again",
        )
    for name in ("chunk_tokens", "overlap", "analyser"):
        before, now = getattr(old, name), getattr(new, name)
        if before != now:
            flag = "--" + name.replace("_", "-")
            raise JnlpError(
                f"{folder} was made with {flag} {before}, not {now}",
                hint=f"leave {flag} out to go on with it; --rebuild indexes everything again",
            )


def _clear(catalog: Catalog, manifest: Manifest) -> None:
    """Begin again in one commit: readers see the old index or the new one as it grows."""
    with catalog.transaction():
        for table in ("fulltext", "tombstones", "vectors", "chunks", "documents", "segments"):
            catalog.db.execute(f"DELETE FROM {table}")
        catalog.set_manifest(manifest)


def _analyse_again(catalog: Catalog, manifest: Manifest) -> None:
    """Another dictionary gives other words: make the full text again, which needs no model."""
    words = analyser(manifest.analyser)
    with catalog.transaction():
        catalog.db.execute("DELETE FROM fulltext")
        rows = ((chunk, " ".join(word.form for word in words.words(text))) for chunk, text in catalog.texts())
        catalog.db.executemany("INSERT INTO fulltext (rowid, words) VALUES (?, ?)", rows)
        catalog.set_manifest(manifest)
