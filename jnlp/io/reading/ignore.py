"""Selects files of a folder by `--include`, `--exclude`, `.gitignore` and `.ignore` files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import UsageError
from jnlp.io.reading.names import composed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pathspec import GitIgnoreSpec

NAMES = (".ignore", ".gitignore")
"""Files of ignore patterns, in order of precedence."""

_LARGEST = 1 << 20  # bytes of such a file


@dataclass(frozen=True, slots=True)
class Rules:
    """The patterns of one file for the files below its folder; `above` are the rules of the folders above."""

    folder: str
    patterns: GitIgnoreSpec
    above: Rules | None = None

    def ignores(self, path: str, /) -> bool:
        """Return True if a file (or a folder, with a final slash) is ignored; the nearest matching rule decides."""
        rules: Rules | None = self
        while rules is not None:
            said = rules.patterns.check_file(composed(path[len(rules.folder) + 1 :])).include
            if said is not None:
                return said
            rules = rules.above
        return False


def rules_above(folder: Path, /) -> Rules | None:
    """Return the rules for a folder from the folders above it, up to the root of its Git repository."""
    above: list[Path] = []
    for parent in Path(os.path.abspath(folder)).parents if not (folder / ".git").exists() else ():  # noqa: PTH100 - links stay
        above.append(parent)
        if (parent / ".git").exists():
            break
    else:
        return None
    rules: Rules | None = None
    for parent in reversed(above):
        rules = rules_in(parent.as_posix(), rules)
    return rules


def rules_in(folder: str, above: Rules | None, /) -> Rules | None:
    """Return the rules for a folder: those of its own files, then those above."""
    for name in reversed(NAMES):
        if lines := _lines(Path(folder) / name):
            above = Rules(folder.rstrip("/"), _compile(lines), above)
    return above


def _lines(path: Path) -> list[str]:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return []
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return []
    return [line for line in composed(text).splitlines() if line.strip() and not line.startswith("#")]


def _compile(lines: Iterable[str]) -> GitIgnoreSpec:
    """Compile patterns; one that Git too would not understand matches nothing."""
    from pathspec import GitIgnoreSpec

    usable = []
    for line in lines:
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            continue
        usable.append(line)
    return GitIgnoreSpec.from_lines(usable)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The patterns of `--include` and `--exclude`."""

    include: GitIgnoreSpec | None
    exclude: GitIgnoreSpec | None

    @classmethod
    def of(cls, include: Sequence[str], exclude: Sequence[str], /) -> Chosen:
        """Compile the patterns.

        Raises:
            UsageError: A pattern is invalid.
        """
        return cls(_compile_option(include, "--include"), _compile_option(exclude, "--exclude"))

    def takes(self, *names: str) -> bool:
        """Return True if a file is read, by any of its names: its printed path, or relative to the given folder."""
        shown = [composed(name.removeprefix("./")) for name in names]
        if self.exclude is not None and any(map(self.exclude.match_file, shown)):
            return False
        return self.include is None or any(map(self.include.match_file, shown))

    def skips(self, *names: str) -> bool:
        """Return True if everything below a folder is excluded."""
        return self.exclude is not None and any(
            self.exclude.match_file(composed(f"{name.removeprefix('./')}/")) for name in names
        )


def _compile_option(patterns: Sequence[str], flag: str) -> GitIgnoreSpec | None:
    if not patterns:
        return None
    from pathspec import GitIgnoreSpec

    for pattern in patterns:
        try:
            GitIgnoreSpec.from_lines([pattern])
        except ValueError as error:
            raise UsageError(
                f"{flag} {pattern}: no pattern: {error}", hint="patterns are those of .gitignore"
            ) from None
    return GitIgnoreSpec.from_lines([composed(pattern.removeprefix("./")) for pattern in patterns])
