"""The tokens that the full text makes of a text."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING

from jnlp.patterns import deferred
from jnlp_search.store.schema import TOKENIZE

if TYPE_CHECKING:
    import sqlite3

_PLAIN = deferred(r"[0-9a-zぁ-ゖァ-ヺー々一-鿿]+")
_LOCAL = threading.local()  # a database in memory belongs to the thread that made it


@lru_cache(maxsize=1 << 14)
def tokens(text: str, /) -> tuple[str, ...]:
    r"""Return the words that the full text makes of a text: an index word with a soft hyphen, say, is two.

    Example:
        >>> tokens("猫"), tokens("soft\\u00adware")
        (('猫',), ('soft', 'ware'))
    """
    if _PLAIN.fullmatch(text):
        return (text,)
    db = _database()
    db.execute("INSERT INTO words VALUES (?)", (text,))
    try:
        return tuple(row[0] for row in db.execute("SELECT term FROM places ORDER BY offset"))
    finally:
        db.execute("DELETE FROM words")


def _database() -> sqlite3.Connection:
    import sqlite3

    if not hasattr(_LOCAL, "db"):
        _LOCAL.db = sqlite3.connect(":memory:", isolation_level=None)
        _LOCAL.db.execute(f'CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = "{TOKENIZE}")')
        _LOCAL.db.execute("CREATE VIRTUAL TABLE places USING fts5vocab(words, instance)")
    found: sqlite3.Connection = _LOCAL.db
    return found
