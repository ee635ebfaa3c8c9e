"""Model cards of the built-in family, written from `scores.json`, `training.json` and the files of each model."""

from __future__ import annotations

import json
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from jnlp.models.folder import inspect
from jnlp_family import tables
from jnlp_family.classification import table as classification
from jnlp_family.search import report as search_report
from jnlp_family.toxicity.report import markdown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jnlp.types import ModelSpec

FAMILY = ("tiny", "tiny-toxicity", "tiny-search", "tiny-sentiment")
"""The built-in models, in the order they are made."""

_QUALITY = """# Quality of the built-in models

Scores of the models that ship with jnlp, from the `scores.json` next to their weights. The model cards
(`jnlp models show NAME`) have the same scores. This page is written by
`python -m jnlp_family.make cards --quality docs/quality.md`.
"""


_OPENING, _CLOSING = "<!-- quality -->", "<!-- end quality -->"


def write_cards(folder: Path, quality: Path | None = None, /) -> None:
    """Write the cards of a family's models, and the page of their scores.

    Args:
        folder: Contains a folder for each model; missing models are skipped.
        quality: The page to write. The main tables also go into `benchmarks.md` next to it, if it has marks for them.
    """
    for name in present(folder):
        made = card(name, folder / name)
        if made is not None:
            (folder / name / "README.md").write_text(made, encoding="utf-8")
    if quality is not None:
        quality.write_text(page(folder), encoding="utf-8")
        benchmarks = quality.with_name("benchmarks.md")
        if benchmarks.is_file():
            benchmarks.write_text(with_headlines(benchmarks.read_text(encoding="utf-8"), folder), encoding="utf-8")


def present(folder: Path, /) -> list[str]:
    """Return the names of the family's models that a folder contains with scores."""
    return [name for name in FAMILY if (folder / name / "scores.json").is_file()]


def card(name: str, model: Path, /) -> str | None:
    """Return a model's card, or None if its trainer writes it (`tiny-toxicity`)."""
    text = resources.files("jnlp_family") / "card_texts" / f"{name}.md"
    if not text.is_file():
        return None
    found, training = read(model / "scores.json"), read(model / "training.json")
    config, spec = read(model / "config.json"), inspect(model)
    values = {
        "shape": _shape(config, spec),
        "vocabulary": f"{config.get('vocab_size', 0):,}",
        "pooling": spec.pooling.value,
        "prefixes": ", ".join(f"{p.value} `{prefix}`" for p, prefix in spec.prefixes.items() if prefix) or "none",
        "data": _data(training),
        "training": _training(training),
        "scores": tables.scores(found),
        "weak": _bullets(tables.weak(found)),
    }
    return Template(text.read_text(encoding="utf-8")).substitute(values)


def _shape(config: Mapping[str, Any], spec: ModelSpec) -> str:
    """Return the line of a card on the network; a linear model is described in its text."""
    if "vocab_size" not in config:
        return f"{(spec.parameters or 0) / 1e3:,.0f} thousand numbers"
    inner = spec.parameters - config["vocab_size"] * config["hidden_size"] if spec.parameters else 0
    return (
        f"- Architecture: ModernBERT, hidden size {config['hidden_size']}, intermediate size"
        f" {config['intermediate_size']}, {config['num_hidden_layers']} layers (every third global),"
        f" {config['num_attention_heads']} heads, {spec.max_length:,} positions;\n"
        f"  {(spec.parameters or 0) / 1e6:.1f} million parameters, {inner / 1e6:.1f} million without the embeddings."
        " Weights in fp16."
    )


def page(folder: Path, /) -> str:
    """Return docs/quality.md."""
    parts = [_QUALITY]
    for name in present(folder):
        found = read(folder / name / "scores.json")
        parts += [f"## `{name}`\n", tables.scores(found) + "\n", "Weak:\n", _bullets(tables.weak(found)) + "\n"]
    text = (resources.files("jnlp_family") / "card_texts/toxicity.md").read_text(encoding="utf-8")
    searching = f"## `jnlp search`\n\n{search_report.markdown()}\n"
    if classification.HERE.is_file():
        methods = (resources.files("jnlp_family") / "card_texts/classification.md").read_text(encoding="utf-8")
        parts += [methods, classification.markdown() + "\n"]
    return "\n".join([*parts, text, markdown() + "\n", searching])


def with_headlines(text: str, folder: Path, /) -> str:
    """Return a page with the main tables between its `quality` marks; a page without marks is unchanged."""
    before, opening, rest = text.partition(_OPENING)
    _, closing, after = rest.partition(_CLOSING)
    if not closing:
        return text
    tables_of = {name: tables.headline(read(folder / name / "scores.json")) for name in present(folder)}
    parts = [f"`{name}`. {made}" for name, made in tables_of.items() if made]
    joined = "\n\n".join(parts)
    return f"{before}{opening}\n{joined}\n{closing}{after}"


def read(path: Path, /) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty one if there is no file."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _bullets(sentences: list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences) or "- Nothing that was measured; other things were not."


def _data(training: Mapping[str, Any]) -> str:
    known = json.loads((resources.files("jnlp_family") / "card_texts/sources.json").read_text(encoding="utf-8"))
    rows = []
    for name, amount in training.get("data", {}).items():
        title, credit = known.get(name, (name, ""))
        rows.append((title, str(amount), credit))
    if not rows:
        return "Not recorded."
    return tables.table(("source", "used", "licence and credit"), rows)


def _training(training: Mapping[str, Any]) -> str:
    """Return the content of `training.json`: its paragraph (`text`), then its figures by name."""
    figures = training.get("figures", {})
    lines = [
        f"- {name}: {value:,}" if isinstance(value, int) else f"- {name}: {value}" for name, value in figures.items()
    ]
    parts = [str(training.get("text", "")), "\n".join(lines)]
    return "\n\n".join(part for part in parts if part) or "Not recorded."
