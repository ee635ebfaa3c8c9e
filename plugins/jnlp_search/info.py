"""What an index holds, how it was made, and how large its parts are."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

from jnlp.types import IndexInfo
from jnlp_search.compact import bytes_of
from jnlp_search.roots import escape_path
from jnlp_search.store.catalog import SEGMENTS, Catalog
from jnlp_search.store.checks import damage_reported
from jnlp_search.store.shards import folders_of, read_layout

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp_search.store.entries import Segment

_BYTES = "SELECT coalesce(sum(length(CAST(text AS BLOB))), 0), coalesce(sum(length(text)), 0) FROM chunks"


def info(folder: Path, /) -> IndexInfo:
    """Return what the index in a folder holds.

    Raises:
        UsageError: There is no index.
        JnlpError: It is damaged.
    """
    layout = read_layout(folder)
    documents, chunks, characters, text = 0, 0, 0, 0
    vectors = 0
    main: Segment | None = None
    with damage_reported(folder, reading=True), ExitStack() as opened:
        catalogs = [opened.enter_context(Catalog.reading(one)) for one in folders_of(folder)]
        for catalog in catalogs:
            opened.enter_context(catalog.snapshot())
            counts, own = catalog.counts(), sum(document.characters for _, document in catalog.documents())
            passages = catalog.db.execute(_BYTES).fetchone()
            documents, chunks, characters = documents + counts["documents"], chunks + counts["chunks"], characters + own
            text += round(own * passages[0] / passages[1]) if passages[1] else 0
            vectors += bytes_of(catalog.folder / SEGMENTS)
            some = [*catalog.segments(), *([main] if main else [])]
            main = max(some, key=lambda segment: (segment.codes is not None, segment.count), default=None)
        manifest, roots = catalogs[0].manifest(), catalogs[0].roots()
        whole = bytes_of(folder)
        made_with = asdict(manifest) if manifest else {}
        return IndexInfo(
            path=escape_path(str(folder)),
            documents=documents,
            chunks=chunks,
            characters=characters,
            bytes=whole,
            roots=tuple(root.path or "/" for root in roots),
            made_with=made_with | ({"shards": layout.shards} if layout else {}),
            kind=main.kind if main else "flat",
            vector_bytes=round(vectors / chunks, 1) if chunks else 0.0,
            text_bytes=text,
            text_share=round(whole / text, 2) if text else 0.0,
        )
