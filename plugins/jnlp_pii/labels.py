"""Labels for values (［氏名1］, <NAME_1>): one for each value of a run, kept in a map, from which texts are restored.

Every text that `Labels.rewrite` returns is restored exactly by `restore`. A label has its brackets and nothing of them
inside, so what is left of a text around labels cannot read as one; what reads as a label in the text itself gets a
label of its own (［文字列1］).
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.io.durable import Lock, open_own, replacing
from jnlp.patterns import deferred
from jnlp.strict_json import dumps
from jnlp_pii.detector import value_of
from jnlp_pii.spec import CATEGORIES, Span, Style

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_FORMAT = "jnlp pii map 1"
_LITERAL = "text"
_NAMES = {**CATEGORIES, _LITERAL: "文字列"}
_TOKENS = {category: category.upper().replace("-", "_") for category in _NAMES}
_PATTERN = deferred(
    rf"［(?:{'|'.join(_NAMES.values())})[0-9]+(?:-[0-9]+)?］|<(?:{'|'.join(_TOKENS.values())})_[0-9]+(?:-[0-9]+)?>"
)
_PARTS = deferred(r"[［<](.+?)_?([0-9]+)(?:-([0-9]+))?[］>]")
_CATEGORY = {name: category for names in (_NAMES, _TOKENS) for category, name in names.items()}


class Labels:
    """The labels of a run.

    Args:
        style: Whether labels are Japanese or ASCII.
        known: Labels of an earlier run, with the text of each.
        keep: Called with each new label and its text, before the label is returned.

    Example:
        >>> labels = Labels()
        >>> text = "山田さんは山田太郎"
        >>> labels.rewrite(text, [Span(0, 2, "name", "山田")])[0]
        '［氏名1］さんは山田太郎'
        >>> restore("［氏名1］さん", labels.texts)
        '山田さん'
    """

    def __init__(
        self,
        style: Style = Style.LABEL,
        known: Mapping[str, str] | None = None,
        keep: Callable[[str, str], None] = lambda _label, _text: None,
    ) -> None:
        self._style, self._keep = style, keep
        self.texts: dict[str, str] = {}
        """The text of each label."""
        self._labels: dict[tuple[str, str], str] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._counts: dict[str, int] = {}
        self._spellings: dict[tuple[str, int], int] = {}
        for label, text in (known or {}).items():
            self._learn(label, text)

    def label(self, category: str, text: str, /) -> str:
        """Return the label of a text; another spelling of a value has its number too (［電話番号1-2］)."""
        if (category, text) in self._labels:
            return self._labels[category, text]
        value = text if category == _LITERAL else value_of(category, text)
        number = self._numbers.get((category, value)) or self._counts.get(category, 0) + 1
        spelling = self._spellings.get((category, number), 0) + 1
        place = f"{number}-{spelling}" if spelling > 1 else str(number)
        token = self._style is Style.TOKEN
        label = f"<{_TOKENS[category]}_{place}>" if token else f"［{_NAMES[category]}{place}］"
        self._keep(label, text)
        self._learn(label, text)
        return label

    def rewrite(self, text: str, spans: Sequence[Span], /) -> tuple[str, tuple[Span, ...]]:
        """Return the text with labels in place of spans, and the spans with their labels."""
        parts, named, done = [], [], 0
        for span in spans:
            label = self.label(span.category, text[span.start : span.end])
            parts += [self._escaped(text[done : span.start]), label]
            named.append(Span(span.start, span.end, span.category, label))
            done = span.end
        return "".join((*parts, self._escaped(text[done:]))), tuple(named)

    def _escaped(self, text: str) -> str:
        return _PATTERN.sub(lambda hit: self.label(_LITERAL, hit[0]), text)

    def _learn(self, label: str, text: str) -> None:
        parts = _PARTS.fullmatch(label)
        if parts is None or parts[1] not in _CATEGORY:
            raise JnlpError(f"{label!r} is not a label of jnlp pii", hint="give the map that jnlp pii wrote")
        category, number = _CATEGORY[parts[1]], int(parts[2])
        value = text if category == _LITERAL else value_of(category, text)
        self.texts[label] = text
        self._labels.setdefault((category, text), label)
        self._numbers.setdefault((category, value), number)
        self._counts[category] = max(self._counts.get(category, 0), number)
        self._spellings[category, number] = max(self._spellings.get((category, number), 0), int(parts[3] or 1))


def restore(text: str, texts: Mapping[str, str], missing: Callable[[str], None] = lambda _: None, /) -> str:
    """Return the text with labels replaced by their texts; `missing` is called with each label that has none.

    Example:
        >>> restore("［氏名1］さんに電話", {"［氏名1］": "山田"})
        '山田さんに電話'
    """

    def original(hit: re.Match[str]) -> str:
        if hit[0] not in texts:
            missing(hit[0])
        return texts.get(hit[0], hit[0])

    return _PATTERN.sub(original, text)


def read_map(path: Path, /) -> dict[str, str]:
    """Return the labels of a map with their texts, also those that a run which was killed has left.

    Raises:
        JnlpError: It is no map.
        OSError: It cannot be read.
    """
    try:
        texts: dict[str, str] = {}
        if path.exists() or not _journal(path).exists():
            stored: Any = json.loads(path.read_bytes())
            texts.update(stored["labels"])
            if stored["format"] != _FORMAT:
                raise ValueError(f"format {stored['format']!r}")
        if _journal(path).exists():
            lines = _journal(path).read_bytes().split(b"\n")[:-1]  # after the last line end: a line cut short
            texts.update(json.loads(line) for line in lines)
        if not all(isinstance(item, str) for pair in texts.items() for item in pair):
            raise ValueError("labels and texts are strings")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise JnlpError(f"{path} is no map of jnlp pii ({error})", hint="give a file that --map wrote") from error
    return texts


@contextmanager
def keeping(path: Path | None, style: Style, /) -> Iterator[Labels]:
    """Keep the labels of a run in a file that only its owner can read; labels that are in it already stay.

    New labels are first appended to `FILE.journal`, each before any text has it; the map is replaced at the end of the
    run, whether it succeeds or not. After a kill, the next run with the map continues from the journal.

    Raises:
        JnlpError: The file is no map, or another run is writing it.
        OSError: It cannot be read or written.
    """
    if path is None:
        yield Labels(style)
        return
    with Lock(path.with_name(f"{path.name}.lock"), path, hint="wait for it, or give --map another name"):
        known = read_map(path) if path.exists() or _journal(path).exists() else {}
        journal = _journal(path)
        with open_own(journal, "ab", private=True) as file:

            def keep(label: str, text: str) -> None:
                file.write(dumps([label, text]).encode() + b"\n")

            labels = Labels(style, known, keep)
            try:
                yield labels
            finally:
                with replacing(path, private=True) as target:
                    target.write(dumps({"format": _FORMAT, "labels": labels.texts}, indent=1).encode() + b"\n")
                journal.unlink()


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}.journal")
