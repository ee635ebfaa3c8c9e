"""The built-in family in one command: `python -m jnlp_family.make make DATA` (`make models DATA=DIR`).

It pre-trains `tiny`, trains `tiny-toxicity` and `tiny-search` from it and `tiny-sentiment` on top of `tiny-search`, and
fits the decision of `jnlp toxicity` to them. It measures all of them and writes their cards, in a folder under
`$JNLP_RUNS`. Steps that are finished there are not repeated. The new models and the decision replace the old ones only
when all are complete. The trainers of other plugins are called as commands, because plugins do not import each other.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jnlp.errors import JnlpError, UsageError, status_of
from jnlp.models.resolve import BUILTIN
from jnlp.strict_json import dumps
from jnlp_family import commands
from jnlp_family.cards import FAMILY, read, write_cards
from jnlp_family.masked_lm.shards import RECIPE
from jnlp_family.pretraining import CORPUS, pretrain_by_recipe, record_run
from jnlp_family.toxicity.rows import PLAIN
from jnlp_toxicity import decision, grams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jnlp_pretrain.recipe import Recipe

NEEDED = (
    *CORPUS,
    *(name for name, _ in PLAIN.values()),
    "tasks/board_toxicity/train.jsonl",
    "tasks/jsts/valid.jsonl",
    *(f"tasks/rtplx_toxicity/{split}.jsonl" for split in ("train", "valid", "test")),
    "tasks/jnli_neg/train.jsonl",
    "tasks/janli/train.jsonl",
    "tasks/jaquad/valid.jsonl",
    "tasks/satisfaction/train.jsonl.xz",
    "tasks/jaquad/train.jsonl.xz",
)
"""Files in the data folder that the whole family needs."""

LARGEST = 90_000_000
"""The family's maximum size in bytes."""

MARGIN = 0.01
"""Required improvement of the held-out loss, as a share, for a further trained `tiny` to replace the shipped one.

The models trained from it may lose at most this share of their scores.
"""

SHIPPED_MINUTES = 15
"""What the runs of the shipped `tiny` took together, on an H200."""

_DONE, _START = "done.json", "start"
_DECIDING = (
    *(f"jnlp_toxicity.{name}" for name in ("fitting", "decision", "grams", "context", "lexicon", "matcher")),
    *(f"jnlp_toxicity/{name}.txt" for name in ("words", "clean", "contexts")),
)


@dataclass(frozen=True, slots=True)
class Family:
    """The settings of one `make` run.

    Args:
        data: The data folder.
        work: The folder to work in.
        recipe: The recipe of `tiny`.
        recipe_name: The name of a bundled recipe, or a path, as given to the commands.
        smoke: A short trial run whose models are useless.
        final: Use the valid splits for the scores.
        start: The model that `tiny` continues from, instead of the recipe's first stages.
        after: The number of these stages.
        teacher: A folder of multilingual-e5-small, from which `tiny-search` learns instead of from `tiny`.
        minutes: `tiny` is trained for so long, as the shipped one was on a GPU; 0: for the recipe's steps.
    """

    data: Path
    work: Path
    recipe: Recipe
    recipe_name: str
    smoke: bool = False
    final: bool = False
    start: Path | None = None
    after: int = 0
    teacher: Path | None = None
    minutes: float = 0.0

    def folder(self, name: str) -> Path:
        """Return the folder of a model."""
        return self.work / name


def prepare(
    data: Path,
    recipe_name: str = "tiny",
    /,
    *,
    smoke: bool = False,
    final: bool = False,
    after: int = 0,
    minutes: float = 0.0,
) -> Family:
    """Return the settings of a run, and make its folder under `$JNLP_RUNS`.

    Args:
        data: The data folder.
        recipe_name: The recipe of `tiny`.
        smoke: A short trial run whose models are useless.
        final: Use the valid splits for the scores.
        after: The number of the recipe's stages that the shipped `tiny` has had; training continues with the next one.
        minutes: Train `tiny` for so long by the recipe of the shipped one, instead of by the steps of `recipe_name`.

    Raises:
        JnlpError: Data is missing, or the recipe has no such stage.
    """
    from jnlp_pretrain import smoke as smaller
    from jnlp_pretrain.corpus import files
    from jnlp_pretrain.pretraining import default_runs, run_name
    from jnlp_pretrain.recipe_files import load_recipe

    missing = [part for part in NEEDED if not (data / part).exists()]
    if missing:
        lacking = f": {', '.join(missing)} missing" if data.is_dir() else ""
        raise JnlpError(
            f"the data of the built-in models is not at {data}{lacking}",
            hint="make models DATA=DIR, where DIR contains the data listed in the model cards; nothing was changed",
        )
    if minutes and after:
        raise UsageError("--after goes by a recipe's steps, --minutes by the clock", hint="name one of them")
    recipe_name = str(RECIPE) if minutes else recipe_name
    recipe = load_recipe(recipe_name)
    recipe = smaller.smoke(recipe) if smoke else recipe
    if not 0 <= after < len(recipe.stages):
        raise JnlpError(f"recipe {recipe_name} has no stage after {after}: it has {len(recipe.stages)}")
    recipe = replace(recipe, stages=recipe.stages[after:])
    start = BUILTIN / "tiny" if after else None
    work = default_runs() / f"family-{run_name(recipe, files([data / part for part in CORPUS]), start)}"
    work.mkdir(parents=True, exist_ok=True)
    if start is not None and not (work / _START).exists():  # a copy: the shipped one is replaced in the end
        shutil.copytree(start, work / _START)
    return Family(
        data, work, recipe, recipe_name, smoke, final, work / _START if after else None, after, minutes=minutes
    )


def make(family: Family, /, *, say: Callable[[str], None], guard: bool = False) -> None:
    """Train and measure the models that are still missing, and write their cards.

    Args:
        family: The run's settings.
        say: Called with a line for each step.
        guard: Stop if the new `tiny` is not better than the one it continued from.

    Raises:
        JnlpError: A step failed; the steps before it are kept.
    """
    guarded = [("gain of tiny", lambda: say(better(commands.run_of(family))))] if guard and family.start else []
    steps: list[tuple[str, Callable[[], None]]] = [
        *_pretraining_steps(family, say),
        *guarded,
        ("tiny-toxicity", lambda: _run(commands.toxicity_command(family))),
        *_search_steps(family),
        ("tiny-sentiment", lambda: _run(commands.sentiment_command(family))),
        (commands.DECISION, lambda: _run(commands.decision_command(family))),
        ("scores of tiny", lambda: _run(commands.measure_command(family))),
        ("scores of tiny-toxicity", lambda: _toxicity_scores(family)),
        ("scores of tiny-search", lambda: _run(commands.retrieval_command(family))),
        ("scores of searches with tiny-search", lambda: _run(commands.calibrate_command(family))),
    ]
    done = read(family.work / _DONE)
    toxicity = (f"jnlp_family.toxicity.{name}" for name in ("train", "model", "rows"))
    code = {
        "tiny-toxicity": _digest(*toxicity, "jnlp_toxicity/words.txt"),
        "tiny-search": _digest("jnlp_family.search.train"),
        commands.LESSONS: _digest("jnlp_family.distill.texts"),
        commands.STUDENT: _digest("jnlp_family.distill.student"),
        "tiny-sentiment": _digest("jnlp_family.classification.sentiment"),
    }
    fitted = _digest("jnlp_family.toxicity.decision", *_DECIDING)
    for name, step in steps:
        inputs: dict[str, Any] = {"by": code.get(name)}
        if name == commands.DECISION:
            inputs = {"by": fitted, **code}
        elif name.startswith("scores"):
            inputs = {"final": family.final, **code}
        if done.get(name) == inputs:
            say(f"{name}: done before")
            continue
        say(name)
        step()
        done[name] = inputs
        (family.work / _DONE).write_text(dumps(done) + "\n", encoding="utf-8")
    write_cards(family.work)
    say(f"whole, {check(family.work) / 1e6:.1f} MB: {family.work}")


def _digest(*names: str) -> str:
    """Return a hash of what determines the training data and settings: modules, and files as `package/file`."""
    found = hashlib.sha256()
    for name in names:
        package, _, resource = name.partition("/")
        if resource:
            found.update(files(package).joinpath(resource).read_bytes())
            continue
        spec = find_spec(name)
        assert spec is not None  # bundled
        assert spec.origin is not None
        found.update(Path(spec.origin).read_bytes())
    return found.hexdigest()[:12]


def check(folder: Path, /) -> int:
    """Check that each model is complete with scores and card, and small enough; return the family's size in bytes.

    Raises:
        JnlpError: Something is missing or too large, or scores are those of other weights.
    """
    from jnlp.encoder.files import digest_weights
    from jnlp.models.folder import inspect

    for name in FAMILY:
        inspect(folder / name)
        for part in ("scores.json", "README.md"):
            if not (folder / name / part).is_file():
                raise JnlpError(f"{folder / name} has no {part}", hint="run the same command again")
        if read(folder / name / "scores.json")["weights"] != digest_weights(folder / name):
            raise JnlpError(f"the scores of {folder / name} are those of other weights", hint="measure it again")
    size = sum(path.stat().st_size for name in FAMILY for path in (folder / name).rglob("*") if path.is_file())
    if size > LARGEST:
        raise JnlpError(f"the models take {size / 1e6:.1f} MB together, over {LARGEST / 1e6:.0f}")
    return size


def better(run: Path, /) -> str:
    """Return a sentence about the improvement of a run over the model that it continued from.

    Args:
        run: The run's folder. Its log begins with the held-out loss of that model.

    Raises:
        JnlpError: The held-out loss did not improve by `MARGIN`.
    """
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [row["held_out_loss"] for row in rows if "held_out_loss" in row]
    before, after = losses[0], losses[-1]
    said = f"held-out loss {before:.3f} before, {after:.3f} now"
    if after > before * (1 - MARGIN):
        raise JnlpError(
            f"{said}: not {MARGIN:.0%} better, so the shipped models are kept",
            hint="train longer: another stage in the recipe",
        )
    return said


def worse(made: Path, bundled_recipes: Path, /) -> list[str]:
    """Return a sentence for each model trained from `tiny` that is worse than the shipped one by over `MARGIN`.

    The score compared is the one that selected the epoch: on validation rows or on development articles.
    """
    said = []
    for name, file, *keys in (
        ("tiny-toxicity", "metrics.json", "valid_scores", "macro_f1"),
        ("tiny-search", "scores.json", "development", "systems", "model", "ndcg@10"),
        ("tiny-sentiment", "scores.json", "test", "tiny-sentiment", "metrics", "macro_f1"),
    ):
        after, before = (_lookup(read(folder / name / file), keys) for folder in (made, bundled_recipes))
        if after is not None and before is not None and after < before * (1 - MARGIN):
            said.append(f"{name}: {keys[-1]} {before:.3f} before, {after:.3f} now")
    return said


def _lookup(found: Any, keys: Sequence[str]) -> float | None:
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, float) else None


def swap(made: Path, out: Path, /) -> None:
    """Replace a family of models by a new one; restore the old one if that fails midway.

    Args:
        made: The folder of the new models.
        out: The folder to replace.
    """
    check(made)
    out.mkdir(parents=True, exist_ok=True)
    new, old = out / ".new", out / ".old"
    for folder in (new, old):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    moved: list[str] = []
    try:
        for name in FAMILY:
            shutil.copytree(made / name, new / name, ignore=shutil.ignore_patterns("report.*"))
        for name in FAMILY:
            if (out / name).exists():
                (out / name).rename(old / name)
            moved.append(name)
            (new / name).rename(out / name)
    except BaseException:
        for name in moved:
            shutil.rmtree(out / name, ignore_errors=True)
            if (old / name).exists():
                (old / name).rename(out / name)
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def install_decision(made: Path, out: Path, /) -> None:
    """Put the decision of `jnlp toxicity` and its n-grams from one folder into another, each file whole."""
    out.mkdir(parents=True, exist_ok=True)
    names = (decision.SHIPPED, grams.SHIPPED)
    try:
        for name in names:
            shutil.copy2(made / name, out / f".{name}")
        for name in names:
            (out / f".{name}").replace(out / name)
    finally:
        for name in names:
            (out / f".{name}").unlink(missing_ok=True)


def _pretraining_steps(family: Family, say: Callable[[str], None]) -> list[tuple[str, Callable[[], None]]]:
    """Return the steps of `tiny`: by its recipe, or its text and a run for some minutes."""
    if not family.minutes:
        return [("tiny", lambda: pretrain_by_recipe(family, say))]

    def train() -> None:
        _run(commands.timed_command(family))
        record_run(family)

    return [("text of tiny", lambda: _run(commands.texts_command(family))), ("tiny", train)]


def _search_steps(family: Family) -> list[tuple[str, Callable[[], None]]]:
    """Return the steps of `tiny-search`: from `tiny`, or with a teacher its states and a student of them."""
    last = ("tiny-search", lambda: _run(commands.search_command(family)))
    if family.teacher is None:
        return [last]
    return [
        (commands.LESSONS, lambda: _run(commands.teach_command(family))),
        (commands.STUDENT, lambda: _run(commands.fit_command(family))),
        last,
    ]


def _toxicity_scores(family: Family) -> None:
    folder = family.folder("tiny-toxicity")
    (folder / "scores.json").write_text(toxicity_scores(folder), encoding="utf-8")


def toxicity_scores(folder: Path, /) -> str:
    """Return the text of `scores.json` of the toxicity model, made from its trainer's `metrics.json`."""
    from jnlp.encoder.files import digest_weights

    found = {"model": "toxicity", "toxicity": read(folder / "metrics.json")["toxicity"]}
    found["weights"] = digest_weights(folder)
    return dumps(found, indent=2) + "\n"


def _run(command: Sequence[str]) -> None:
    with subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL) as process:
        try:
            status = process.wait()
        except BaseException:  # stopped: not without it
            process.terminate()
            raise
    if status:
        raise JnlpError(f"{command[0]} failed with status {status}", hint="see its message above")


def main(arguments: Sequence[str] | None = None, /) -> int:
    """Make the family, or rewrite its cards; return the exit status."""
    from jnlp.training.stopping import Stopped

    def stop(number: int, _frame: object) -> None:
        raise Stopped(number)

    args = _parser().parse_args(arguments)
    former = signal.signal(signal.SIGTERM, stop)
    try:
        return status_of(lambda: write_cards(args.models, args.quality) if args.what == "cards" else _make(args))
    except Stopped as stopped:
        number = stopped.number
    except KeyboardInterrupt:  # within one of the trainers
        number = signal.SIGINT
    finally:
        signal.signal(signal.SIGTERM, former)
    click.echo("stopped: run the same command to continue", err=True)
    return 128 + number


def _make(args: argparse.Namespace) -> None:
    if args.smoke and args.out is None:
        raise JnlpError("a smoke run does not replace the built-in models", hint="name --out")
    if args.teacher and not (args.teacher / "config.json").is_file():
        raise JnlpError(f"{args.teacher} is no model folder", hint="--teacher DIR: a folder of multilingual-e5-small")
    minutes = _minutes() if args.minutes is None and not (args.after or args.smoke) else args.minutes or 0.0
    family = prepare(args.data, args.recipe, smoke=args.smoke, final=args.final, after=args.after, minutes=minutes)
    family = replace(family, teacher=args.teacher)
    replaces = args.out is None and not args.force
    make(family, say=lambda what: click.echo(what, err=True), guard=replaces)
    if replaces and (said := worse(family.work, BUILTIN)):
        raise JnlpError(
            f"{'; '.join(said)}: the shipped models are kept",
            hint="--force replaces them anyway; --out DIR writes the new ones elsewhere",
        )
    swap(family.work, args.out or BUILTIN)
    place = args.out / commands.DECISION if args.out else Path(str(files("jnlp_toxicity")))
    install_decision(family.work / commands.DECISION, place)
    if args.quality:
        write_cards(args.out or BUILTIN, args.quality)


def _minutes() -> float:
    """Return the minutes that the shipped `tiny` took, if there is a GPU, else 0."""
    import torch

    return SHIPPED_MINUTES if torch.cuda.is_available() else 0.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jnlp_family.make", description="Make the built-in models.")
    commands = parser.add_subparsers(dest="what", required=True)
    making = commands.add_parser("make", help="train, measure, write the cards, and replace the shipped models")
    making.add_argument("data", type=Path, help="the folder of the data listed in the cards")
    making.add_argument("--out", type=Path, help="where the models go (default: the package)")
    making.add_argument("--recipe", default="tiny", help="the recipe of tiny: a bundled one or a TOML file")
    making.add_argument(
        "--after",
        type=int,
        default=0,
        metavar="N",
        help="continue from the shipped tiny, the recipe's stage N",
    )
    making.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help=f"train tiny for so long on a GPU, as the shipped one was (default: {SHIPPED_MINUTES} with a GPU, else 0: "
        "by the recipe's steps)",
    )
    making.add_argument("--teacher", type=Path, help="a folder of multilingual-e5-small, from which tiny-search learns")
    making.add_argument("--smoke", action="store_true", help="a trial of minutes, into --out")
    making.add_argument("--force", action="store_true", help="replace the shipped models even if a new one is worse")
    making.add_argument("--final", action="store_true", help="use the valid splits for the scores")
    making.add_argument("--quality", type=Path, help="the page of scores to write")
    cards = commands.add_parser("cards", help="write cards and page from existing scores")
    cards.add_argument("--models", type=Path, default=BUILTIN, help="a folder of the models")
    cards.add_argument("--quality", type=Path, help="the page of scores to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
