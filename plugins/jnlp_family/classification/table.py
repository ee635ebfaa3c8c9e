"""The table of `quality.json` for docs/quality.md."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from jnlp_family.classification.sets import SETS
from jnlp_family.tables import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(str(resources.files("jnlp_family"))) / "classification/quality.json"
"""The file of results."""

ORDER = list(SETS)
"""The order of the rows."""

SEEDS = 5
"""Draws of training rows; a cell with fewer says so."""

_COLUMNS = ("TF-IDF", "linear", "few-shot", "finetune", "auto")


def markdown(path: Path = HERE, /) -> str:
    """Return a table of each set and score: mean over seeds ± standard deviation, the best on all seeds marked."""
    known: dict[str, dict[str, dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
    rows = []
    for name, seeds in sorted(known.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else -1):
        runs = list(seeds.values())
        kinds = [kind for kind in ("accuracy", "macro_f1", "spearman") if any(kind in run["TF-IDF"] for run in runs)]
        rows += [
            (name if not number else "", kind.replace("_", " "), *_cells(runs, kind))
            for number, kind in enumerate(kinds)
        ]
    kept = "; ".join(f"{name}: {made}" for name, seeds in known.items() if (made := _kept(list(seeds.values()))))
    return table(("rows", "score", *_COLUMNS), rows) + (f"\n\nKept by `auto`: {kept}." if kept else "")


def _cells(runs: Sequence[Mapping[str, Any]], kind: str) -> list[str]:
    values = {name: [run[name][kind] for run in runs if kind in run.get(name, {})] for name in _COLUMNS}
    best = max(mean(found) for found in values.values() if len(found) == len(values["TF-IDF"]))
    return [_cell(found, best) for found in values.values()]


def _cell(found: Sequence[float], best: float) -> str:
    if not found:
        return ""
    spread = f" ± {stdev(found):.3f}" if len(found) > 1 else ""
    fewer = f" ({len(found)} seed{'s' * (len(found) > 1)})" if len(found) < SEEDS else ""
    shown = f"{mean(found):.3f}"
    return f"**{shown}**{spread}{fewer}" if mean(found) == best else f"{shown}{spread}{fewer}"


def _kept(runs: Sequence[Mapping[str, Any]]) -> str:
    names = [run["auto"]["kept"] for run in runs if "auto" in run]
    return " and ".join(f"{name} {names.count(name)}" for name in dict.fromkeys(names))
