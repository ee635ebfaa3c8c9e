"""`KeptIndex`: what `Index` offers to look after an index on the disk: its size, damage, space and passages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import UsageError

if TYPE_CHECKING:
    from jnlp.types import CompactReport, IndexInfo, RepairReport, Verification


class KeptIndex:
    """An index in a folder, without its documents and models.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | Path, /) -> None:
        self.path = Path(path)

    def close(self) -> None:
        """Release the files; a later call opens them again.

        Example:
            >>> index.close()
        """

    def info(self) -> IndexInfo:
        """Return what the index holds and how it was made.

        Example:
            >>> info = index.info()
            >>> info.documents, info.made_with["model"]
            (1, 'tiny-search')
        """
        from jnlp_search.info import info

        return info(self.path)

    def verify(self) -> Verification:
        """Check the catalogue, every row, the full text and the segment files, without changing anything.

        Example:
            >>> index.verify().problems
            ()
        """
        from jnlp_search.store.verify import verify_all

        return verify_all(self.path)

    def repair(self) -> RepairReport:
        """Keep the intact documents, rebuild full text and segments, and drop the other documents.

        Raises:
            JnlpError: The catalogue cannot be opened: nothing can be kept.

        Example:
            >>> index.repair().dropped
            ()
        """
        from jnlp_search.build import repair_index

        self.close()
        return repair_index(self.path)

    def upgrade(self) -> RepairReport:
        """Bring an index of an earlier format up to this one; nothing is read or embedded again, and nothing lost.

        Raises:
            UsageError: There is no index.
            JnlpError: Its format is under 4, or a document is damaged: `repair` upgrades the others.

        Example:
            >>> index.upgrade().dropped
            ()
        """
        from jnlp_search.build import repair_index

        self.close()
        return repair_index(self.path, upgrade=True)

    def compact(self) -> CompactReport:
        """Make the index smaller: remove what deleted documents left behind. Answers stay the same.

        Raises:
            JnlpError: Another process is writing, the index is damaged, or the disk is full.

        Example:
            >>> index.compact().tombstones
            0
        """
        from jnlp_search.compact import compact

        return compact(self.path)

    def export(
        self, out: str | Path, /, *, format: str | None = None, encoding: str = "utf-8", vectors: bool = False
    ) -> int:
        """Write every passage with its place and metadata to a file, and return their number.

        Memory does not grow with the index. Rows have the fields of a `Hit` that tell of the passage, from `document`
        to `metadata`; metadata is JSON text in csv, tsv and parquet.

        Args:
            out: The file to write; it appears when it is complete.
            format: jsonl, csv, tsv or parquet; None uses the extension of `out`.
            encoding: The codec of text formats: utf-8, utf-8-sig or cp932.
            vectors: Whether to write the column `vector` too, float32 of length 1.

        Raises:
            UsageError: There is no index, or the format or encoding is unknown.
            JnlpError: The index is damaged, or the file cannot be written.

        Example:
            >>> index.export("passages.jsonl")
            1
        """
        from jnlp.io import OutputEncoding
        from jnlp_search.export import export

        known = [codec.value for codec in OutputEncoding]
        if encoding not in known:
            raise UsageError(f"no encoding of output is called '{encoding}'", hint=f"there are: {', '.join(known)}")
        return export(self.path, Path(out), form=format, encoding=OutputEncoding(encoding), vectors=vectors)
