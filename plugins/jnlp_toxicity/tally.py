"""What `jnlp toxicity` says at the end: how much was toxic and why, and the most doubtful records."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING

from jnlp_toxicity.decision import log_odds

if TYPE_CHECKING:
    from jnlp.types import Record
    from jnlp_toxicity.spec import Toxicity, ToxicityOptions

_WIDTH = 60


class Tally:
    """Counts verdicts and reasons, and keeps the records whose scores are nearest to the threshold."""

    def __init__(self, options: ToxicityOptions, /) -> None:
        self._options = options
        self._counts: Counter[str] = Counter()
        self._seen = self._toxic = 0
        self._doubtful: list[tuple[float, int, str]] = []

    def add(self, record: Record, result: Toxicity, /) -> None:
        """Count one result."""
        self._seen += 1
        if result.toxic:
            self._toxic += 1
            self._counts.update({span.reason for span in result.spans})
        if self._options.review:
            doubt = abs(log_odds(result.score) - log_odds(result.threshold))
            text = record.text if isinstance(record.text, str) else " ".join(record.text)
            line = f"{record.id}  {result.score:.3f}  {' '.join(text.split())[:_WIDTH]}"
            heapq.heappush(self._doubtful, (-doubt, -self._seen, line))
            if len(self._doubtful) > self._options.review:
                heapq.heappop(self._doubtful)

    def lines(self) -> list[str]:
        """Return what there is to say; nothing of a single record."""
        if self._seen < 2:
            return []
        reasons = ", ".join(f"{name} {count:,}" for name, count in sorted(self._counts.items(), key=_by_count))
        share = f"{self._toxic:,} of {self._seen:,} toxic ({self._toxic / self._seen:.1%})"
        doubtful = [line for *_, line in sorted(self._doubtful, reverse=True)]
        head = ["most doubtful, to review:"] if doubtful else []
        why = f"; of these texts, with each reason: {reasons}" if reasons else ""
        return [f"{share}{why}", *head, *doubtful]


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
