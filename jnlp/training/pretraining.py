"""Pre-training: corpus and recipe in, a model folder in Hugging Face's format out."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from jnlp.encoder.modernbert import ModernBertConfig, ModernBertForMaskedLM
from jnlp.training import corpus as corpora
from jnlp.training.cooccurrence import cooccurrence_embeddings, log_unigram, piece_counts
from jnlp.training.loop import Plan, train
from jnlp.training.masked_lm import MaskedLMObjective
from jnlp.training.optim import optimisers
from jnlp.training.schedule import Clock
from jnlp.training.shards import TRAIN, VALID, Shard, build_shards, open_shards
from jnlp.training.tokenizer_train import save_tokenizer, train_tokenizer, write_json
from jnlp.types import TrainReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tokenizers import Tokenizer
    from torch import Tensor

    from jnlp.training.corpus import Source
    from jnlp.training.loop import Progress
    from jnlp.training.recipe import Recipe

_SENTENCE_ENDS = ("。", "!", "?", "<0x0A>")


def pretrain(
    recipe: Recipe,
    corpus: Sequence[Path],
    out: Path,
    *,
    runs: Path | None = None,
    hours: float | None = None,
    plan: Plan | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a tokenizer and a masked LM by a recipe, and write them to `out` as a Hugging Face folder.

    The run lives in a folder of its own under `runs` and continues there when the same recipe and corpus are given
    again: after Ctrl-C, a kill, or to export once more.

    Args:
        recipe: What to make.
        corpus: Files and folders of text.
        out: The folder to make.
        runs: Where runs live; `$JNLP_RUNS`, else the user's cache folder.
        hours: A limit to the time spent on training; the schedule then ends when it is over.
        plan: The pace of logs and checkpoints; by default from the recipe.
        progress: Called with (phase, done, total, figures).

    Raises:
        UsageError: The corpus is missing or empty, or belongs to no source of the recipe.
        Stopped: After Ctrl-C, with a checkpoint written.
    """
    files = corpora.files(corpus)
    sources = recipe.sources or tuple(_own_sources(files))
    run = (runs or default_runs()) / f"{recipe.name}-{recipe.digest()}-{_listing(files)}"
    tokenizer, shards = prepare(recipe, sources, corpora.assign(sources, files), run, progress)
    ends = [number for piece in _SENTENCE_ENDS if (number := tokenizer.token_to_id(piece)) is not None]
    held_out = open_shards(run / "shards", sources, VALID)
    started = (run / "checkpoint.pt").exists()
    model = start_model(replace(recipe, embeddings="random") if started else recipe, tokenizer, shards)
    objective = MaskedLMObjective(recipe, model, shards, held_out, ends)
    o = recipe.optimisation
    figures = train(
        objective,
        optimisers(objective.model, o.name, lr=o.lr, matrix_lr=o.matrix_lr, weight_decay=o.weight_decay),
        Clock(recipe.tokens, hours * 3600 if hours else None),
        plan or Plan(o.warmup, o.decay, o.clip),
        run,
        progress=progress,
    )
    export(objective.model, tokenizer, out)
    return TrainReport(
        folder=out,
        metrics=figures,
        rows={shard.name: len(shard.ends) for shard in shards},
        details={"recipe": asdict(recipe), "torch": torch.__version__, "run": str(run)},
    )


def default_runs() -> Path:
    """Return where runs live: `$JNLP_RUNS`, else the user's cache folder."""
    from platformdirs import user_cache_path

    named = os.environ.get("JNLP_RUNS")
    return Path(named) if named else user_cache_path("jnlp") / "runs"


def prepare(
    recipe: Recipe,
    sources: Sequence[Source],
    table: dict[str, list[Path]],
    run: Path,
    progress: Progress | None = None,
) -> tuple[Tokenizer, list[Shard]]:
    """Train the tokenizer and tokenise the corpus into the run's folder, where that has not been done."""
    from tokenizers import Tokenizer

    run.mkdir(parents=True, exist_ok=True)
    path = run / "tokenizer.json"
    if not path.exists():
        if progress:
            progress("tokenizer", 0, 1, {})
        sample = _sample(recipe, sources, table)
        train_tokenizer(sample, recipe.tokenizer).save(str(run / "tokenizer.json.part"))
        (run / "tokenizer.json.part").replace(path)
    tokenizer = Tokenizer.from_file(str(path))
    counted = itertools.count(1)

    def tell(name: str, tokens: int) -> None:
        if progress:
            progress("shards", next(counted), len(sources), {name: float(tokens)})

    build_shards(tokenizer, sources, table, run / "shards", held_out=recipe.held_out, progress=tell)
    return tokenizer, open_shards(run / "shards", sources, TRAIN)


def _sample(recipe: Recipe, sources: Sequence[Source], table: dict[str, list[Path]]) -> Iterator[str]:
    """Yield lines for the tokenizer: an equal number of characters from each source, by hash, none held out."""
    share = recipe.tokenizer.characters // max(sum(bool(paths) for paths in table.values()), 1)
    for source in sources:
        room = share
        size = sum(path.stat().st_size for path in table[source.name])
        # three bytes a character, five to one compressed: only how densely documents are drawn hangs on it
        rate = min(1.0, 3 * share / max(size, 1))
        for key, text in corpora.documents(source, table[source.name]):
            if room <= 0:
                break
            if corpora.fraction(key, "held out") >= recipe.held_out and corpora.fraction(key, "sample") < rate:
                yield from text[:room].split("\n")
                room -= len(text)


def start_model(recipe: Recipe, tokenizer: Tokenizer, shards: Sequence[Shard]) -> ModernBertForMaskedLM:
    """Return the model a run starts from: its bias the log frequencies, its embeddings as the recipe says."""
    torch.manual_seed(recipe.seed)
    shape, vocabulary = recipe.shape, tokenizer.get_vocab_size()
    config = ModernBertConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // 64,
        max_position_embeddings=shape.max_length,
    )
    model = ModernBertForMaskedLM(config)
    with torch.no_grad():
        model.decoder.bias.copy_(log_unigram(piece_counts(shards, vocabulary)))  # type: ignore[union-attr]
        if recipe.embeddings == "cooccurrence":
            table = model.model.embeddings.tok_embeddings.weight
            std = config.initializer_range
            table.copy_(cooccurrence_embeddings(shards, vocabulary, shape.hidden, std=std, seed=recipe.seed))
    return model


def export(model: ModernBertForMaskedLM, tokenizer: Tokenizer, out: Path) -> None:
    """Write a folder that transformers and jnlp load: fp16 weights (the tied decoder once), config and tokenizer.

    The folder is written beside `out` and takes its place when it is whole; other files in `out` (a model card) stay.
    """
    from safetensors.torch import save

    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    weights: dict[str, Tensor] = {
        name: value.half().contiguous() for name, value in model.state_dict().items() if name != "decoder.weight"
    }
    (part / "model.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))
    config = model.config.to_dict() | {"architectures": ["ModernBertForMaskedLM"], "dtype": "float16"}
    write_json(part / "config.json", config)
    save_tokenizer(tokenizer, part, max_length=model.config.max_position_embeddings)
    out.mkdir(parents=True, exist_ok=True)
    for path in part.iterdir():
        path.replace(out / path.name)
    part.rmdir()


def _own_sources(files: Iterable[Path]) -> Iterator[Source]:
    for path in files:
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
        yield corpora.Source(name=f"{path.name.split('.')[0]}-{digest}", match=(str(path),))


def _listing(files: Iterable[Path]) -> str:
    text = "\n".join(f"{path.name}\t{path.stat().st_size}" for path in files)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
