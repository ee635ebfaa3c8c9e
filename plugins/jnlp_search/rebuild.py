"""Builds an index again in a separate folder, with as many shards as asked for, and replaces the old one atomically."""

from __future__ import annotations

import dataclasses
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp.io.durable import sync_folder
from jnlp_search.settings import new_manifest, old_manifest, wanted_shards
from jnlp_search.store import replacement
from jnlp_search.store.catalog import SEGMENTS, Catalog
from jnlp_search.store.filesum import remove_sum
from jnlp_search.store.shards import NAME, Layout, read_layout, remove_others, write_layout
from jnlp_search.writing import refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jnlp.types import AddReport, Embedder
    from jnlp_search.options import IndexOptions
    from jnlp_search.store.schema import Manifest


def rebuilt(
    folder: Path,
    embedder: Embedder,
    options: IndexOptions,
    model: str,
    fill: Callable[[Sequence[Path], Manifest], AddReport],
    /,
) -> AddReport:
    """Build a new index next to the old one, or continue a killed build, and put it in the old one's place.

    Args:
        folder: The index; the caller holds its lock.
        embedder: Makes the vectors.
        options: How documents are indexed.
        model: The embedder's name.
        fill: Writes the documents to the shards in some folders.
    """
    refuse_foreign(folder)
    made = new_manifest(embedder, options, model, old_manifest(folder))
    shards, old = wanted_shards(folder, options), read_layout(folder)
    if shards == 1:
        report = fill([replacement.prepare(folder, made)], made)
        remove_sum(folder)  # that of the old catalogue, which may have had as many commits
        replacement.put_in_place(folder)
        (folder / NAME).unlink(missing_ok=True)
        remove_others(folder, None)
    else:
        layout = Layout(shards, old.generation + 1 if old else 1)
        _prepare(folder, layout, made)
        report = fill(layout.folders(folder), made)
        write_layout(folder, layout)
        remove_others(folder, layout)
    # A killed rebuild's documents are part of this one.
    return dataclasses.replace(report, added=report.added + report.unchanged, unchanged=0, removed=0)


def new_shards(folder: Path, shards: int, /) -> Layout:
    """Make the shards of a new index, without documents."""
    layout = Layout(shards)
    _make(folder, layout)
    write_layout(folder, layout)
    return layout


def _prepare(folder: Path, layout: Layout, made: Manifest) -> None:
    """Make the folders of the new shards; those of a killed rebuild with the same settings are continued."""
    if not all(_goes_on(shard, made) for shard in layout.folders(folder)) or layout.folders(folder) != sorted(
        layout.folder(folder).iterdir()
    ):
        shutil.rmtree(layout.folder(folder), ignore_errors=True)
        _make(folder, layout)


def _make(folder: Path, layout: Layout) -> None:
    for shard in layout.folders(folder):
        (shard / SEGMENTS).mkdir(parents=True, exist_ok=True)
        Catalog.writing(shard).close()
    sync_folder(layout.folder(folder))
    sync_folder(folder)


def _goes_on(shard: Path, made: Manifest) -> bool:
    with suppress(JnlpError, OSError), Catalog.reading(shard) as catalog:
        return catalog.manifest() in (made, None)
    return False
