"""What `jnlp pii` shows: the rows of its table, and the counts at the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from jnlp_pii.spec import RewrittenPii

if TYPE_CHECKING:
    from jnlp.types import Record, Text
    from jnlp_pii.spec import Pii, PiiOptions


def rows(text: Text, result: Pii | RewrittenPii, /) -> list[dict[str, str]]:
    """Return a table row for each span; of a rewritten text one row."""
    if isinstance(result, RewrittenPii):
        found = Counter(span.category for span in result.spans)
        return [{"text": result.text, "found": ", ".join(f"{name} {count}" for name, count in found.items())}]
    plain = text if isinstance(text, str) else "\n".join(text)
    if not result.spans:
        return [{"category": "–", "found": "", "where": "", "in": _around(plain, 0, 0)}]
    return [
        {
            "category": span.category,
            "found": span.text,
            "where": f"{span.start}–{span.end}",
            "in": _around(plain, span.start, span.end),
        }
        for span in result.spans
    ]


def _around(text: str, start: int, end: int) -> str:
    low, high = max(0, start - 12), min(len(text), end + 12)
    head, tail = "…" if low else "", "…" if high < len(text) else ""
    return f"{head}{' '.join(text[low:high].split())}{tail}"


class Tally:
    """Counts texts with personal data, and values by category."""

    def __init__(self, _: PiiOptions, /) -> None:
        self._texts = self._with = 0
        self._values: Counter[str] = Counter()

    def add(self, _: Record, result: Pii | RewrittenPii, /) -> None:
        """Count one result."""
        self._texts += 1
        self._with += bool(result.spans)
        self._values.update(span.category for span in result.spans)

    def lines(self) -> list[str]:
        """Return what there is to say; nothing of a single record."""
        if self._texts < 2:
            return []
        values = ", ".join(f"{name} {count:,}" for name, count in self._values.most_common())
        head = f"{self._with:,} of {self._texts:,} texts have personal data"
        return [f"{head}; values found: {values}" if values else head]
