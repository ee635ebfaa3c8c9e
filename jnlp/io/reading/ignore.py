"""Which files of a folder are left out: by `--include` and `--exclude`, and by `.gitignore` and `.ignore` files."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pathspec import GitIgnoreSpec

NAMES = (".ignore", ".gitignore")
"""Files that say what to leave out, the one that counts more first."""

_LARGEST = 1 << 20  # bytes of such a file


@dataclass(frozen=True, slots=True)
class Rules:
    """What one file of patterns says about the files below its folder; `above` are the rules of the folders above."""

    folder: str
    patterns: GitIgnoreSpec
    above: Rules | None = None

    def ignores(self, path: str, /) -> bool:
        """Whether a file, or a folder if the path ends in a slash, is left out; the nearest rule that matches says."""
        rules: Rules | None = self
        while rules is not None:
            said = rules.patterns.check_file(composed(path[len(rules.folder) + 1 :])).include
            if said is not None:
                return said
            rules = rules.above
        return False


def rules_above(folder: Path, /) -> Rules | None:
    """Return the rules that hold in a folder by the folders above it, up to that of the Git repository it is in."""
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
    """Return the rules that hold in a folder: those of its own files, before those above."""
    for name in reversed(NAMES):
        if lines := _lines(Path(folder) / name):
            above = Rules(folder.rstrip("/"), _compiled(lines), above)
    return above


def _lines(path: Path) -> list[str]:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return []
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return []
    return [line for line in composed(text).splitlines() if line.strip() and not line.startswith("#")]


def _compiled(lines: Iterable[str]) -> GitIgnoreSpec:
    """Compile patterns; one that Git does not understand either matches nothing."""
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
    """What `--include` and `--exclude` say of a file."""

    include: GitIgnoreSpec | None
    exclude: GitIgnoreSpec | None

    @classmethod
    def of(cls, include: Sequence[str], exclude: Sequence[str], /) -> Chosen:
        """Compile the patterns.

        Raises:
            UsageError: One is no pattern.
        """
        return cls(_asked(include, "--include"), _asked(exclude, "--exclude"))

    def takes(self, *names: str) -> bool:
        """Whether a file is read, by any of its names: as it is shown, and relative to the folder that was given."""
        shown = [composed(name.removeprefix("./")) for name in names]
        if self.exclude is not None and any(map(self.exclude.match_file, shown)):
            return False
        return self.include is None or any(map(self.include.match_file, shown))

    def skips(self, *names: str) -> bool:
        """Whether all below a folder is left out."""
        return self.exclude is not None and any(
            self.exclude.match_file(composed(f"{name.removeprefix('./')}/")) for name in names
        )


def _asked(patterns: Sequence[str], flag: str) -> GitIgnoreSpec | None:
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


def composed(text: str, /) -> str:
    """Return a name in the composed form (NFC): macOS and some archives write が as か and a mark."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
