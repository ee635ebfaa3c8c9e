"""Creates and updates an index, for `Index.add` and `Index.remove`."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from jnlp.errors import UsageError
from jnlp.types import RepairReport
from jnlp_search.builder import Builder, Watch
from jnlp_search.chunk import bundled_chunker
from jnlp_search.embed import embed_passages
from jnlp_search.names import find
from jnlp_search.options import ChunkPooling, IndexOptions
from jnlp_search.rebuild import new_shards, rebuilt
from jnlp_search.roots import display_path, file_is_there, move
from jnlp_search.settings import record_manifest, wanted_shards, words_of
from jnlp_search.store import replacement, segments
from jnlp_search.store.catalog import NAME, Catalog
from jnlp_search.store.catalogs import Catalogs
from jnlp_search.store.checks import DamagedIndexError, damage_reported
from jnlp_search.store.filesum import remove_sum, write_sum
from jnlp_search.store.heal import heal
from jnlp_search.store.schema import READ, UPGRADED
from jnlp_search.store.shards import folders_of, is_index, read_layout, remove_others
from jnlp_search.store.sources import sources as sources_of
from jnlp_search.writing import changing, locked, refuse_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from jnlp.types import AddReport, Chunker, Embedder, Failed, FloatArray, Record
    from jnlp_search.files import Look
    from jnlp_search.passages import Workers
    from jnlp_search.store.schema import Manifest
    from jnlp_search.store.sources import Source

_PLAIN = Watch()


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
    reads: Sequence[Mapping[str, Any]] = (),
    changed: Iterable[str] | None = None,
    looks: Sequence[Look] = (),
    workers: Callable[[Manifest], Workers] | None = None,
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
        reads: How the files of each source are read: fields of `jnlp.io.ReadOptions`, recorded with it.
        changed: The canonical files and folders of the sources whose documents are all in `records`; None is all.
        looks: What chooses the files that are read for `records`: those that have not changed need not be.
        workers: Has documents cut, embedded and analysed by workers; None does it here.

    Raises:
        JnlpError: Another process is writing, the index is damaged, or it was made with another model or settings.
    """
    options = options or IndexOptions()
    start = time.monotonic()

    def fill(folders: Sequence[Path], made: Manifest | None) -> AddReport:
        with Catalogs.writing(folders) as catalogs:
            for catalog in catalogs.all:
                catalog.check_seal()  # a new seal must not cover old damage
            manifest = record_manifest(catalogs, embedder, options, model, made)
            catalogs.align()
            for catalog in catalogs.all:
                heal(catalog, _embed(embedder, manifest))
                if options.base is not None and made is None:
                    move(catalog, options.base)
            builder = Builder(
                catalogs, manifest, embedder, chunkers(manifest.chunker), sources, watch, workers and workers(manifest)
            )
            builder.files.reads_all = options.check or made is not None
            for look in looks:
                look.files = builder.files
            builder.take_in(records)
            if made is not None:
                builder.remove_unseen()
            elif not options.keep_missing:
                builder.remove_missing(changed)
            builder.record_sources(reads)
            builder.files.record()
            for catalog in catalogs.all:
                segments.tidy(catalog)
                catalog.seal()
            return builder.report

    with locked(folder):
        if options.rebuild and is_index(folder):
            report = rebuilt(folder, embedder, options, model, fill)
        else:
            shards = wanted_shards(folder, options)
            layout = read_layout(folder)
            if layout is None and shards > 1:
                layout = new_shards(folder, shards)
            remove_others(folder, layout)
            replacement.discard(folder)
            report = fill(folders_of(folder), None)
        seconds = time.monotonic() - start
        for one in folders_of(folder):
            write_sum(one, seconds)
        return dataclasses.replace(report, seconds=seconds)


def _embed(embedder: Embedder, manifest: Manifest) -> Callable[[Sequence[str]], FloatArray] | None:
    """Return the function that makes lost vectors again; None if they depend on more than the passage."""
    if manifest.pooling == ChunkPooling.LATE:
        return None
    return partial(embed_passages, embedder, manifest.model)


def delete(folder: Path, names: Sequence[str], /) -> tuple[int, list[str]]:
    """Remove documents in one commit by shard; return their number, and those of the files that are still there.

    Raises:
        UsageError: There is no index, or a name is not in it.
    """
    with changing(folder) as catalogs:
        found = find(catalogs.all, folder, names)
        kept = [file for pair in zip(catalogs.all, found, strict=True) for file in _files_still_there(*pair)]
        for catalog, numbers in zip(catalogs.all, found, strict=True):
            if numbers:
                words = words_of(catalog)
                with catalog.transaction():
                    for number in numbers:
                        catalog.delete_document(number, words)
            segments.tidy(catalog)  # in all shards: an interrupted change may have left it undone
            segments.remove_unnamed(catalog)
        return sum(map(len, found)), list(dict.fromkeys(kept))


def _files_still_there(catalog: Catalog, numbers: Sequence[int]) -> list[str]:
    roots = {root.id: root for root in catalog.roots()}
    found: dict[str, None] = {}
    with suppress(DamagedIndexError):  # a damaged document can be removed too
        for _, document in catalog.documents(numbers):
            if file_is_there(document, roots):
                found[display_path(document, roots) or ""] = None
    return list(found)


def recorded_model(folder: Path, /) -> str | None:
    """Return the model that an index was made with, or None if there is no index yet."""
    first = folders_of(folder)[0]
    if not os.path.isfile(first / NAME):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        return None
    with damage_reported(folder, reading=True), Catalog.reading(first) as catalog:
        manifest = catalog.manifest()
    return manifest.model if manifest else None


def known_sources(folder: Path, /) -> list[Source]:
    """Return the files and folders that were added to an index.

    Raises:
        UsageError: There is no index, or only records were added to it.
    """
    with damage_reported(folder, reading=True), Catalog.reading(folders_of(folder)[0]) as catalog:
        found = sources_of(catalog)
    if not found:
        raise UsageError(
            f"no file or folder was indexed in {folder}", hint=f"name what to index: jnlp index PATH… --index {folder}"
        )
    return found


def repair_index(folder: Path, /, *, upgrade: bool = False) -> RepairReport:
    """Lock a damaged index and keep its intact documents.

    Args:
        folder: The index.
        upgrade: It is one of an earlier format: an error if any document is damaged. A whole one of this format stays
            as it is.

    Raises:
        UsageError: There is no index.
    """
    refuse_missing(folder)
    with locked(folder):
        if read_layout(folder) is not None:
            return _repair_shards(folder, upgrade=upgrade)
        return _repair(folder, upgrade=upgrade)


def _repair(folder: Path, *, upgrade: bool = False) -> RepairReport:
    from jnlp_search.store.repair import repair

    if upgrade:
        with Catalog.reading(folder, formats=(*READ, UPGRADED)) as catalog:
            rewritten = catalog.format == UPGRADED
        if not rewritten:
            return _add_offsets(folder)
    report = repair(folder, whole=upgrade)
    remove_sum(folder)  # one that is damaged too
    write_sum(folder, float("inf"))
    return report


def _add_offsets(folder: Path) -> RepairReport:
    """Keep the offsets of words of all passages; those of an earlier jnlp have none."""
    with Catalog.writing(folder) as catalog:
        catalog.check_seal()
        if catalog.manifest() is not None:
            catalog.add_offsets(words_of(catalog))
        catalog.seal()
        documents = catalog.counts()["documents"]
    write_sum(folder, float("inf"))
    return RepairReport(documents, ())


def _repair_shards(folder: Path, *, upgrade: bool) -> RepairReport:
    """Repair the damaged shards; of one whose catalogue is lost, nothing is kept."""
    from jnlp_search.store.verify import verify

    kept, dropped = 0, list[str]()
    lost: list[Path] = []
    for shard in folders_of(folder):
        try:
            report = _repair(shard, upgrade=upgrade or not verify(shard).problems)
        except DamagedIndexError:
            if upgrade:
                raise
            lost.append(shard)
            continue
        kept, dropped = kept + report.documents, [*dropped, *report.dropped]
    if len(lost) == len(folders_of(folder)):
        raise DamagedIndexError(folder, "no shard can be read")
    for shard in lost:
        _make_empty(shard, next(one for one in folders_of(folder) if one not in lost))
        dropped.append(f"all documents of {shard.name}")
    return RepairReport(kept, tuple(dropped))


def _make_empty(shard: Path, like: Path) -> None:
    """Replace a lost shard by an empty one with the settings of another."""
    shutil.rmtree(shard, ignore_errors=True)
    shard.mkdir(parents=True)
    with Catalog.reading(like) as other:
        manifest = other.manifest()
    with Catalogs.writing([like, shard]) as catalogs:
        if manifest is not None:
            with catalogs.all[1].transaction():
                catalogs.all[1].set_manifest(manifest)
        catalogs.align()
        catalogs.all[1].seal()
    write_sum(shard, float("inf"))
