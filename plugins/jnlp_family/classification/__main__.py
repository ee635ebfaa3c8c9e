"""`python -m jnlp_family.classification DATA`: the methods of `jnlp train classifier` next to TF-IDF: `quality.json`.

Each gets the same few training rows of a set, drawn again for each seed, and holds out what it needs from them, as the
command does. Then it labels the same test rows, which no method has seen. The baseline is scikit-learn's TF-IDF of
character 1–3-grams with logistic regression, which needs no validation rows and fits all (of pairs the cosine, which
fits nothing). Finished runs are kept: the same command continues.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jnlp.errors import status_of
from jnlp.strict_json import dumps
from jnlp_family.classification.methods import BASELINE, METHODS, run
from jnlp_family.classification.sets import SETS, draw
from jnlp_family.classification.table import HERE, SEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTES = 1.0
"""The time limit of fine-tuning, and of few-shot."""


def main(data: Path, out: Path, /, *, seeds: int, names: Sequence[str], methods: Sequence[str], minutes: float) -> None:
    """Run what `out` lacks.

    Args:
        data: The data folder.
        out: The file of results.
        seeds: Draws of training rows for each set.
        names: Names of `SETS`.
        methods: Names of methods.
        minutes: The time limit of fine-tuning and of few-shot.
    """
    known: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    for seed in range(seeds):
        for name in names:
            train, test = draw(data, SETS[name], seed)
            done = known.setdefault(name, {}).setdefault(str(seed), {})
            lacking = [method for method in methods if method not in done]
            if not lacking:
                continue
            with tempfile.TemporaryDirectory() as scratch:
                found = run(train, test, lacking, Path(scratch), seed=seed, minutes=minutes)
            done |= found
            out.write_text(dumps(known, indent=1) + "\n", encoding="utf-8")
            shown = "  ".join(f"{method} {scores}" for method, scores in found.items())
            click.echo(f"{name}, seed {seed}: {shown}", err=True)


def _run(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m jnlp_family.classification", description="Measure training.")
    parser.add_argument("data", type=Path, help="the folder of the data listed in the cards")
    parser.add_argument("--out", type=Path, default=HERE, help="the file of results")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=[BASELINE, *METHODS], default=[BASELINE, *METHODS])
    parser.add_argument("--minutes", type=float, default=MINUTES, help="the time limit of fine-tuning and few-shot")
    parser.add_argument("--new", action="store_true", help="forget what was measured")
    args = parser.parse_args(arguments)
    if args.new:
        args.out.unlink(missing_ok=True)
    names, methods = args.sets, args.methods
    return status_of(
        lambda: main(args.data, args.out, seeds=args.seeds, names=names, methods=methods, minutes=args.minutes)
    )


if __name__ == "__main__":
    sys.exit(_run())
