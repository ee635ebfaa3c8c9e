"""One document on its way into an index: what is known of it, and its passages with offsets in its source."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from jnlp.errors import RecordError
from jnlp.types import Purpose
from jnlp_search.catalog import Document

if TYPE_CHECKING:
    from jnlp.types import Embedder, Record
    from jnlp_search.chunk import Chunker
    from jnlp_search.schema import Manifest

_HTML = frozenset({".html", ".htm", ".xhtml"})
_NO_FILE = frozenset({"arg", "stdin"})


@dataclass(slots=True)
class Draft:
    """A document with its passages.

    Args:
        document: What the catalogue will hold of it.
        spans: Offsets of each passage, as docs/library.md defines them.
        tokens: The length of each.
        texts: What is embedded and analysed.
        passages: What is shown, or None where it is the same.
        known: The vectors by text of the document that this one replaces, or None.
    """

    document: Document
    spans: list[tuple[int, int]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    passages: list[str | None] = field(default_factory=list)
    known: dict[str, bytes] | None = None

    def cut(self, record: Record, chunker: Chunker, embedder: Embedder, manifest: Manifest, /) -> None:
        """Cut the document into passages.

        Text and Markdown show the slice of their file; HTML shows the slice with its markup removed.
        """
        text = _text(record)
        budget = max(8, manifest.chunk_tokens - _overhead(embedder))
        derived = PurePath(record.source.path).suffix.lower() in _HTML
        for chunk in chunker(text, embedder.tokenizer, budget, manifest.overlap):
            span = (chunk.start, chunk.end)
            shown = None
            if record.alignment is not None:
                span = record.alignment.span(*span)
                if record.original is not None and not derived:
                    shown = record.original[slice(*span)]
            self.spans.append(span)
            self.tokens.append(chunk.tokens)
            self.texts.append(text[chunk.start : chunk.end])
            self.passages.append(shown)


def draft(record: Record, /) -> Draft:
    """Return what is known of a document; its passages are cut later, if it changed.

    Raises:
        RecordError: The record is a pair, or its text cannot be written as UTF-8.
    """
    text = _text(record)
    source = record.source
    digest = hashlib.sha256()
    try:
        for part in (text, record.original):
            data = b"" if part is None else part.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
        metadata = json.dumps(dict(record.fields), ensure_ascii=False, default=str)
        metadata.encode()
    except UnicodeEncodeError as error:
        raise RecordError(f"a character is half of one (U+{ord(error.object[error.start]):04X})") from error
    title = record.fields.get("title")
    return Draft(
        Document(
            name=record.id,
            path=None if source.path in _NO_FILE else absolute(source.path),
            line=source.line,
            encoding=source.encoding,
            title=None if title is None else str(title),
            characters=len(text),
            sha256=digest.digest(),
            metadata=metadata,
        )
    )


def unchanged(old: Document, new: Document, /) -> bool:
    """Whether a document needs no reading: its text, and the file that its text came from, are the same."""
    return old.sha256 == new.sha256


def absolute(path: str, /) -> str:
    """Return a path by which a file is known wherever jnlp is called."""
    return os.path.abspath(path)  # noqa: PTH100 - Path.absolute keeps "..", Path.resolve follows links


def _text(record: Record) -> str:
    if isinstance(record.text, tuple):
        raise RecordError("an index takes one text a document, not a pair", hint="leave out --text-pair")
    return record.text


def _overhead(embedder: Embedder) -> int:
    """Return the special tokens of a sequence and those of the prefix before a document."""
    prefix = embedder.prefixes.get(Purpose.DOCUMENT, "")
    return len(embedder.tokenizer.encode([prefix])[0].ids)
