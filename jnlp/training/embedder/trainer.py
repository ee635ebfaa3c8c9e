"""Trains a ModernBERT into an embedder from pairs of related texts.

The parts: `pairs` defines the data, `pair_batches` makes batches, `sequences` runs them, `losses` and `grad_cache`
compute gradients, `hard_negatives` finds documents that the model confuses, `objective` is fitted by `training.epochs`,
and `folder` writes a folder for sentence-transformers. This module combines them; it is light to import.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from jnlp.errors import JnlpError
from jnlp.folders import cache_folder
from jnlp.training.options import PairOptions, recorded
from jnlp.types import Option, Pooling, Purpose, TrainReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jnlp.encoder.modernbert import ModernBert
    from jnlp.training.embedder.pairs import GradedSet, PairSet, TextSet
    from jnlp.training.embedder.teacher import Teacher
    from jnlp.types import Example, Models, Progress

PREFIXES = {Purpose.QUERY: "検索クエリ: ", Purpose.DOCUMENT: "検索文書: "}
"""The prefixes of texts where neither the base nor the user gives any: the prefixes of ruri-v3."""


@dataclass(frozen=True, slots=True)
class EmbedderOptions(PairOptions):
    """How an embedder is trained."""

    epochs: Annotated[int, Option("Passes over the training pairs; the best is kept.", ge=1)] = 5
    batch_size: Annotated[int, Option("Documents per step, with their queries; all others are negatives.", ge=2)] = 128
    max_length: Annotated[int, Option("Longest training text in tokens; the rest of it is cut.", ge=8)] = 256
    patience: Annotated[int, Option("Epochs without a better score before it stops; 0: never.", ge=0)] = 2
    hours: Annotated[float | None, Option("Time limit; the learning rate falls to 0 by then.", gt=0)] = None
    temperature: Annotated[float, Option("The divisor of cosines in the loss.", gt=0)] = 0.05
    symmetric: Annotated[bool, Option("Train documents to find their queries too.")] = False
    mine: Annotated[
        int, Option("Hard negatives added to the batch for each document, from the second epoch on.", ge=0)
    ] = 0
    mine_margin: Annotated[
        float, Option("Skip negatives above this share of the answer's cosine: they may be right too.", gt=0)
    ] = 0.95
    mine_skip: Annotated[int, Option("Number of nearest negatives to skip.", ge=0)] = 0
    mine_group: Annotated[
        bool, Option("In the first epoch, take hard negatives from the document's own group (--group).")
    ] = False
    dimensions: Annotated[
        tuple[int, ...], Option("Also train truncated vectors of these widths (Matryoshka).", metavar="N,M")
    ] = ()
    query_prefix: Annotated[str | None, Option("Put before queries; the base's own where none is given.")] = None
    document_prefix: Annotated[str | None, Option("Put before documents; likewise.")] = None
    cache_tokens: Annotated[
        int, Option("Batches of more tokens take a third more time and little memory (GradCache).", ge=0)
    ] = 65_536
    pooling: Annotated[Pooling, Option("How token states become one vector.")] = Pooling.MEAN
    teacher: Annotated[
        str | None,
        Option("An embedder to learn from, by name or folder; rows may then be single texts.", metavar="MODEL"),
    ] = None
    teacher_weight: Annotated[float, Option("Weight of the teacher's losses; those of the pairs have 1.", gt=0)] = 1.0
    teacher_temperature: Annotated[float, Option("The divisor of the teacher's cosines.", gt=0)] = 0.02
    teacher_margin: Annotated[
        float,
        Option("No negative: what the teacher finds nearer than this share of the answer's cosine; 0: all are.", ge=0),
    ] = 0.99
    teacher_cache: Annotated[
        Path | None, Option("Where the teacher's vectors are kept; the user's cache folder.", metavar="DIR")
    ] = None


@dataclass(frozen=True, slots=True)
class EmbedderSets:
    """The training sets, and the validation sets that select the epoch."""

    pairs: Sequence[PairSet]
    graded: Sequence[GradedSet] = ()
    valid: Sequence[PairSet] = ()
    valid_graded: Sequence[GradedSet] = ()
    texts: Sequence[TextSet] = ()
    valid_texts: Sequence[TextSet] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """The rows of each set that is trained on."""
        sets: list[PairSet | GradedSet] = [*self.pairs, *self.graded]
        return {one.name: len(one.pairs) for one in sets} | {one.name: len(one.texts) for one in self.texts}

    @property
    def held(self) -> int:
        """The rows that choose the epoch."""
        sets: list[PairSet | GradedSet] = [*self.valid, *self.valid_graded]
        return sum(len(one.pairs) for one in sets) + sum(len(one.texts) for one in self.valid_texts)


@dataclass(frozen=True, slots=True)
class Described:
    """Facts for the card that the run does not know.

    Args:
        name: The model's name.
        base: The base's name.
        licence: SPDX identifier.
        notes: Markdown put after the scores: data and credits, limits.
    """

    name: str
    base: str
    licence: str | None = None
    notes: str = field(default="")


class EmbedderTrainer:
    """The `Trainer` of `jnlp train embedder`."""

    def fit(
        self,
        train: Sequence[Example],
        valid: Sequence[Example] | None,
        options: EmbedderOptions,
        out: Path,
        /,
        *,
        models: Models,
        base: Path,
        device: str,
        progress: Progress,
    ) -> TrainReport:
        """Train on top of `base` and write a model folder; hold out what was not given.

        Raises:
            JnlpError: Rows are not pairs or too few, the base is not a ModernBERT, or `out` exists.
        """
        teacher = teacher_of(options, models) if options.teacher else None
        sets = divide(train, valid, options)
        return fit_embedder(sets, options, out, base=base, progress=progress, device=device, teacher=teacher)


def make_trainer() -> EmbedderTrainer:
    """Return the trainer of embedders."""
    return EmbedderTrainer()


def divide(train: Sequence[Example], valid: Sequence[Example] | None, options: EmbedderOptions, /) -> EmbedderSets:
    """Return examples as sets; pairs of `valid` are not trained on, and without it a share of each set is held out.

    Raises:
        JnlpError: Nothing to train on or to choose by.
    """
    from jnlp.training.embedder.pairs import TextSet, hold_out, hold_out_texts, key_of, keys_of, part_texts, sets_of

    share, seed = options.valid_share, options.seed
    texts, rows = part_texts(train) if options.teacher else ([], train)
    pairs, graded = sets_of(rows)
    if not pairs and not graded and not texts:
        raise JnlpError("no pair belongs together", hint="rows without a label, with a number, or with entailment")
    if valid is not None:
        held_texts, held_rows = part_texts(valid) if options.teacher else ([], valid)
        held, held_graded = sets_of(held_rows)
        seen = keys_of(held, held_graded)
        pairs = [replace(s, pairs=[p for p in s.pairs if key_of(p) not in seen]) for s in pairs]
        graded = [replace(g, pairs=[p for p in g.pairs if key_of(p) not in seen]) for g in graded]
        pairs, graded = [s for s in pairs if s.pairs], [g for g in graded if g.pairs]
        known = set(held_texts)
        texts = [text for text in texts if text not in known]
        if not pairs and not graded and not texts:
            raise JnlpError("all pairs to train on are among those of --valid", hint="give others")
    else:
        parts = [hold_out(s.pairs, share, seed) for s in pairs]
        graded_parts = [hold_out(g.pairs, share, seed) for g in graded]
        held = [replace(s, pairs=part[1]) for s, part in zip(pairs, parts, strict=True)]
        held_graded = [replace(g, pairs=part[1]) for g, part in zip(graded, graded_parts, strict=True)]
        pairs = [replace(s, pairs=part[0]) for s, part in zip(pairs, parts, strict=True)]
        graded = [replace(g, pairs=part[0]) for g, part in zip(graded, graded_parts, strict=True)]
        texts, held_texts = hold_out_texts(texts, share, seed) if texts else ([], [])
    return EmbedderSets(
        pairs,
        graded,
        held,
        held_graded,
        [TextSet("texts", texts)] if texts else [],
        [TextSet("texts", held_texts)] if held_texts else [],
    )


def teacher_of(options: EmbedderOptions, models: Models, /) -> Teacher:
    """Return the teacher that the options name, with the cache of its vectors."""
    from jnlp.training.embedder.teacher import Teacher

    cache = options.teacher_cache or cache_folder() / "teachers"
    return Teacher(models.embedder(options.teacher), cache)


def fit_embedder(
    sets: EmbedderSets,
    options: EmbedderOptions,
    out: Path,
    /,
    *,
    base: Path,
    progress: Progress,
    described: Described | None = None,
    device: str = "auto",
    teacher: Teacher | None = None,
) -> TrainReport:
    """Train an embedder on given sets and write `out` in sentence-transformers' layout, with `metrics.json` and a card.

    Args:
        sets: The training and validation sets.
        options: The options.
        out: The folder to make; written next to its place and renamed when complete. Until then a checkpoint is
            kept, from which the same call continues.
        base: The folder of the model to start from.
        progress: Called with (phase, done, total, figures).
        described: For the card.
        device: `cpu`, `cuda` …; `auto` takes the GPU if there is one.
        teacher: A teacher, in addition to the pairs; single texts need one.

    Raises:
        JnlpError: A base that is not a ModernBERT, dimensions over its width, or an `out` that exists.
    """
    from jnlp.encoder.files import digest_weights
    from jnlp.encoder.runtime import Runtime
    from jnlp.encoder.tokenizer import load_tokenizer
    from jnlp.training.embedder.folder import write_embedder
    from jnlp.training.embedder.lessons import make_objective
    from jnlp.training.embedder.pair_batches import encoder_of
    from jnlp.training.epochs import Pace, fit
    from jnlp.training.folder import read_config, resumable, versions, whole_folder

    config = read_config(base)
    width = int(config["hidden_size"])
    if too_wide := [d for d in options.dimensions if not 0 < d <= width]:
        raise JnlpError(f"--dimensions {too_wide[0]}: the model has {width}", hint=f"numbers from 1 to {width}")
    prefixes = prefixes_of(base, options)
    place, _ = Runtime(device=device).place()
    length = min(options.max_length, int(config.get("max_position_embeddings", 8192)))
    taught_by = teacher.embedder.fingerprint if teacher else None
    run = [replace(options, resume=None), config, digest_weights(base), sets, taught_by]
    with whole_folder(out) as part, resumable(out, run, resume=options.resume) as checkpoint:
        encode = encoder_of(load_tokenizer(base), prefixes, length)
        module = load_encoder(base, config).to(place)
        rate = options.lr or default_rate(width)
        objective = make_objective(module, sets, options, encode, place, teacher, progress)
        before = objective.evaluate()
        module.requires_grad_(requires_grad=True)
        fitted = fit(objective, Pace.of(options, rate, hours=options.hours), progress, checkpoint=checkpoint)
        report: dict[str, Any] = {
            "rows": {
                "train": sum(sets.sizes.values()),
                "valid": sets.held,
            },
            "sets": sets.sizes,
            "best_epoch": fitted.best + 1,
            "epochs": list(fitted.epochs),
            "tokens": fitted.tokens,
            "seconds": fitted.seconds,
            "before": before,
            "scores": {name: value for name, value in fitted.epochs[fitted.best].items() if name in before},
            "prefixes": {purpose.value: prefix for purpose, prefix in prefixes.items()},
            "details": {
                "options": recorded(options, lr=rate, teacher=options.teacher and Path(options.teacher).name),
                "device": place.type,
                "versions": versions(),
            },
        }
        about = described or Described(out.name, base.name)
        write_embedder(part, base, config, module, prefixes, options, about, report)
    return TrainReport(out, report["scores"], report["rows"], report["details"])


def prefixes_of(base: Path, options: EmbedderOptions, /) -> dict[Purpose, str]:
    """Return the prefixes by purpose: those given, else the base's own, else ruri's; similarity has none by itself."""
    from jnlp.models.folder import inspect

    own = dict(inspect(base).prefixes) or PREFIXES
    given = {Purpose.QUERY: options.query_prefix, Purpose.DOCUMENT: options.document_prefix}
    return {purpose: own.get(purpose, "") for purpose in Purpose} | {p: v for p, v in given.items() if v is not None}


def default_rate(hidden: int, /) -> float:
    """Return the default peak rate: 5e-4 at width 256, proportional to 1/width."""
    return 0.128 / hidden


def load_encoder(base: Path, config: Mapping[str, Any], /) -> ModernBert:
    """Return the encoder of a ModernBERT folder in fp32, to be trained.

    Raises:
        JnlpError: The folder lacks a weight.
    """
    from jnlp.encoder.config import ModernBertConfig
    from jnlp.encoder.modernbert import ModernBert
    from jnlp.training.folder import read_states

    module = ModernBert(ModernBertConfig.from_dict(config))
    states = {name.removeprefix("model."): tensor for name, tensor in read_states(base).items()}
    if lacking := sorted(module.state_dict().keys() - states.keys()):
        raise JnlpError(f"{base} lacks the weights {lacking[0]}", hint="give a whole model folder")
    module.load_state_dict({name: states[name] for name in module.state_dict()})
    return module
