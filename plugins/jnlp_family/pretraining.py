"""How `make` pre-trains `tiny`: by the steps of a recipe, or for some minutes on a GPU as the shipped one was."""

from __future__ import annotations

import json
import platform
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from jnlp.strict_json import dumps
from jnlp.types import TrainReport
from jnlp_family import commands
from jnlp_family.cards import read
from jnlp_pretrain.printing import figure
from jnlp_pretrain.shards import SUMMARY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jnlp_family.make import Family
    from jnlp_pretrain.recipe import Recipe

CORPUS = ("corpus", "tasks/jsts/train.jsonl", "tasks/jcommonsenseqa/train.jsonl", "tasks/commonsense_moral/train.jsonl")
"""Files in the data folder that `tiny` is trained on by a recipe's steps."""


def pretrain_by_recipe(family: Family, say: Callable[[str], None], /) -> None:
    """Pre-train `tiny` by the family's recipe, and write its `training.json`."""
    from jnlp_pretrain.pretraining import RunOptions, pretrain

    def print_progress(phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        shown = "  ".join(f"{name} {figure(value)}" for name, value in figures.items())
        say(f"  {phase} {done:,} of {total:,}  {shown}")

    corpus = [family.data / part for part in CORPUS]
    report = pretrain(
        family.recipe, corpus, family.folder("tiny"), RunOptions(start=family.start), progress=print_progress
    )
    before = read(family.start / "training.json") if family.start else {}
    _write(family, training(family.recipe, report, before), str(report.details["run"]))


def training(
    recipe: Recipe, report: TrainReport, before: Mapping[str, Any], /, *, how: str | None = None
) -> dict[str, Any]:
    """Return `training.json` of a pre-trained model: data and compute for its card.

    Args:
        recipe: The recipe of this run.
        report: The result of this run.
        before: The `training.json` of the model that the run continued from; empty for a new model.
        how: What made it, before the stages; None: `make models` by the steps of the recipe.
    """
    stages = "; ".join(
        f"{stage.tokens / 1e6:,.1f}M tokens in rows of {', '.join(str(span.length) for span in stage.rows)},"
        f" {stage.batch:,} a step, {stage.mask:.0%} masked"
        for stage in recipe.stages
    )
    how = how or f"`make models`, recipe `{recipe.name}`"
    text = f"{how}: {stages}; {recipe.optimisation.name}, {recipe.optimisation.dtype}."
    former = before.get("figures", {})
    figures: dict[str, Any] = {
        "tokens": int(report.metrics["tokens"]) + former.get("tokens", 0),
        "steps": int(report.metrics["steps"]) + former.get("steps", 0),
        "hours": round(report.metrics["seconds"] / 3600 + former.get("hours", 0.0), 2),
        "machine": f"{platform.machine()}, torch {report.details['torch']}",
        "date": datetime.now(UTC).date().isoformat(),
    }
    tokens = cast("Mapping[str, int]", report.details["source_tokens"])
    data = {
        name: f"{count:,} documents, {tokens[name] / 1e6:.1f}M tokens" for name, count in report.rows.items() if count
    }
    history = f"{before['text']} Then, from these weights, {text}" if before else text
    return {"text": history, "figures": figures, "data": data}


def record_run(family: Family, /) -> None:
    """Take the model of a run by the clock as `tiny`, and write its `training.json`."""
    import torch

    run = family.work / commands.TIMED_RUN
    shutil.copytree(run / "model", family.folder("tiny"), dirs_exist_ok=True)
    last = json.loads((run / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    sources = read(family.work / commands.TEXTS / "data" / "shards" / SUMMARY)
    report = TrainReport(
        folder=run,
        metrics={"tokens": last["tokens"], "steps": last["step"], "seconds": last["seconds"]},
        rows={name: row["documents"]["train"] for name, row in sources.items()},
        details={
            "torch": torch.__version__,
            "source_tokens": {n: row["tokens"]["train"] for n, row in sources.items()},
        },
    )
    how = (
        f"`make models` on {_device()}, {family.minutes:g} minutes by the clock, recipe `{family.recipe.name}`, whose "
        "tokens are shares"
    )
    _write(family, training(family.recipe, report, {}, how=how), str(run))


def _write(family: Family, made: Mapping[str, Any], run: str) -> None:
    """Write the `training.json` of `tiny`, and the folder of its run."""
    (family.folder("tiny") / "training.json").write_text(dumps(made, indent=2) + "\n", encoding="utf-8")
    (family.work / commands.RUN_OF).write_text(dumps(run) + "\n", encoding="utf-8")


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "processors"
