"""The tables of `catalog.sqlite`, and the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

FORMAT = 4
"""The version of the index folder; a folder with another is not opened."""

APPLICATION_ID = 0x4A4E4C50
"""JNLP, which marks the SQLite file as an index (`file catalog.sqlite` shows it)."""

# Identifiers are AUTOINCREMENT: never used twice, so that a tombstone or a segment's file name can never mean another.
# `crc` columns: CRC-32 of the row, checked whenever the row is read (`store/checks.py`).
TABLES = """
CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE state (                 -- one row; see store/checks.py
    id INTEGER PRIMARY KEY CHECK (id = 1),
    commits INTEGER NOT NULL,        -- counts the commits
    seal INTEGER                     -- CRC-32 of what a search reads besides rows with a crc; NULL during a build
);
INSERT INTO state VALUES (1, 0, NULL);

CREATE TABLE roots (                 -- the folders that were indexed
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,       -- absolute, links resolved, no slash at the end; "" is /
    label TEXT NOT NULL              -- as the user wrote it: hits show it
);

CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root INTEGER NOT NULL,           -- 0 for a document without a file
    path TEXT NOT NULL,              -- its file, relative to the root
    key TEXT NOT NULL,               -- which document of the file: "" the whole, ":7" its row 7, or the row's id
    named INTEGER NOT NULL,          -- 1 where the key is an id of the user's
    line INTEGER,
    encoding TEXT,
    title TEXT,
    characters INTEGER NOT NULL,
    chunks INTEGER NOT NULL,         -- how many it was cut into
    sha256 BLOB NOT NULL,            -- of what is indexed: a document with the same digest is not read again
    metadata TEXT NOT NULL,          -- JSON object: the record's fields
    crc INTEGER NOT NULL,
    UNIQUE (root, path, key)
);
CREATE INDEX documents_key ON documents (key);

CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,        -- from 0 in its document
    start INTEGER NOT NULL,          -- offsets as docs/library.md defines them
    stop INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    text TEXT NOT NULL,              -- what was embedded and analysed
    passage TEXT,                    -- what is shown, where that differs
    place TEXT,                      -- JSON object: headings, page, slide, line; NULL where none is known
    same BLOB NOT NULL,              -- digest of what is shown: equal passages have the same
    crc INTEGER NOT NULL,
    UNIQUE (document, ordinal)
);
CREATE INDEX chunks_same ON chunks (same);

CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file TEXT NOT NULL UNIQUE,       -- below segments/
    kind TEXT NOT NULL,              -- flat
    sha256 TEXT NOT NULL,
    count INTEGER NOT NULL,          -- vectors in the file, tombstones included
    first INTEGER NOT NULL,          -- least and greatest chunk in the file
    last INTEGER NOT NULL
);

CREATE TABLE vectors (               -- segments are made from these
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
    segment INTEGER NOT NULL REFERENCES segments,
    vector BLOB NOT NULL,            -- little-endian float32 of length 1
    crc INTEGER NOT NULL
);
CREATE INDEX vectors_segment ON vectors (segment);

CREATE TABLE tombstones (            -- deleted chunks that are still in a segment's file
    chunk INTEGER PRIMARY KEY,
    segment INTEGER NOT NULL REFERENCES segments ON DELETE CASCADE
);
CREATE INDEX tombstones_segment ON tombstones (segment);

CREATE VIRTUAL TABLE fulltext USING fts5 (  -- rowid = chunk; words joined by spaces
    words, tokenize = "unicode61 remove_diacritics 0 categories 'L* N* Co M* S* P*'"
);
"""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The settings of an index. Searches and updates must use the same, or vectors would not be comparable.

    Args:
        model: The embedding model's name, folder or hub id.
        fingerprint: The digest of its weights, tokenizer, prefixes, pooling and normaliser.
        dimension: The dimension of its vectors.
        chunker: The chunker's name.
        chunk_tokens: Maximum tokens of a passage, including the prefix.
        overlap: Maximum tokens that adjacent passages share.
        pooling: `passage` or `late`: what the vector of a passage is made from.
        analyser: The full-text analyser's name.
        analyser_version: Its rules and dictionary.
        jnlp: The version that made the index.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True}

    model: str
    fingerprint: str
    dimension: int
    chunker: str
    chunk_tokens: int
    overlap: int
    pooling: str
    analyser: str
    analyser_version: str
    jnlp: str
