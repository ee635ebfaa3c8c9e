"""The tables of `catalog.sqlite`, and the manifest."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 6
"""The version of the index folder."""

WITHOUT_OFFSETS = 5
"""The version before, without the column `chunks.offsets`: searched as it is; a writer adds the column."""

READ = (FORMAT, WITHOUT_OFFSETS)
"""The versions that are opened; a folder with another is not."""

UPGRADED = 4
"""The version that `jnlp index upgrade` and `repair` read too."""

TOKENIZE = "unicode61 remove_diacritics 0 categories 'L* N* Co M* S* P*'"
"""FTS5's tokenizer of the full text."""

APPLICATION_ID = 0x4A4E4C50
"""JNLP, which marks the SQLite file as an index (`file catalog.sqlite` shows it)."""

# Identifiers are AUTOINCREMENT: never used twice, so that a tombstone or a segment's file name can never mean another.
# `crc` columns: CRC-32 of the row, checked whenever the row is read (`store/checks.py`).
TABLES = f"""
CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE state (                 -- one row; see store/checks.py
    id INTEGER PRIMARY KEY CHECK (id = 1),
    commits INTEGER NOT NULL,        -- counts the commits
    seal INTEGER,                    -- CRC-32 of the small tables without a crc in each row; NULL during a build
    words INTEGER                    -- CRC-32 of the full text; NULL during a build
);
INSERT INTO state VALUES (1, 0, NULL, NULL);

CREATE TABLE roots (                 -- the folders that were indexed
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,       -- absolute, links resolved, no slash at the end; "" is /
    label TEXT NOT NULL              -- as the user wrote it: hits show it
);

CREATE TABLE sources (               -- what was given to index: the whole of a root, or a file or folder below it
    root INTEGER NOT NULL REFERENCES roots,
    path TEXT NOT NULL,              -- below the root; "" is the root itself
    read TEXT NOT NULL,              -- JSON object: how its files are read, where that is not the default
    PRIMARY KEY (root, path)
) WITHOUT ROWID;

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
    words INTEGER NOT NULL,          -- CRC-32 of its words in the full text, which does not keep them
    crc INTEGER NOT NULL,            -- of the columns up to `same`
    offsets BLOB,                    -- of its words in what is shown, after their CRC-32 (offsets.py); or NULL
    UNIQUE (document, ordinal)
);
CREATE INDEX chunks_same ON chunks (same);

CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file TEXT NOT NULL UNIQUE,       -- raw vectors, below segments/: store/raw.py
    digest TEXT NOT NULL,            -- of its chunks and checksums
    count INTEGER NOT NULL,          -- vectors in the file, tombstones included
    first INTEGER NOT NULL,          -- least and greatest chunk in the file
    last INTEGER NOT NULL,
    kind TEXT NOT NULL,              -- flat, or the FAISS factory string of the codes
    codes TEXT,                      -- the file of the codes; NULL if flat
    codes_digest TEXT
);

CREATE TABLE tombstones (            -- deleted chunks that are still in a segment's files
    chunk INTEGER PRIMARY KEY
);

CREATE VIRTUAL TABLE fulltext USING fts5 (  -- rowid = chunk; words joined by spaces, not stored
    words, content = '', tokenize = "{TOKENIZE}"
);
"""

ADD_OFFSETS = f"""
ALTER TABLE chunks ADD COLUMN offsets BLOB;
UPDATE state SET commits = commits + 1;
PRAGMA user_version = {FORMAT};
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
        factory: The kind of the vector index: `auto`, `flat` or a FAISS factory string.
        flat_below, hnsw_below: The sizes at which `auto` changes the kind.
        memory_share: Larger files of codes are mapped, not read.
    """

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
    factory: str
    flat_below: int
    hnsw_below: int
    memory_share: float

    @classmethod
    def of(cls, values: Mapping[str, object], /) -> Manifest:
        """Return the settings in a JSON object, checked by hand: pydantic would add a tenth of a second to a search.

        Raises:
            ValueError: A key is missing, unknown, or its value of another type.
        """
        names = [field.name for field in fields(cls)]
        if unknown := sorted(values.keys() - set(names)):
            raise ValueError(f"{unknown[0]}: there is no such key")
        made: dict[str, Any] = {}
        for field in fields(cls):
            if field.name not in values:
                raise ValueError(f"{field.name}: the key is missing")
            value = values[field.name]
            made[field.name] = float(value) if field.type == "float" and type(value) is int else value
            if type(made[field.name]).__name__ != field.type:
                raise ValueError(f"{field.name}: {value!r:.80} is no {_TYPES[str(field.type)]}")
        return cls(**made)


_TYPES = {"str": "text", "int": "whole number", "float": "number"}

UPGRADED_FIELDS = 10
"""Fields of a manifest of format 4: the first so many."""
