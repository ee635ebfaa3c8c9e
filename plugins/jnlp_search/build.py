"""Creates and updates an index, for `Index.add` and `Index.remove`."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, UsageError
from jnlp.types import Pooling
from jnlp_search.analyse import analyser
from jnlp_search.builder import Builder, Watch
from jnlp_search.chunk import bundled_chunker
from jnlp_search.names import find
from jnlp_search.options import ANALYSER, CHUNK_TOKENS, CHUNKER, OVERLAP_TOKENS, ChunkPooling, IndexOptions
from jnlp_search.roots import display_path, file_is_there, move
from jnlp_search.store import replacement, segments
from jnlp_search.store.catalog import NAME, SEGMENTS, Catalog
from jnlp_search.store.checks import DamagedIndexError, damage_reported
from jnlp_search.store.filesum import remove_sum, write_sum
from jnlp_search.store.lock import NAME as LOCK
from jnlp_search.store.lock import writer_lock
from jnlp_search.store.schema import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from jnlp.types import AddReport, Chunker, Embedder, Failed, Record, RepairReport

_PLAIN = Watch()
_AGAIN = "committed documents are kept; free space or fix the permissions, then run the same command again"


def build(
    folder: Path,
    records: Iterable[Record | Failed],
    embedder: Embedder,
    options: IndexOptions | None = None,
    /,
    *,
    model: str,
    sources: Sequence[str | Path] = (),
    chunkers: Callable[[str], Chunker] = bundled_chunker,
    watch: Watch = _PLAIN,
) -> AddReport:
    """Update the index in `folder` with documents; create it if it does not exist.

    After a kill at any point, the index opens at its last commit, and building again continues. Documents of `sources`
    that are missing from `records` are removed at the end, unless they could not be read or `options.keep_missing` is
    set. With `options.rebuild`, the new index is built in a separate folder and replaces the old one atomically.

    Args:
        folder: The index.
        records: The documents.
        embedder: Makes the vectors.
        options: How documents are indexed.
        model: The embedder's name, folder or hub id, from which a search loads it.
        sources: The folders and files whose documents are all in `records`.
        chunkers: Returns a chunker by name.
        watch: Receives failures and progress.

    Raises:
        JnlpError: Another process is writing, the index is damaged, or it was made with another model or settings.
    """
    options = options or IndexOptions()
    start = time.monotonic()
    with _clear_errors(folder), damage_reported(folder), _lock(folder):
        if options.rebuild and (folder / NAME).exists():
            report = _rebuild(folder, records, embedder, options, model, sources, chunkers, watch)
        else:
            with Catalog.writing(folder) as catalog:
                catalog.check_seal()  # a new seal must not cover old damage
                replacement.discard(folder)
                manifest = _open_manifest(catalog, embedder, options, model)
                segments.repair(catalog)
                if options.base is not None:
                    move(catalog, options.base)
                builder = Builder(catalog, manifest, embedder, chunkers(manifest.chunker), sources, watch)
                _take_in(builder, records)
                if not options.keep_missing:
                    builder.remove_missing()
                segments.tidy(catalog)
                catalog.seal()
                report = builder.report
        seconds = time.monotonic() - start
        write_sum(folder, seconds)
        return dataclasses.replace(report, seconds=seconds)


def _rebuild(
    folder: Path,
    records: Iterable[Record | Failed],
    embedder: Embedder,
    options: IndexOptions,
    model: str,
    sources: Sequence[str | Path],
    chunkers: Callable[[str], Chunker],
    watch: Watch,
) -> AddReport:
    """Build a new index in a separate folder, or continue a killed build, and replace the old index."""
    _refuse_foreign(folder)
    place = replacement.prepare(folder, _new_manifest(embedder, options, model))
    with Catalog.writing(place) as catalog:
        manifest = _open_manifest(catalog, embedder, options, model)
        segments.repair(catalog)
        builder = Builder(catalog, manifest, embedder, chunkers(manifest.chunker), sources, watch)
        _take_in(builder, records)
        builder.remove_unseen()
        segments.tidy(catalog)
        catalog.seal()
        # A killed rebuild's documents are part of this one.
        report = builder.report
        report = dataclasses.replace(report, added=report.added + report.unchanged, unchanged=0, removed=0)
    replacement.put_in_place(folder)
    return report


def _take_in(builder: Builder, records: Iterable[Record | Failed]) -> None:
    for record in records:
        builder.add(record)
    builder.commit()


def delete(folder: Path, names: Sequence[str], /) -> tuple[int, list[str]]:
    """Remove documents in one commit and return their number, and those of the files that are still there.

    Raises:
        UsageError: There is no index, or a name is not in it.
    """
    with changing(folder) as catalog:
        numbers = find(catalog, names)
        kept = _files_still_there(catalog, numbers)
        if numbers:
            with catalog.transaction():
                for number in numbers:
                    catalog.delete_document(number)
            segments.tidy(catalog)
        return len(numbers), kept


def _files_still_there(catalog: Catalog, numbers: Sequence[int]) -> list[str]:
    roots = {root.id: root for root in catalog.roots()}
    found: dict[str, None] = {}
    with suppress(DamagedIndexError):  # a damaged document can be removed too
        for _, document in catalog.documents(numbers):
            if file_is_there(document, roots):
                found[display_path(document, roots) or ""] = None
    return list(found)


@contextmanager
def changing(folder: Path, /) -> Iterator[Catalog]:
    """Lock and open an existing index for writing; seal it at the end."""
    if not os.path.lexists(folder / NAME):
        raise UsageError(f"there is no index at {folder}", hint=f"jnlp index PATH… --index {folder}")
    start = time.monotonic()
    with _clear_errors(folder), damage_reported(folder), _lock(folder):
        with Catalog.writing(folder) as catalog:
            catalog.check_seal()
            yield catalog
            catalog.seal()
        write_sum(folder, time.monotonic() - start)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Lock the folder for writing; create it if needed."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, and an index is a folder", hint="name a new folder: --index my.idx")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / NAME).exists() and any(path.name != LOCK for path in folder.iterdir()):
        raise UsageError(f"{folder} has other files and is not an index", hint="name a new folder: --index my.idx")
    with writer_lock(folder):
        yield


def _refuse_foreign(folder: Path) -> None:
    """Raise if the folder to replace is not an index."""
    try:
        Catalog.reading(folder).close()
    except DamagedIndexError:
        if not (folder / SEGMENTS).is_dir():
            raise
    except JnlpError as error:
        if "is not an index" in error.message:
            raise


@contextmanager
def _clear_errors(folder: Path) -> Iterator[None]:
    """Turn an error of writing the index into a one-line JnlpError; committed documents are kept."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        reason, hint = error.strerror or error if isinstance(error, OSError) else error, _AGAIN
        if not os.path.lexists(folder):
            reason = _unmade(folder, error)
        if not os.path.lexists(folder / NAME):
            hint = "no index was made; name another folder with --index"
        raise JnlpError(f"{folder} cannot be written: {reason}", hint=hint) from error
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"{folder} has the documents indexed so far; run the same command to continue")
        raise


def _unmade(folder: Path, error: Exception) -> str:
    """Return why a folder could not be made. Virtual file systems say that there is no such file, which misleads."""
    parent = next((path for path in folder.absolute().parents if path.exists()), folder)
    why = "" if isinstance(error, FileNotFoundError) else f" ({getattr(error, 'strerror', None) or error})"
    return f"no folder can be made in {parent}{why}"


def recorded_model(folder: Path, /) -> str | None:
    """Return the model that an index was made with, or None if there is no index yet."""
    if not os.path.isfile(folder / NAME):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        return None
    with damage_reported(folder, reading=True), Catalog.reading(folder) as catalog:
        manifest = catalog.manifest()
    return manifest.model if manifest else None


def _new_manifest(embedder: Embedder, options: IndexOptions, model: str, old: Manifest | None = None, /) -> Manifest:
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
        chunk_tokens=options.chunk_tokens or (old.chunk_tokens if old else CHUNK_TOKENS),
        overlap=options.overlap if options.overlap is not None else (old.overlap if old else OVERLAP_TOKENS),
        pooling=_pooling(embedder, options, model, old).value,
        analyser=words.name,
        analyser_version=words.version,
        jnlp=__version__,
    )


def _pooling(embedder: Embedder, options: IndexOptions, model: str, old: Manifest | None) -> ChunkPooling:
    chosen = options.pooling or (ChunkPooling(old.pooling) if old else ChunkPooling.PASSAGE)
    if chosen is ChunkPooling.LATE and getattr(embedder, "pooling", Pooling.MEAN) is not Pooling.MEAN:
        raise UsageError(
            f"--pooling late pools token states by their mean, and {model} was trained to use the first token",
            hint="leave it out, or take a model with mean pooling",
        )
    return chosen


def _open_manifest(catalog: Catalog, embedder: Embedder, options: IndexOptions, model: str) -> Manifest:
    """Return the settings to index with; record them in a new index, refuse different ones for an old index."""
    old = catalog.manifest()
    manifest = _new_manifest(embedder, options, model, old)
    if old is None:
        with catalog.transaction():
            catalog.set_manifest(manifest)
        return manifest
    _refuse_other(catalog, old, manifest)
    if old.analyser_version != manifest.analyser_version:
        analyse_again(catalog, manifest)
    return manifest


def _refuse_other(catalog: Catalog, old: Manifest, new: Manifest) -> None:
    folder = catalog.folder
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
        catalog.db.execute("DELETE FROM fulltext")
        rows = ((chunk, " ".join(word.form for word in words.words(text))) for chunk, text in catalog.texts())
        catalog.db.executemany("INSERT INTO fulltext (rowid, words) VALUES (?, ?)", rows)
        catalog.set_manifest(manifest)


def repair_index(folder: Path, /) -> RepairReport:
    """Lock a damaged index and keep its intact documents."""
    from jnlp_search.store.repair import repair

    if not os.path.lexists(folder / NAME):
        raise UsageError(f"there is no index at {folder}", hint=f"jnlp index PATH… --index {folder}")
    with _clear_errors(folder), damage_reported(folder), _lock(folder):
        report = repair(folder)
        remove_sum(folder)  # one that is damaged too
        write_sum(folder, float("inf"))
        return report
