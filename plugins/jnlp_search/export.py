"""Writes the passages of an index to a file: jsonl, csv, tsv or parquet, a row a passage."""

from __future__ import annotations

from contextlib import ExitStack
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

from jnlp.encoder.vectors import unit
from jnlp.errors import UsageError
from jnlp.strict_json import dumps
from jnlp_search.query.view import hit_of
from jnlp_search.store.catalog import Catalog
from jnlp_search.store.checks import damage_reported
from jnlp_search.store.shards import folders_of
from jnlp_search.store.vectors import open_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jnlp.io import OutputEncoding

FORMATS = ("jsonl", "csv", "tsv", "parquet")
COLUMNS = ("document", "path", "line", "chunk", "headings", "page", "slide", "start", "end", "text", "metadata")
VECTOR = "vector"
_SLICE = 500  # passages in memory


def export(
    folder: Path, out: Path | None, /, *, form: str | None, encoding: OutputEncoding, vectors: bool = False
) -> int:
    """Write every passage of the last commit, in the order of the documents; return their number.

    Args:
        folder: The index. It may be searched and changed meanwhile.
        out: The file; None is standard output.
        form: One of `FORMATS`; None uses the extension of `out`.
        encoding: The codec of text formats.
        vectors: Whether to write the vectors too, float32 of length 1.

    Raises:
        UsageError: There is no index, the format is unknown, or `out` is in the index.
        JnlpError: The index is damaged, or the file cannot be written.
    """
    from jnlp.io import format_of, open_writer

    name = form or format_of(out)
    if name not in FORMATS:
        raise UsageError(f"an index cannot be exported as {name}", hint=f"there are: {', '.join(FORMATS)}")
    if out is not None and out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{out} is in the index itself", hint="write to another folder")
    columns = (*COLUMNS, VECTOR) if vectors else COLUMNS
    number = 0
    with damage_reported(folder, reading=True), ExitStack() as opened:
        catalogs = [opened.enter_context(Catalog.reading(one)) for one in folders_of(folder)]
        for catalog in catalogs:
            opened.enter_context(catalog.snapshot())
        output = opened.enter_context(open_writer(name, out, encoding=encoding, columns=columns))
        rows = merge(*(_rows(catalog, vectors=vectors) for catalog in catalogs), key=itemgetter(0))
        for _, row in rows:
            if name == "parquet":  # the fields of documents have no common type
                row["metadata"] = dumps(row["metadata"])
            output.write(row)
            number += 1
    return number


def _rows(catalog: Catalog, *, vectors: bool) -> Iterator[tuple[tuple[int, int], dict[str, object]]]:
    """Yield a row for each passage of a shard, after the numbers of its document and in it."""
    import numpy as np

    roots = {root.id: root for root in catalog.roots()}
    manifest = catalog.manifest() if vectors else None
    kept = open_all(catalog, manifest.dimension) if manifest else None
    numbers = (row[0] for row in catalog.db.execute("SELECT id FROM chunks ORDER BY document, ordinal"))
    while chunks := list(islice(numbers, _SLICE)):
        passages = catalog.passages(chunks)
        documents = dict(catalog.documents(sorted({passage.document for passage in passages.values()})))
        found = dict(zip(chunks, unit(kept.rows(np.array(chunks, np.int64))), strict=True)) if kept else {}
        for chunk in chunks:
            passage = passages[chunk]
            if passage.document not in documents:
                raise catalog.damaged(f"document {passage.document} is missing")
            hit = hit_of(passage, documents[passage.document], roots)
            row: dict[str, object] = {column: getattr(hit, column) for column in COLUMNS}
            row["headings"] = list(hit.headings)
            place = passages[chunk].document, passages[chunk].ordinal
            yield place, row | {VECTOR: found[chunk]} if vectors else row
