"""The commands of a `make` run: what is called for each step, as module and arguments."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.models.resolve import BUILTIN

if TYPE_CHECKING:
    from jnlp_family.make import Family

LESSONS, STUDENT = "lessons", "student"
"""The folders of a teacher's states, and of the model that learns them."""

TEXTS, TIMED_RUN = "texts", "tiny-run"
"""The folders of the tokenised text of `tiny`, and of its training by the clock."""

RUN_OF = "run.json"
"""The file that names the folder of the pre-training run."""

FOLDS, DECISION = "toxicity-out-of-fold.json", "toxicity-decision"
"""The scores of `tiny-toxicity`'s training rows out of fold, and the folder of the decision that is fitted to them."""

_SMOKE_ROWS = 8


def texts_command(family: Family) -> list[str]:
    """Return the arguments of the text of `tiny`, for a run by the clock."""
    few = ["--smoke"] if family.smoke else []
    return ["jnlp_family.masked_lm.shards", "prepare", str(family.data), str(family.work / TEXTS), *few]


def timed_command(family: Family) -> list[str]:
    """Return those of `tiny`'s training by the clock."""
    folders = [str(family.work / TEXTS / "data"), str(family.work / TIMED_RUN)]
    return ["jnlp_pretrain.prepared", *folders, "--minutes", str(family.minutes)]


def toxicity_command(family: Family) -> list[str]:
    """Return the arguments of `tiny-toxicity`'s training."""
    base, out = family.folder("tiny"), family.folder("tiny-toxicity")
    folders = ["--base", str(base), "--out", str(out), "--out-of-fold", str(family.work / FOLDS)]
    few = ["--most", str(_SMOKE_ROWS), "--seeds", "2"] if family.smoke else []
    return ["jnlp_family.toxicity.train", str(family.data), *folders, *few]


def decision_command(family: Family) -> list[str]:
    """Return those of the fit of the decision of `jnlp toxicity` to the new models."""
    out = family.work / DECISION
    out.mkdir(exist_ok=True)
    models = ["--model", str(family.folder("tiny-toxicity")), "--embedder", str(family.folder("tiny-search"))]
    few = ["--most", str(_SMOKE_ROWS)] if family.smoke else []
    folders = ["--out", str(out), *models, "--out-of-fold", str(family.work / FOLDS)]
    return ["jnlp_family.toxicity.decision", str(family.data), *folders, *few]


def teach_command(family: Family) -> list[str]:
    """Return those of a teacher's states of the texts that `tiny-search` learns from."""
    few = ["--smoke", "--shards", "1"] if family.smoke else []
    folders = ["--teacher", str(family.teacher), "--like", str(BUILTIN / "tiny-search")]
    return ["jnlp_family.distill.train", "teach", str(family.data), *folders, "-o", str(family.work / LESSONS), *few]


def fit_command(family: Family) -> list[str]:
    """Return those of a student of these states, from which `tiny-search` is tuned."""
    few = ["--smoke", "--minutes", "0.2"] if family.smoke else []
    lessons, out = str(family.work / LESSONS), str(family.work / STUDENT)
    return ["jnlp_family.distill.train", "fit", lessons, "-o", out, *few]


def search_command(family: Family) -> list[str]:
    """Return those of the training of `tiny-search`, from `tiny` or from a teacher's student."""
    base, out = family.folder("tiny") if family.teacher is None else family.work / STUDENT, family.folder("tiny-search")
    shutil.rmtree(out, ignore_errors=True)  # a former run may have stopped within it
    return [
        "jnlp_family.search.train",
        str(family.data),
        "--base",
        str(base),
        "-o",
        str(out),
        *(["--smoke"] if family.smoke else []),
        *(["--student"] if family.teacher else []),
    ]


def sentiment_command(family: Family) -> list[str]:
    """Return those of `tiny-sentiment`, which reads the vectors of `tiny-search`, and of its scores."""
    embedder, out = family.folder("tiny-search"), family.folder("tiny-sentiment")
    few = ["--rows", "300"] if family.smoke else []
    folders = ["--embedder", str(embedder), "--out", str(out)]
    return ["jnlp_family.classification.sentiment", str(family.data), *folders, *few]


def run_of(family: Family) -> Path:
    """Return the folder of the pre-training run."""
    return Path(json.loads((family.work / RUN_OF).read_text(encoding="utf-8")))


def measure_command(family: Family) -> list[str]:
    """Return those of the scores of `tiny`."""
    run = run_of(family)
    stages = 1 if family.minutes else len(family.recipe.stages)  # a run by the clock keeps the last weights only
    made = [run / f"stage-{number}" for number in range(1, stages)]
    earlier = [
        f"stage-{number}={folder}"
        for number, folder in enumerate(([family.start] if family.start else []) + made, max(family.after, 1))
    ]
    return [
        "jnlp_family.masked_lm",
        str(family.folder("tiny")),
        str(family.data),
        "--recipe",
        family.recipe_name,
        *(["--stages", *earlier] if earlier else []),
        *_flags(family),
    ]


def retrieval_command(family: Family) -> list[str]:
    """Return those of the scores of `tiny-search`."""
    folders = ["--model", str(family.folder("tiny-search")), "--base", str(family.folder("tiny"))]
    few = ["--questions", "50"] if family.smoke else []
    return ["jnlp_family.search.measure", str(family.data), *folders, *few, *(["--final"] if family.final else [])]


def calibrate_command(family: Family) -> list[str]:
    """Return those of the fit of a search's scores."""
    few = ["--questions", "50", "--dense-weight", "0.25"] if family.smoke else []
    return ["jnlp_family.search.calibrate", str(family.data), "--model", str(family.folder("tiny-search")), *few]


def _flags(family: Family) -> list[str]:
    return [flag for flag, asked in (("--smoke", family.smoke), ("--final", family.final)) if asked]
