"""`python -m jnlp_family.masked_lm MODEL DATA`: measures a pre-trained model and writes `scores.json`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jnlp.errors import JnlpError, status_of
from jnlp.strict_json import dumps
from jnlp_pretrain.smoke import smoke

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jnlp.types import Embedder, MaskedLM
    from jnlp_family.masked_lm.report import Measured

_CHARACTERS = 40_000_000


def main(arguments: list[str] | None = None, /) -> int:
    """Measure and write; return the exit status."""
    args = _parser().parse_args(arguments)
    return status_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    from jnlp.encoder.files import digest_weights
    from jnlp.encoder.load import load_embedder, load_masked_lm
    from jnlp.encoder.runtime import Runtime
    from jnlp_evaluate.masked.needle import LENGTHS
    from jnlp_family.masked_lm.report import HELD_OUT, Amount, Measured, measure
    from jnlp_family.similarity import Split, similarity, similarity_pairs
    from jnlp_pretrain.recipe_files import load_recipe

    if not args.data.is_dir():
        raise JnlpError(
            f"{args.data} is not a folder", hint="give the folder of the data that the recipe's sources match"
        )
    start = time.monotonic()

    def say(what: str) -> None:
        sys.stderr.write(f"{time.monotonic() - start:6.0f} s  {what}\n")

    def load(folder: Path) -> Measured:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as copy:
            far = load_masked_lm(_lengthen(folder, max(LENGTHS), Path(copy)), runtime=runtime)
        return Measured(cast("MaskedLM", load_masked_lm(folder, runtime=runtime)), cast("MaskedLM", far))

    recipe, runtime = load_recipe(args.recipe), Runtime(threads=args.threads)
    if args.smoke:
        recipe, amount = smoke(recipe), Amount(held_out=2_000, training=200_000, sparse=8, trials=2)
    else:
        amount = Amount(held_out=args.held_out or HELD_OUT, training=args.characters)
    stages = {name: load(folder) for name, folder in args.stages}
    report = measure(load(args.model), recipe, args.data, stages=stages, amount=amount, say=say)
    report["stages"] = scores_before(args.stages, report["held_out"]) | report["stages"]
    say("JSTS")
    embedder = cast("Embedder", load_embedder(args.model, runtime=runtime))
    split = Split.FINAL if args.final else Split.DEVELOPMENT
    pairs = similarity_pairs(args.data, split)
    named = "valid" if args.final else split.value
    report["jsts"] = {"split": named, "pairs": len(pairs.scores), "spearman": similarity(embedder, pairs)}
    report["command"] = _command(args)
    report["weights"] = digest_weights(args.model)
    report["date"] = datetime.now(UTC).date().isoformat()
    text = dumps(report, indent=2) + "\n"
    (args.out or args.model / "scores.json").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    say("written")


def _lengthen(folder: Path, positions: int, into: Path) -> Path:
    """Copy a model folder and set its maximum length in tokens."""
    shutil.copytree(folder, into, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["max_position_embeddings"] = max(positions, config["max_position_embeddings"])
    (into / "config.json").write_text(dumps(config), encoding="utf-8")
    return into


def scores_before(stages: list[tuple[str, Path]], held_out: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return the scores of stages before the first one given, from its `scores.json`, if measured on the same text."""
    path = stages[0][1] / "scores.json" if stages else None
    if path is None or not path.is_file():
        return {}

    def text(rows: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        return {kind: row["characters"] for kind, row in rows.items()}

    earlier = json.loads(path.read_text(encoding="utf-8")).get("stages", {})
    return {name: found for name, found in earlier.items() if text(found["held_out"]) == text(held_out)}


def _command(args: argparse.Namespace) -> str:
    """Return this run's command line, with folder names but without their paths."""
    stages = f" --stages {' '.join(name for name, _ in args.stages)}" if args.stages else ""
    given = "".join(f" --{name}" for name in ("final", "smoke") if getattr(args, name))
    characters = f" --characters {args.characters}" if args.characters != _CHARACTERS else ""
    characters += f" --held-out {args.held_out}" if args.held_out else ""
    return f"python -m jnlp_family.masked_lm {args.model.name} DATA --recipe {args.recipe}{stages}{characters}{given}"


def _stage(text: str) -> tuple[str, Path]:
    """Return the name and the folder of a stage."""
    name, _, folder = text.rpartition("=")
    return name or Path(folder).name, Path(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jnlp_family.masked_lm", description=__doc__)
    parser.add_argument("model", type=Path, help="the model folder")
    parser.add_argument("data", type=Path, help="the folder of the corpus, and of tasks/jsts")
    parser.add_argument("--recipe", default="tiny", help="the recipe of the model: a bundled one or a TOML file")
    parser.add_argument(
        "--stages", type=_stage, nargs="+", default=[], help="folders of earlier stages, or NAME=FOLDER, to compare"
    )
    parser.add_argument("--final", action="store_true", help="use the valid split of JSTS: only for the final table")
    parser.add_argument(
        "--characters", type=int, default=_CHARACTERS, help="characters that the n-gram is trained on; 0: no n-gram"
    )
    parser.add_argument("--held-out", type=int, help="characters of each source to measure on (default: 15,000)")
    parser.add_argument("--smoke", action="store_true", help="a trial of a minute; its scores mean nothing")
    parser.add_argument("--threads", type=int, help="processor threads")
    parser.add_argument("-o", "--out", type=Path, help="the file to write (default: scores.json in the model folder)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
