"""A document to be indexed: its catalogue entry, and its passages with offsets in the source."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from jnlp.errors import RecordError
from jnlp.strict_json import dumps
from jnlp.surrogates import lone_surrogate
from jnlp.types import Purpose
from jnlp_search.outline import Outline, outline_of
from jnlp_search.store.entries import PATH, Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jnlp.types import Chunk, Chunker, Embedder, FloatArray, Mark, Record
    from jnlp_search.outline import Spot
    from jnlp_search.passages import Passages
    from jnlp_search.roots import Roots
    from jnlp_search.store.schema import Manifest

_HTML = frozenset({".html", ".htm", ".xhtml"})


@dataclass(slots=True)
class Draft:
    """A document with its passages.

    Args:
        document: Its catalogue entry.
        spans: Offsets of each passage, as docs/library.md defines them.
        tokens: The length of each.
        texts: The texts to embed and analyse.
        passages: The texts to display, or None if they are the same.
        spots: The place of each passage in its document.
        whole: The document's text, and the offsets of each passage in it.
        replaces: The number of the document that this one replaces, or None.
        known: The vectors of that document, by text.
        made: What a worker made of the passages, or None: it is made here.
    """

    document: Document
    spans: list[tuple[int, int]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    passages: list[str | None] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    whole: tuple[str, list[tuple[int, int]]] = ("", [])
    replaces: int | None = None
    known: dict[str, FloatArray] = field(default_factory=dict)
    made: Passages | None = None

    def cut(self, record: Record, chunks: Iterable[Chunk], manifest: Manifest, /) -> None:
        """Take over the passages that the document was cut into.

        Text and Markdown show the slice of their file; HTML shows the slice with its markup removed.

        Raises:
            RecordError: The chunker gave a passage that is not in the text.
        """
        text = text_of(record)
        derived = PurePath(record.source.path).suffix.lower() in _HTML
        self.whole = (text, [])
        outline = Outline(text, outline_of(record), _file(record, derived=derived))
        for chunk in chunks:
            if not 0 <= chunk.start < chunk.end <= len(text):
                raise RecordError(
                    f"{record.id}: chunker '{manifest.chunker}' gave the passage {chunk.start}–{chunk.end} "
                    f"of a text of {len(text)} characters"
                )
            span = (chunk.start, chunk.end)
            shown = None
            if record.alignment is not None:
                span = record.alignment.span(*span)
                if record.original is not None and not derived:
                    shown = record.original[slice(*span)]
                    shown = None if shown == text[chunk.start : chunk.end] else shown
            self.spans.append(span)
            self.spots.append(outline.spot(chunk.start, chunk.end, span[0]))
            self.tokens.append(chunk.tokens)
            self.texts.append(text[chunk.start : chunk.end])
            self.whole[1].append((chunk.start, chunk.end))
            self.passages.append(shown)
        self.document = replace(self.document, chunks=len(self.texts))


def chunks_of(
    text: str, marks: Sequence[Mark], chunker: Chunker, embedder: Embedder, tokens: int, overlap: int, /
) -> list[Chunk]:
    """Return the passages that a text is cut into.

    Args:
        text: The document.
        marks: Its outline.
        chunker: Cuts it.
        embedder: Counts tokens, and those that it adds to a passage.
        tokens: At most so many in a passage.
        overlap: So many shared by neighbours.
    """
    budget = max(8, tokens - _overhead(embedder))
    return list(chunker(text, embedder.tokenizer, budget, overlap, tuple(marks)))


def draft(record: Record, roots: Roots, /) -> Draft:
    """Return what is known of a document; its passages are cut later, if it changed.

    Raises:
        RecordError: The record is a pair, or its text cannot be written as UTF-8.
    """
    text = text_of(record)
    digest = hashlib.sha256()
    fields = dict(record.fields)
    if fields.get(PATH) == record.source.path:
        fields[PATH] = None  # a hit shows it as the root is spelled
    metadata = dumps(fields, default=str)
    if (half := lone_surrogate([text, record.original, metadata, record.id])) is not None:
        raise RecordError(f"a character is half of one ({half})")
    outline = dumps([[mark.start, mark.kind, mark.level, mark.title, mark.number] for mark in record.outline])
    for part in (text, record.original, outline):
        data = b"" if part is None else part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    (root, path, key), named = roots.identify(record)
    title = record.fields.get("title")
    return Draft(
        Document(
            root=root,
            path=path,
            key=key,
            named=named,
            line=record.source.line,
            encoding=record.source.encoding,
            title=None if title is None else str(title),
            characters=len(text),
            chunks=0,
            sha256=digest.digest(),
            metadata=metadata,
        )
    )


def same_passage(text: str, /) -> bytes:
    """Return a digest that equal passages share; white space is ignored."""
    return hashlib.blake2b(" ".join(text.split()).encode(), digest_size=8).digest()


def text_of(record: Record, /) -> str:
    """Return the text of a document.

    Raises:
        RecordError: The record is a pair.
    """
    if isinstance(record.text, tuple):
        raise RecordError("an index takes one text a document, not a pair", hint="leave out --text-pair")
    return record.text


def _file(record: Record, *, derived: bool) -> str | None:
    """Return the text of the file that a document is, where it has lines that a person can go to."""
    if record.source.line is not None or record.source.encoding is None:
        return None
    return record.original if derived or record.original is not None else record.text  # type: ignore[return-value]


def _overhead(embedder: Embedder) -> int:
    """Return the special tokens of a sequence and those of the prefix before a document."""
    prefix = embedder.prefixes.get(Purpose.DOCUMENT, "")
    return len(embedder.tokenizer.encode([prefix])[0].ids)
