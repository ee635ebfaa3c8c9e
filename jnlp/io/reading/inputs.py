"""Inputs, and the count of skipped files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp.errors import RecordError
from jnlp.io.reading.streams import COMPRESSED, borrow, open_bytes
from jnlp.patterns import deferred
from jnlp.types import Failed, Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

_KIND = deferred(r"\.([a-z0-9_+-]{1,10})")
_MOST_KINDS = 8  # named; the rest is counted together


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to read.

    Args:
        name: Its name in messages and ids: the path as given, or `stdin`.
        path: The file; None for standard input.
        extension: The extension that selects the reader, lower case, without `.gz` and the like.
        named: False for a file that was found in a folder.
        stream: A stream to read instead of the file.

    Example:
        >>> from pathlib import Path
        >>> Input("文書/規程.txt", Path("文書/規程.txt"), ".txt").named
        True
    """

    name: str
    path: Path | None = None
    extension: str = ""
    named: bool = True
    stream: BinaryIO | None = None

    def open(self) -> BinaryIO:
        """Return a stream of the bytes, decompressed if the name ends in .gz, .xz or .bz2; the caller closes it.

        Raises:
            OSError: The file cannot be opened.

        Example:
            >>> from pathlib import Path
            >>> with Input("文書/規程.txt", Path("文書/規程.txt")).open() as file:
            ...     file.read(9).decode()
            '第一条'
        """
        if self.stream is not None:
            return borrow(self.stream)
        if self.path is None:
            raise ValueError("an input is a path or a stream")
        return open_bytes(self.path)

    def failed(
        self,
        reason: str,
        *,
        line: int | None = None,
        encoding: str | None = None,
        id: str | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> Failed:
        """Return the failure of this input, or of one of its lines, with the columns that could be read.

        Args:
            reason: The reason.
            line: The line or row.
            encoding: The codec used.
            id: The id of the row; None uses the place in the file.
            fields: The other columns.

        Example:
            >>> from pathlib import Path
            >>> Input("感想.csv", Path("感想.csv")).failed("the row has no text", line=3).id
            '感想.csv:3'
        """
        where = self.name if line is None else f"{self.name}:{line}"
        error = RecordError(f"{where}: {reason}")
        return Failed(where if id is None else id, Source(self.name, line, encoding), error, fields or {})


class PassedOver:
    """Counts files that give no record: their kind has no reader, they are ignored, or they have no text.

    Example:
        >>> from pathlib import Path
        >>> passed_over = PassedOver()
        >>> passed_over.add(Path("報告.doc"))
        >>> str(passed_over)
        '1 file passed over: 1 doc'
    """

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.ignored = 0  # files and folders that .gitignore and .ignore name
        self.empty = 0  # files that have no text

    def add(self, path: Path, /) -> None:
        """Count a file by its extension.

        Example:
            >>> from pathlib import Path
            >>> passed_over = PassedOver()
            >>> passed_over.add(Path("報告.doc"))
            >>> len(passed_over)
            1
        """
        # An ending is short and plain; else the dot is a part of the name, as in `v1.2 の 議事録`.
        kind = _KIND.fullmatch(extension_of(path))
        self.kinds[kind[1] if kind else "without an extension"] += 1

    def __len__(self) -> int:
        return self.kinds.total()

    def __bool__(self) -> bool:
        return bool(self.kinds or self.ignored or self.empty)

    def __str__(self) -> str:
        ignored = f"{self.ignored:,} ignored by .gitignore or .ignore (--no-ignore reads them)" if self.ignored else ""
        empty = f"{self.empty:,} {'file' if self.empty == 1 else 'files'} without text" if self.empty else ""
        return "; ".join(filter(None, [self._kinds() if self.kinds else "", empty, ignored]))

    def _kinds(self) -> str:
        ranked = sorted(self.kinds.items(), key=lambda kind: (-kind[1], kind[0]))
        shown = [f"{count:,} {kind}" for kind, count in ranked[:_MOST_KINDS]]
        if more := sum(count for _, count in ranked[_MOST_KINDS:]):
            shown.append(f"{more:,} of other kinds")
        return f"{len(self):,} {'file' if len(self) == 1 else 'files'} passed over: {', '.join(shown)}"


def extension_of(path: Path) -> str:
    """Return the extension that selects the reader, lower case: `.jsonl` for `a.JSONL.xz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if len(suffixes) > 1 and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""
