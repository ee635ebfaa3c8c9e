"""`python -m jnlp_pretrain.prepared DATA OUT --minutes N`: train from tokenised data alone, without the corpus.

`DATA` is a folder that `make_data` has made, with the recipe as `recipe.json` (`save_recipe`). It needs torch, numpy,
tokenizers and safetensors only. Every minute, `OUT/model` is replaced; after an error the last one stays.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jnlp.encoder.packing import Packed
from jnlp.encoder.runtime import has_bf16
from jnlp.errors import JnlpError
from jnlp.training.optim import optimisers
from jnlp.training.schedule import Clock
from jnlp.training.team import Alone
from jnlp_pretrain.clean import Clean
from jnlp_pretrain.corpus import Source
from jnlp_pretrain.corpus_data import CorpusData
from jnlp_pretrain.export import export
from jnlp_pretrain.loop import Plan, train
from jnlp_pretrain.masked_lm import Batch, MaskedLMLoss, MaskedLMObjective
from jnlp_pretrain.pretraining import first_turn, start_model
from jnlp_pretrain.recipe import Optimisation, Recipe, Shape, Span, Stage
from jnlp_pretrain.shards import SUMMARY, TRAIN, VALID, SourceSummary, open_shards
from jnlp_pretrain.tokenizer_train import FIRST_PIECE, TokenizerRecipe, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

RECIPE = "recipe.json"
_LAST = 12.0  # seconds that the end of a run needs: scores and the last export
_COUNTED = 3.0  # minutes under which a trial without a GPU does not count co-occurrences
_SMALL = 4096  # tokens of a step without a GPU
_ENDLESS = 1000  # times the recipe's tokens: with a time limit, only the clock decides


def save_recipe(recipe: Recipe, folder: Path) -> None:
    """Write a recipe into the folder of its data."""
    write_json(folder / RECIPE, asdict(recipe))


def read_recipe(path: Path) -> Recipe:
    """Return the recipe that `save_recipe` wrote."""
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Recipe(
        name=row["name"],
        stages=tuple(Stage(**{**s, "rows": tuple(Span(**span) for span in s["rows"])}) for s in row["stages"]),
        shape=Shape(**row["shape"]),
        sources=tuple(
            Source(**{**s, "match": tuple(s["match"]), "fields": tuple(s["fields"])}) for s in row["sources"]
        ),
        tokenizer=TokenizerRecipe(**row["tokenizer"]),
        clean=Clean(**{**row["clean"], "exclude": tuple(row["clean"]["exclude"])}),
        optimisation=Optimisation(**row["optimisation"]),
        embeddings=row["embeddings"],
        held_out=row["held_out"],
        seed=row["seed"],
    )


def open_data(recipe: Recipe, folder: Path) -> CorpusData:
    """Return the data in a folder that `make_data` has made."""
    from tokenizers import Tokenizer

    shards = folder / "shards"
    rows = json.loads((shards / SUMMARY).read_text(encoding="utf-8"))
    return CorpusData(
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        open_shards(shards, recipe.sources, TRAIN),
        open_shards(shards, recipe.sources, VALID),
        {name: SourceSummary(**row) for name, row in rows.items()},
    )


def for_minutes(recipe: Recipe, device: torch.device) -> Recipe:
    """Return a recipe whose stages the clock ends; without a GPU, with small steps."""
    stages = tuple(replace(stage, tokens=stage.tokens * _ENDLESS) for stage in recipe.stages)
    if device.type == "cpu":
        stages = tuple(replace(stage, batch=_SMALL, micro_batch=_SMALL) for stage in stages)
        if not has_bf16("cpu"):  # emulated, it is tens of times slower
            recipe = replace(recipe, optimisation=replace(recipe.optimisation, dtype="fp32"))
    return replace(recipe, stages=stages)


def compile_ahead(objective: MaskedLMObjective, recipe: Recipe, say: Say) -> None:
    """Compile the encoder for each length of packs, before the clock runs; without a compiler, say so and go on."""
    loss, device = objective.loss, next(objective.loss.parameters()).device
    rng = np.random.default_rng(0)
    for length, tokens in sorted({(span.length, stage.micro_batch) for stage in recipe.stages for span in stage.rows}):
        ids = torch.from_numpy(rng.integers(FIRST_PIECE, objective.model.config.vocab_size, tokens)).to(device)
        at = torch.arange(0, tokens, 3, device=device)
        positions = torch.arange(length, device=device).repeat(tokens // length)
        starts = torch.arange(0, tokens + 1, length, dtype=torch.int32, device=device)
        batch = Batch(Packed(ids, positions, starts, (length,) * (tokens // length)), at, ids[at], length, tokens)
        for _ in range(2):
            with objective.precision():
                error = loss(batch)
            error.backward()
        loss.zero_grad()
        say(f"rows of {length} are ready, loss of random ids {float(error.detach()):.2f}")


class Say:
    """Prints lines with the seconds since the start; figures of training at most every fifteen seconds."""

    def __init__(self, every: float = 15.0) -> None:
        self.start, self.every, self.said = time.monotonic(), every, 0.0

    def __call__(self, text: str) -> None:
        """Print a line."""
        sys.stdout.write(f"{time.monotonic() - self.start:6.1f} s  {text}\n")
        sys.stdout.flush()

    def progress(self, phase: str, done: int, total: int, figures: Mapping[str, float], /) -> None:
        """Print the progress of a run."""
        now = time.monotonic()
        if phase != "training" or now - self.said >= self.every:
            self.said = now
            self(f"{phase} {done:,}  " + "  ".join(f"{name} {value:,.4g}" for name, value in figures.items()))


def train_prepared(
    data: str | Path,
    out: str | Path,
    minutes: float,
    *,
    device: str,
    start: str | Path | None = None,
    seed: int | None = None,
    ahead: bool = False,
) -> None:
    """Train from a folder of data for some minutes in all, and write `OUT/model`.

    Args:
        data: The folder of the data and the recipe.
        out: The folder of the checkpoint, the log and the model.
        minutes: All that it may take, with compiling.
        device: `cuda` or `cpu`.
        start: A model folder to continue from, whose tokenizer the data has; None: a new model.
        seed: Another seed than the recipe's.
        ahead: Make batches in other processes even without a GPU.
    """
    data, out, start = Path(data), Path(out), None if start is None else Path(start)
    say, place = Say(), torch.device(device)
    recipe = for_minutes(read_recipe(data / RECIPE), place)
    recipe = recipe if seed is None else replace(recipe, seed=seed)
    found = open_data(recipe, data)
    say(f"{sum(len(shard.tokens) for shard in found.train):,} tokens to train on")
    on_gpu = place.type == "cuda"
    lengths = frozenset(span.length for stage in recipe.stages for span in stage.rows) if on_gpu else frozenset()
    out.mkdir(parents=True, exist_ok=True)
    if not on_gpu and minutes < _COUNTED:
        recipe = replace(recipe, embeddings="random")
    model = start_model(recipe, found, start, device=place).to(place)
    if start is not None and (pieces := found.tokenizer.get_vocab_size()) != model.config.vocab_size:
        raise JnlpError(f"{start} has {model.config.vocab_size:,} pieces, but the data has {pieces:,}")
    loss = MaskedLMLoss(model, compiled=lengths)
    objective = MaskedLMObjective(
        recipe,
        loss,
        found.train,
        found.valid,
        found.ends,
        Alone(place),
        turn=first_turn(start),
        ahead=ahead or on_gpu,
    )
    try:
        objective.start_ahead()
        say("the model has its first weights")
        if on_gpu:
            torch.set_float32_matmul_precision("high")
            try:
                compile_ahead(objective, recipe, say)
            except Exception:  # a slower form is better than none
                traceback.print_exc()
                say("not compiled: training goes on without")
                loss.uncompiled()
                loss.zero_grad()
        o = recipe.optimisation
        left = minutes * 60 - (time.monotonic() - say.start) - _LAST
        figures = train(
            objective,
            optimisers(model, o.name, lr=o.lr, matrix_lr=o.matrix_lr, weight_decay=o.weight_decay),
            Clock(recipe.tokens, max(left, min(20.0, minutes * 30))),
            Plan(o.clip, log_every=20, evaluate_every=1500 if on_gpu else 100_000, checkpoint_seconds=60.0),
            out,
            progress=say.progress,
            saved=lambda: export(model, found.tokenizer, out / "model"),
        )
        say("done  " + "  ".join(f"{name} {value:,.5g}" for name, value in figures.items()))
        if on_gpu:
            say(f"most GPU memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    finally:
        objective.close()


def main(arguments: list[str] | None = None, /) -> int:
    """Train; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m jnlp_pretrain.prepared", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of tokenised data with recipe.json")
    parser.add_argument("out", type=Path, help="the folder to write to")
    parser.add_argument("--minutes", type=float, required=True, help="all that it may take")
    parser.add_argument("--start", type=Path, help="a model folder to continue from")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda or cpu")
    parser.add_argument("--ahead", action="store_true", help="make batches in other processes, as on a GPU")
    parser.add_argument("--seed", type=int, help="another seed than the recipe's")
    args = parser.parse_args(arguments)
    try:
        train_prepared(
            args.data,
            args.out,
            args.minutes,
            device=args.device,
            start=args.start,
            seed=args.seed,
            ahead=args.ahead,
        )
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
