"""Records in chunks: bounded, and handed on early where the input has nothing more at the moment."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jnlp.errors import JnlpError
from jnlp.types import Failed, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK_RECORDS = 512
GPU_CHUNK_RECORDS = 8192
"""Where a GPU computes: its batches hold far more, and a chunk should hold a few of them."""
CHUNK_CHARACTERS = 1 << 20
FIRST = 32
"""Records of the first chunk; the later ones grow, so that first answers come soon."""
PATIENCE = 0.05
"""Seconds without a record after which those at hand are worked on."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records that are worked on together.

    Args:
        records: The records, and those that could not be read, in order.
        urgent: True if the input has nothing more at the moment: the answers to these and to all before them are
            wanted before more is read. There may be no records then.
    """

    records: list[Record | Failed]
    urgent: bool = False

    @property
    def work(self) -> list[Record]:
        """The records that were read."""
        return [record for record in self.records if isinstance(record, Record)]


@runtime_checkable
class Polled(Protocol):
    """Records that say whether one is at hand: `jnlp.executors.prefetch.Prefetcher`."""

    def ready(self, seconds: float, /) -> bool:
        """Wait for a record or the end, for `seconds` at most; return True if `next` would not block."""
        ...


def chunks(
    records: Iterable[Record | Failed],
    /,
    *,
    width: int = 1,
    most: int = CHUNK_RECORDS,
    characters: int = CHUNK_CHARACTERS,
) -> Iterator[Chunk]:
    """Group records into chunks bounded in records and characters.

    If `records` is `Polled` and has nothing more for `PATIENCE` seconds, a chunk is passed on before it is full, marked
    `urgent`. Any other iterable is read here, in the caller's thread, and cannot be polled. Then a chunk is urgent if
    its last record took that long.

    Args:
        records: The records.
        width: How many work on chunks at once: so many chunks of a size come before larger ones.
        most: Records in a chunk, at most.
        characters: And characters, but for one record that has more.

    Raises:
        JnlpError: What `records` raises, after a chunk of what was read before it.
    """
    polled = records if isinstance(records, Polled) else None
    chunk: list[Record | Failed] = []
    held, made, owing = 0, 0, False  # owing: results may be pending that were not requested yet
    broken: JnlpError | None = None
    source = iter(records)
    while True:
        if polled is not None and (chunk or owing) and not polled.ready(PATIENCE):
            yield Chunk(chunk, urgent=True)
            chunk, held, owing = [], 0, False
        start = time.monotonic()
        try:
            record = next(source)
        except StopIteration:
            break
        except JnlpError as error:
            broken = error
            break
        chunk.append(record)
        held += weight(record)
        full = len(chunk) >= _limit(made, width, most) or held >= characters
        slow = polled is None and time.monotonic() - start > PATIENCE
        if full or slow:
            yield Chunk(chunk, urgent=slow)
            made += full
            chunk, held, owing = [], 0, not slow
    if chunk:
        yield Chunk(chunk)
    if broken is not None:
        raise broken


def _limit(made: int, width: int, most: int) -> int:
    doubled = min(made // width, 16)
    return min(FIRST << doubled, most)


def weight(record: Record | Failed, /) -> int:
    """Return the characters of a record."""
    if isinstance(record, Failed):
        return 0
    return len(record.text) if isinstance(record.text, str) else sum(map(len, record.text))
