"""Indexes of another format: the error, with the command that makes the index again."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp_search.store.schema import FORMAT, UPGRADED

if TYPE_CHECKING:
    from pathlib import Path

_MOST = 5
"""A command names up to so many folders."""

_SOURCES = """
    SELECT roots.path, label, min(documents.path), max(documents.path)
    FROM roots JOIN documents ON root = roots.id GROUP BY roots.id ORDER BY roots.id
"""


def other_format(folder: Path, version: int, db: sqlite3.Connection, /) -> JnlpError:
    """Return the error for an index whose format this jnlp does not read.

    Args:
        folder: The index.
        version: Its format.
        db: Its catalogue.
    """
    sources, model = " ".join(_sources(db)) or "PATH…", _model(db)
    again = (
        f"jnlp index {sources} --index {_quoted(str(folder))}{f' --model {_quoted(model)}' if model else ''} --rebuild"
    )
    hint = f"make it again: {again}"
    if version == UPGRADED:
        hint = f"jnlp index upgrade {_quoted(str(folder))} rewrites it; nothing is embedded again"
    if version > FORMAT:
        hint = f"a newer jnlp made it: pip install --upgrade jnlp; or {hint}"
    return JnlpError(f"{folder} has index format {version}, this jnlp reads {FORMAT}", hint=hint)


def _sources(db: sqlite3.Connection) -> list[str]:
    """Return what was indexed, as far as the catalogue tells in a form that is known: folders, or a file alone."""
    found: list[str] = []
    with suppress(sqlite3.Error, UnicodeError, TypeError):
        for root, label, first, last in db.execute(_SOURCES):
            top = label if os.path.realpath(label) == (root or "/") else root or "/"
            found.append(_quoted(f"{top.rstrip('/')}/{first}" if first == last else top))
    return found if len(found) <= _MOST else []


def _model(db: sqlite3.Connection) -> str | None:
    with suppress(sqlite3.Error, ValueError, TypeError):
        row = db.execute("SELECT value FROM manifest WHERE key = 'model'").fetchone()
        model = json.loads(row[0]) if row else None
        return model if isinstance(model, str) else None
    return None


def _quoted(text: str) -> str:
    """Return a word for a shell; Japanese needs no quotes."""
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) and not text.startswith("-") else shlex.quote(text)
