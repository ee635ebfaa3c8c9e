"""Held-out text to measure on, and text to train the baselines on."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError
from jnlp_evaluate.masked.passages import cut
from jnlp_pretrain import corpus as corpora

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jnlp_pretrain.corpus import Source
    from jnlp_pretrain.recipe import Recipe

KINDS = {
    "aozora": "literature",
    "msdocs": "documentation",
    "techbooks": "documentation",
    "personachat": "dialogue",
    "jaquad": "encyclopaedia",
}
"""The kind of text of each source that is measured."""

_OF_ONE = 4  # passages of one document, so that no long one decides the figures


@dataclass(slots=True)
class Texts:
    """The texts of one measurement.

    Args:
        passages: Held-out passages by kind of text, after NFKC.
        training: Training documents, after NFKC.
    """

    passages: dict[str, list[str]] = field(default_factory=dict)
    training: list[str] = field(default_factory=list)


def read_texts(recipe: Recipe, data: Path, /, *, held_out: int, training: int) -> Texts:
    """Read a fixed sample of a recipe's corpus: documents that its runs leave out, and others for the baselines.

    Both are the first documents of each source in file order; the corpora are in hash order or read completely. Small
    sources are read first, and characters that they leave unused go to the larger ones. If no source has a kind in
    `KINDS`, each source is its own kind.

    Args:
        recipe: Its sources and its held-out share.
        data: A folder that holds their files.
        held_out: Characters of each source to measure on, about.
        training: Characters to train baselines on in all, about.

    Raises:
        JnlpError: A source has nothing held out.
    """
    files = corpora.files([data])
    sources = recipe.sources or corpora.own_sources(files)
    table = corpora.assign(sources, files)
    kinds = {s.name: KINDS[s.name] for s in sources if s.name in KINDS} or {s.name: s.name for s in sources}
    texts = Texts()
    left = training
    ordered = sorted((s for s in sources if table[s.name]), key=lambda s: _size(table[s.name]))
    for number, source in enumerate(ordered):
        room = held_out if source.name in kinds else 0
        passages, documents = _read_source(source, table, recipe.held_out, room, left // (len(ordered) - number))
        left -= sum(map(len, documents))
        texts.training += documents
        if room and not passages:
            raise JnlpError(f"{source.name} has no held-out document", hint="raise `held_out` in the recipe")
        if room:
            texts.passages.setdefault(kinds[source.name], []).extend(passages)
    return texts


def _size(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _read_source(
    source: Source, table: Mapping[str, Sequence[Path]], share: float, held_out: int, training: int
) -> tuple[list[str], list[str]]:
    passages: list[str] = []
    documents: list[str] = []
    for key, text in corpora.documents(source, table[source.name]):
        if corpora.fraction(key, "held out") < share:
            if held_out > 0:
                found = _select_passages(list(cut(unicodedata.normalize("NFKC", text))))
                passages += found
                held_out -= sum(map(len, found))
        elif training > 0:
            documents.append(unicodedata.normalize("NFKC", text)[:training])
            training -= len(documents[-1])
        if held_out <= 0 and training <= 0:
            break
    return passages, documents


def _select_passages(passages: Sequence[str]) -> list[str]:
    """Return a few evenly spaced passages of a document."""
    step = max(1, len(passages) / _OF_ONE)
    return [passages[int(number * step)] for number in range(min(_OF_ONE, len(passages)))]
