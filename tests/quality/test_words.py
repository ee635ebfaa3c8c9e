"""Plain words: the docs, messages, comments and docstrings use the field's usual terms."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

PLAIN = {
    "told": "reported, called with",
    "stands": "is",
    "beside": "next to, in addition to, with",
    "lest": "so that … not",
    "anew": "again",
    "mend": "fix, correct",
    "mends": "fixes, corrects",
    "mended": "fixed, corrected",
    "nought": "zero",
    "leg": "retriever",
    "legs": "retrievers",
    "nobody": "name the actor, or use the passive",
    "whoever": "name the actor",
    "gone on": "continued",
    "goes on from": "continues from",
    "go on from": "continue from",
    "goes on where": "continues where",
    "goes on there": "continues there",
}
"""Words that a reader has to read twice, and what to write instead."""

WORDS = re.compile(rf"(?<![-`/\w])(?:{'|'.join(PLAIN)})(?![-`\w])", re.IGNORECASE)
STRINGS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def odd_words(text: str) -> list[str]:
    return [match[0].lower() for match in WORDS.finditer(text)]


def odd_lines(path: Path) -> list[str]:
    """Return the odd words of a file with their lines: of Python, those in comments and strings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        parts = list(enumerate(text.splitlines(), start=1))
    else:
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        parts = [(token.start[0], token.string) for token in tokens if token.type in STRINGS]
    return [f"{number}: {word}, better: {PLAIN[word]}" for number, part in parts for word in odd_words(part)]


def test_the_check_finds_words_and_not_parts_of_them() -> None:
    assert odd_words("The run is told, and beside it Legs; `--legs` and mending and told_of are none.") == [
        "told",
        "beside",
        "legs",
    ]


@pytest.mark.parametrize("folder", ["docs", "jnlp", "plugins"])
def test_words_are_plain(root: Path, folder: str) -> None:
    files = [path for suffix in ("py", "md", "h", "cpp") for path in sorted((root / folder).rglob(f"*.{suffix}"))]
    files = [path for path in files if path.name != "cli.md"]  # printed from the help texts, which are read below jnlp
    files += [root / "README.md", root / "CHANGELOG.md"] if folder == "docs" else []
    assert len(files) > 10
    found = {str(path.relative_to(root)): odd_lines(path) for path in files}
    assert {name: lines for name, lines in found.items() if lines} == {}
