"""Where the time of indexing goes: reading, tokenising, encoding, analysing, writing.

    python -m tests.benchmarks.search_phases [MODEL] [CHARACTERS]

MODEL is a name that jnlp knows, a folder, or `30m`: random weights of that shape.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHARACTERS = 150_000
PHASES = ("reading", "tokenising", "encoding", "analysing", "writing")


class Clock:
    """Adds up the time of phases, each without those within it."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._open: list[str] = []
        self._at = time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of a block for a phase."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._at
        self._at = now

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose time counts for a phase."""

        def timed(*given: Any, **named: Any) -> Any:
            with self.phase(name):
                return function(*given, **named)

        return timed

    def items(self, name: str, items: Iterator[Any]) -> Iterator[Any]:
        """Yield items; the time to make each counts for a phase."""
        while True:
            with self.phase(name):
                item = next(items, self)
            if item is self:
                return
            yield item


def main() -> None:
    """Index sentences in files, and print the seconds of each phase as JSON."""
    import jnlp
    from jnlp_search import Index, builder
    from tests.benchmarks import models
    from tests.benchmarks.search_data import sentences

    name = sys.argv[1] if len(sys.argv) > 1 else "tiny-search"
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else CHARACTERS
    model = str(models.folder(name)) if name in ("30m", "130m") else name
    engine, clock = jnlp.load(), Clock()
    embedder = engine.models().embedder(model)
    embedder.embed(["猫"])
    builder.index_words(builder.analyser("sudachi"), "猫")
    with TemporaryDirectory() as folder:
        total = _write(Path(folder) / "docs", sentences(), wanted)
        _watch(clock)
        with Index.open(Path(folder) / "i", engine, model=model) as index, clock.phase("writing"):
            report = index.add(Path(folder) / "docs")
    print(json.dumps({"model": name, "characters": total, "passages": report.chunks, "seconds": clock.seconds}))


def _write(folder: Path, pool: list[str], wanted: int) -> int:
    """Write files of 5,000 characters, and return how many characters there are."""
    folder.mkdir()
    total, number, text = 0, 0, ""
    for sentence in pool:
        text += sentence + ("\n\n" if len(text) % 7 == 0 else "")
        if len(text) > 5_000:
            (folder / f"{number:05}.txt").write_text(text, encoding="utf-8")
            total, number, text = total + len(text), number + 1, ""
        if total >= wanted:
            break
    return total


def _watch(clock: Clock) -> None:
    """Count the time of each phase."""
    from jnlp_search import builder, given

    builder.index_words = clock.around("analysing", builder.index_words)
    builder.embed_passages = clock.around("encoding", builder.embed_passages)
    builder.chunks_of = clock.around("tokenising", builder.chunks_of)
    read = given.records_of

    def records_of(*asked: Any, **named: Any) -> Any:
        records, paths = read(*asked, **named)
        return clock.items("reading", records), paths

    given.records_of = records_of


if __name__ == "__main__":
    main()
