"""FAISS files of codes: read only if their digest is the one in the catalogue."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp_search.store.entries import Segment

CODES = ".faiss"


def intact(folder: Path, segment: Segment, /) -> bool:
    """Return True if a segment has no codes, or if their file has the recorded digest."""
    if segment.codes is None:
        return True
    try:
        with (folder / segment.codes).open("rb") as file:
            return hashlib.file_digest(file, _blake).hexdigest() == segment.codes_digest
    except (OSError, ValueError, TypeError):  # missing, a folder, or no name at all
        return False


def read_codes(folder: Path, segment: Segment, /, *, memory_share: float = 1.0) -> Any:
    """Read a segment's codes with FAISS; the caller has compared their digest.

    Args:
        folder: The index's folder of segments.
        segment: A segment with codes.
        memory_share: A file over this share of memory is mapped.

    Raises:
        RuntimeError: They cannot be read.
        FileNotFoundError: There is no such file.
    """
    import faiss

    assert segment.codes is not None
    path = folder / segment.codes
    flags = 0
    if path.stat().st_size > memory_share * memory_size():
        flags = faiss.IO_FLAG_MMAP if segment.kind.startswith("IVF") else faiss.IO_FLAG_MMAP_IFC
    try:
        return faiss.read_index(str(path), flags)
    except (TypeError, UnicodeError, NotImplementedError):  # FAISS takes names that are UTF-8 only
        with path.open("rb") as file:
            return faiss.read_index(faiss.PyCallbackIOReader(file.read))  # type: ignore[attr-defined]


def memory_size() -> int:
    """Return the bytes of memory of this machine, or a large number where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 62


def _blake() -> Any:
    return hashlib.blake2b(digest_size=32)
