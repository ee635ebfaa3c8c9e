"""Pre-training, from a corpus and a recipe to a model folder in Hugging Face's format."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from jnlp.encoder.checkpoint import load_modernbert
from jnlp.encoder.files import digest_weights
from jnlp.encoder.modernbert import ModernBertConfig, ModernBertForMaskedLM
from jnlp.encoder.runtime import Runtime
from jnlp.errors import JnlpError
from jnlp.folders import cache_folder
from jnlp.io.durable import Lock
from jnlp.training.dense_encoder import LONGEST, can_compile
from jnlp.training.folder import refuse_taken
from jnlp.training.optim import optimisers
from jnlp.training.schedule import Clock
from jnlp.training.team import Alone, Team
from jnlp.types import TrainReport
from jnlp_pretrain import corpus as corpora
from jnlp_pretrain.cooccurrence import cooccurrence_embeddings, log_unigram, piece_counts
from jnlp_pretrain.corpus_data import CorpusData, data_digest, make_data
from jnlp_pretrain.export import export
from jnlp_pretrain.loop import Plan, train
from jnlp_pretrain.masked_lm import MaskedLMLoss, MaskedLMObjective, set_thetas
from jnlp_pretrain.recipe import fingerprint
from jnlp_pretrain.tokenizer_train import MASK, PAD, SPECIAL, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Progress
    from jnlp_pretrain.recipe import Recipe

_OUTPUTS = "outputs.txt"
COMPILERS = ("auto", "always", "never")
_WORTH = 1_000_000  # tokens of one length from which on compiling its form saves more time than it takes


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of a run in addition to its recipe.

    Args:
        runs: The folder of runs; None: `$JNLP_RUNS`, else the user's cache folder.
        hours: Maximum training time; the schedule ends with it.
        start: A model folder to continue from, with its tokenizer and its shape.
        compiler: `always` or `never` compile the encoder, or `auto`: for long runs, if a C++ compiler works.
        plan: The pace of logs and checkpoints; None: the recipe's.
        team: The processes that share the work.
    """

    runs: Path | None = None
    hours: float | None = None
    start: Path | None = None
    compiler: str = "auto"
    plan: Plan | None = None
    team: Team = field(default_factory=Alone)


def pretrain(
    recipe: Recipe,
    corpus: Sequence[str | Path],
    out: str | Path,
    options: RunOptions | None = None,
    *,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a tokenizer and a masked LM by a recipe, and write them to `out` as a Hugging Face folder.

    Each run has its own folder under `runs`, and continues there when called again with the same recipe and corpus:
    after Ctrl-C, after a kill, or to export once more. It keeps the model of each stage (`stage-1` …), so that stages
    can be compared. The tokenised corpus is stored next to it, for other runs too.

    Args:
        recipe: The recipe.
        corpus: Files and folders of text.
        out: The folder to make.
        options: The options of the run.
        progress: Called with (phase, done, total, figures).

    Raises:
        UsageError: The corpus is missing or empty, or belongs to no source of the recipe.
        JnlpError: The model to start from has dropout or other special tokens, a step's micro-batches cannot be
            shared by the processes, a stage has no text, another process is doing the same run, `out` contains files of
            another run, or it or the folder of runs cannot be created.
        Stopped: After Ctrl-C or SIGTERM, with a checkpoint written.
    """
    options, out = options or RunOptions(), Path(out)
    team = options.team
    for number, stage in enumerate(recipe.stages):
        if (parts := stage.batch // stage.micro_batch) % team.size:
            raise JnlpError(
                f"stage {number + 1} of {recipe.name} has {parts} micro-batches per step, which {team.size} processes"
                " cannot share equally",
                hint="as many processes as divide it, or a smaller micro_batch in the recipe",
            )
    files = corpora.files(map(Path, corpus))
    runs = options.runs or default_runs()
    run = runs / run_name(recipe, files, options.start)
    if str(out.resolve()) not in _outputs_of(run):
        refuse_taken(out)
    _check_writable(out, run)  # reported before the work, not after it
    with nullcontext() if team.rank else Lock(run / ".lock", run, hint="wait for it: it is the same run"):
        return _pretrain(recipe, files, run, out, options, progress if team.rank == 0 else None)


def _check_writable(out: Path, run: Path) -> None:
    for folder in (run, out.resolve().parent):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JnlpError(f"{folder} cannot be made: {(error.strerror or str(error)).lower()}") from error
    for folder in (run, out if out.exists() else out.resolve().parent):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise JnlpError(f"{folder} cannot be written", hint="its owner may, or name another with -o or --runs")


def _outputs_of(run: Path) -> list[str]:
    """Return the folders to which a run has written its model."""
    path = run / _OUTPUTS
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _pretrain(
    recipe: Recipe, files: Sequence[Path], run: Path, out: Path, options: RunOptions, tell: Progress | None
) -> TrainReport:
    team, runs = options.team, run.parent
    if team.rank == 0:  # the others read what it has made
        data = read_data(recipe, files, runs, options.start, tell)
    team.wait()
    if team.rank > 0:
        data = read_data(recipe, files, runs, options.start, None)
    for number, stage in enumerate(recipe.stages):
        if not any(stage.mix.get(shard.name, shard.weight) > 0 for shard in data.train):
            raise JnlpError(
                f"stage {number + 1} of {recipe.name} has no text: the sources that the corpus has weigh 0 in it",
                hint="weights of the sources, or the stage's `mix`",
            )
    if team.rank == 0:
        write_json(run / "recipe.json", asdict(recipe))
    resumed = (run / "checkpoint.pt").exists()
    model = start_model(recipe, data, options.start, resumed=resumed, device=team.device).to(team.device)
    compiled = compiled_lengths(recipe, options.compiler, team.device)
    loss = MaskedLMLoss(model, compiled=compiled, require_compile=options.compiler == "always")

    def keep(stage: int) -> None:
        if team.rank == 0:
            export(model, data.tokenizer, run / f"stage-{stage + 1}")

    objective = MaskedLMObjective(
        recipe, loss, data.train, data.valid, data.ends, team, finished=keep, turn=first_turn(options.start)
    )
    o = recipe.optimisation
    try:
        figures = train(
            objective,
            optimisers(model, o.name, lr=o.lr, matrix_lr=o.matrix_lr, weight_decay=o.weight_decay),
            Clock(recipe.tokens, options.hours * 3600 if options.hours else None),
            options.plan or Plan(o.clip),
            run,
            team=team,
            progress=tell,
        )
    finally:
        objective.close()
    if team.rank == 0:
        made = sorted({*_outputs_of(run), str(out.resolve())})
        (run / _OUTPUTS).write_text("".join(f"{folder}\n" for folder in made), encoding="utf-8")
        export(model, data.tokenizer, out.resolve())
    team.wait()  # the first to leave must not break what the others have under way
    dropped: Counter[str] = sum((Counter(s.dropped) for s in data.summary.values()), Counter())
    return TrainReport(
        folder=out,
        metrics=figures,
        rows={name: summary.documents["train"] for name, summary in data.summary.items()},
        details={
            "recipe": asdict(recipe),
            "torch": torch.__version__,
            "run": str(run),
            "start": str(options.start) if options.start else None,
            "dropped": dict(dropped),
            "source_tokens": {name: summary.tokens["train"] for name, summary in data.summary.items()},
        },
    )


def default_runs() -> Path:
    """Return the folder of runs: `$JNLP_RUNS`, else the user's cache folder."""
    named = os.environ.get("JNLP_RUNS")
    return Path(named) if named else cache_folder() / "runs"


def run_name(recipe: Recipe, files: Sequence[Path], start: Path | None = None) -> str:
    """Return the name of a run's folder: the same for the same recipe, corpus and start."""
    listing: list[object] = [(path.name, path.stat().st_size) for path in files]
    listing += [source.name for source in recipe.sources or corpora.own_sources(files)]
    return f"{recipe.name}-{recipe.digest()}-{fingerprint([listing, digest_weights(start) if start else None], 8)}"


def first_turn(start: Path | None) -> int:
    """Return the portion of the endless stream of passes with which a run begins.

    A run that continues from a model gets its own order. Otherwise it would begin with the same text and masks as the
    model's own run.
    """
    return int(digest_weights(start)[:4], 16) + 1 if start else 0


def read_data(
    recipe: Recipe, files: Sequence[Path], runs: Path, start: Path | None = None, progress: Progress | None = None
) -> CorpusData:
    """Return the tokenised corpus of a run, creating it if needed."""
    tokenizer = _tokenizer_of(start) if start else None
    sources = recipe.sources or corpora.own_sources(files)
    folder = runs / f"data-{data_digest(replace(recipe, sources=sources), files, tokenizer)}"
    return make_data(recipe, sources, corpora.assign(sources, files), folder, tokenizer=tokenizer, progress=progress)


def start_model(
    recipe: Recipe,
    data: CorpusData,
    start: Path | None = None,
    *,
    resumed: bool = False,
    device: torch.device | str = "cpu",
) -> ModernBertForMaskedLM:
    """Return the initial fp32 model of a run: a folder's, or a new one whose bias is the log frequencies.

    Args:
        recipe: The shape, and the initialisation of embeddings.
        data: The data for the counts.
        start: A model folder, or None.
        resumed: A checkpoint will replace the weights, so they need no initialisation.
        device: Where embeddings are computed; the model itself stays on the CPU.
    """
    torch.manual_seed(recipe.seed)
    if start:
        model = load_modernbert(start, ModernBertForMaskedLM, Runtime(device="cpu", dtype="fp32"))
        model.requires_grad_(requires_grad=True).train()
        if model.config.embedding_dropout or model.config.attention_dropout or model.config.mlp_dropout:
            raise JnlpError(f"{start} has dropout, and pre-training has none", hint="set its dropouts to 0.0")
        return model
    shape, vocabulary = recipe.shape, data.tokenizer.get_vocab_size()
    config = ModernBertConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // 64,
        max_position_embeddings=shape.max_length,
    )
    model = ModernBertForMaskedLM(config)
    set_thetas(model, recipe.stages[0])
    with torch.no_grad():
        bias = model.decoder.bias
        assert bias is not None  # the config's default
        bias.copy_(log_unigram(piece_counts(data.train, vocabulary)))
        if recipe.embeddings == "cooccurrence" and not resumed:
            table = model.model.embeddings.tok_embeddings.weight
            std = config.initializer_range
            made = cooccurrence_embeddings(
                data.train, vocabulary, shape.hidden, std=std, seed=recipe.seed, device=device
            )
            table.copy_(made)
    return model


def _tokenizer_of(folder: Path) -> str:
    """Return the JSON of a model's tokenizer.

    Raises:
        JnlpError: It is missing, or its special tokens have other ids than ModernBERT-Ja's.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise JnlpError(f"{path} is missing", hint="--from needs a folder with a model and its tokenizer")
    tokenizer = Tokenizer.from_file(str(path))
    wrong = [token for number, token in enumerate(SPECIAL) if tokenizer.token_to_id(token) != number]
    if wrong:
        raise JnlpError(
            f"the tokenizer in {folder} has {wrong[0]} elsewhere than ModernBERT-Ja's",
            hint=f"pre-training needs a tokenizer with <mask> {MASK} and <pad> {PAD}",
        )
    return path.read_text(encoding="utf-8")


def compiled_lengths(recipe: Recipe, compiler: str, device: torch.device) -> frozenset[int]:
    """Return the lengths of packs for which the encoder is compiled.

    Args:
        recipe: The recipe.
        compiler: One of `COMPILERS`: with `always`, each length of packs that dense attention can take.
        device: Where it is trained. A GPU needs no C++ compiler.

    Raises:
        JnlpError: It is `always`, and there is no C++ compiler.
    """
    tokens: Counter[int] = Counter()
    for stage in recipe.stages:
        for span in stage.rows:
            if stage.packing != "none" and span.length <= LONGEST:
                tokens[span.length] += round(stage.tokens * span.share)
    able = device.type != "cpu" or can_compile()  # for a GPU, Triton brings what it needs
    if compiler == "always":
        if not able:
            raise JnlpError("torch's compiler finds no C++ compiler", hint="install g++, or --compiler never")
        return frozenset(tokens)
    if compiler == "never" or device.type not in ("cpu", "cuda") or not able:
        return frozenset()
    return frozenset(length for length, count in tokens.items() if count >= _WORTH)
