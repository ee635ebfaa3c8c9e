"""What a page shows, as its address says: the query, the filters, the place in the results."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Mapping

PER_PAGE: Final = 10
LONGEST: Final = 2000
_DATE = deferred(r"\d{4}-\d{2}-\d{2}")
_KIND = deferred(r"\w{1,20}")


@dataclass(frozen=True, slots=True)
class State:
    """The state of the search page; every part of it is in the address, so that it can be shared.

    Args:
        query: What is searched for.
        index: An index by name; empty: all.
        kind: The kind of documents; empty: all.
        folder: Documents below this folder; empty: all.
        since: Documents changed since this day, `2026-01-31`; empty: all.
        offset: The first hit, from 0.
        language: `ja` or `en`.
    """

    query: str = ""
    index: str = ""
    kind: str = ""
    folder: str = ""
    since: str = ""
    offset: int = 0
    language: str = "ja"

    @classmethod
    def read(cls, values: Mapping[str, str], language: str, /) -> State:
        """Return the state of an address; values that make no sense are left out.

        Example:
            >>> State.read({"q": "休暇", "kind": "pdf", "since": "昨日", "offset": "x"}, "ja")
            State(query='休暇', index='', kind='pdf', folder='', since='', offset=0, language='ja')
        """
        offset = values.get("offset", "0")
        kind, since = values.get("kind", ""), values.get("since", "")
        return cls(
            values.get("q", "")[:LONGEST].strip(),
            values.get("index", "")[:200],
            kind if _KIND.fullmatch(kind) else "",
            values.get("folder", "")[:500],
            since if _DATE.fullmatch(since) else "",
            min(int(offset), 10_000) if offset.isascii() and offset.isdigit() and len(offset) < 6 else 0,
            language,
        )

    def where(self) -> str | None:
        """Return the filters as a condition of `jnlp search --where`; None without any.

        Example:
            >>> State(kind="pdf", folder="規程/人事").where()
            "kind = 'pdf' and path like '規程/人事/%'"
        """
        parts = []
        if self.kind:
            parts.append(f"kind = {_quoted(self.kind)}")
        if self.folder:
            plain = re.sub(r"([\\%_])", r"\\\1", self.folder)
            parts.append(f"path like {_quoted(plain + '/%')}")
        if self.since:
            parts.append(f"mtime >= {self.since}")
        return " and ".join(parts) or None

    def address(self, **changes: Any) -> str:
        """Return the address of this state with some changes; without a new offset it begins at the first hit."""
        new = replace(self, **({"offset": 0} | changes))
        names = {
            "query": "q",
            "index": "index",
            "kind": "kind",
            "folder": "folder",
            "since": "since",
            "offset": "offset",
        }
        values = {name: getattr(new, field) for field, name in names.items() if getattr(new, field)}
        if "language" in changes:
            values["lang"] = new.language
        return "/?" + urlencode(values) if values else "/"

    @property
    def filtered(self) -> bool:
        """True if there is a filter."""
        return bool(self.index or self.kind or self.folder or self.since)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
