"""Repairs segments before a write: makes codes from raw vectors, and raw vectors from the passages' text."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from jnlp_search.store import raw
from jnlp_search.store.catalog import SEGMENTS
from jnlp_search.store.checks import DamagedIndexError
from jnlp_search.store.codes import intact
from jnlp_search.store.raw import ChangedError, Raw
from jnlp_search.store.segments import merge, remove_unnamed, write, write_rows
from jnlp_search.store.vectors import GoneError, open_raw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jnlp.types import FloatArray, IntArray
    from jnlp_search.store.catalog import Catalog
    from jnlp_search.store.entries import Segment

    Embed = Callable[[Sequence[str]], FloatArray]

CHECKED = 1 << 26
"""Bytes of a file up to which all its rows are checked; those of a larger one are when they are read."""

BATCH = 1_024
"""Passages embedded and committed at once."""


def heal(catalog: Catalog, embed: Embed | None = None, /) -> int:
    """Remove files that the catalogue does not list, and make missing or damaged ones again.

    Args:
        catalog: Open for writing.
        embed: Returns the vectors of passages, `[n, d]` of length 1; None if they cannot be made from passages alone.

    Returns:
        The number of segments made again.

    Raises:
        DamagedIndexError: Raw vectors are missing or were changed, and there is no `embed`.
    """
    folder = catalog.folder / SEGMENTS
    if not folder.is_dir():
        folder.unlink(missing_ok=True)  # a file of that name is not ours
        folder.mkdir()
    remove_unnamed(catalog)
    manifest = catalog.manifest()
    if manifest is None:
        return 0
    lost = {segment.id: why for segment in catalog.segments() if (why := _damage(catalog, segment, manifest.dimension))}
    for why in lost.values():
        if embed is None:
            raise catalog.damaged(why)
    for segment in catalog.segments():
        if segment.id in lost:
            _salvage(catalog, segment, manifest.dimension)
        elif not intact(folder, segment):
            merge(catalog, [segment], segment.kind)
            lost[segment.id] = segment.codes or ""
    _fill(catalog, embed, manifest.dimension)
    return len(lost)


def _damage(catalog: Catalog, segment: Segment, dimension: int) -> str | None:
    """Return what is wrong with a segment's raw vectors, or None."""
    try:
        file = open_raw(catalog.folder, segment, dimension)
    except GoneError:
        return f"{segment.file} is missing"
    except DamagedIndexError as error:
        return error.message.partition(": ")[2]
    if file.rows.nbytes <= CHECKED and len(changed := file.changed()):
        return f"the vector of passage {int(changed[0])} was changed"
    return None


def _salvage(catalog: Catalog, segment: Segment, dimension: int) -> None:
    """Replace a damaged segment by one of its intact rows."""
    import numpy as np

    chunks, rows = np.empty(0, np.int64), np.empty((0, raw.width_of(dimension)), "<f2")
    with suppress(ChangedError, OSError):
        file = Raw.open(catalog.folder / SEGMENTS / segment.file, dimension, None)
        known = np.union1d(catalog.chunk_numbers(), catalog.tombstones())
        whole = ~np.isin(file.chunks, file.changed()) & np.isin(file.chunks, known)
        chunks, first = np.unique(file.chunks[whole], return_index=True)
        rows = file.rows[whole][first]
    with catalog.transaction():
        catalog.db.execute("DELETE FROM segments WHERE id = ?", (segment.id,))
        if len(chunks):
            write_rows(catalog, dimension, chunks, rows)
    remove_unnamed(catalog)


def _fill(catalog: Catalog, embed: Embed | None, dimension: int) -> None:
    """Embed the passages without a vector, and drop the tombstones of lost rows."""
    import numpy as np

    segments, counts = catalog.segments(), catalog.counts()
    if sum(segment.count for segment in segments) == counts["chunks"] + counts["tombstones"]:
        return
    stored = [open_raw(catalog.folder, segment, dimension).chunks for segment in segments]
    there = np.concatenate([np.empty(0, np.int64), *stored])
    missing: IntArray = np.setdiff1d(catalog.chunk_numbers(), there)
    if len(missing) and embed is None:
        raise catalog.damaged(f"the vector of passage {int(missing[0])} is missing")
    with catalog.transaction():
        gone = np.setdiff1d(catalog.tombstones(), there)
        catalog.db.executemany("DELETE FROM tombstones WHERE chunk = ?", ((chunk,) for chunk in gone.tolist()))
    for first in range(0, len(missing), BATCH):
        part = missing[first : first + BATCH]
        texts = catalog.texts_of(part.tolist())
        assert embed is not None
        vectors = embed(texts)
        with catalog.transaction():
            write(catalog, part, vectors)
