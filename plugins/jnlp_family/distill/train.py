"""`python -m jnlp_family.distill.train`: an embedder that has learned a teacher's token states.

    python -m jnlp_family.distill.train teach DATA --teacher DIR --like TINY_SEARCH -o LESSONS
    python -m jnlp_family.distill.train fit LESSONS -o DIR --minutes 60

`teach` writes the texts as ids, the teacher reduced to their pieces, and the teacher's states of the tokens, 770 bytes
a token, in shards; it continues where it was stopped. `fit` may run at the same time and reads the shards that are
ready. It keeps a checkpoint next to DIR, from which the same command continues.

With a GPU, `teach --shards 0` writes no states (130 MB in all, which can be carried to a machine with little more than
torch and transformers), and `fit --device cuda` computes them first, in a minute, and keeps them in the GPU's memory.
The sets of the tuning that follows are carried by `python -m jnlp_family.search.train DATA --student --save-sets FILE`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer

from jnlp.errors import JnlpError
from jnlp.executors.prefetch import Prefetcher
from jnlp.strict_json import dumps
from jnlp.training import checkpoints
from jnlp_family.distill import development, pieces, states, texts
from jnlp_family.distill.texts import Role
from jnlp_family.script import run_script, say
from jnlp_family.search.train import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from jnlp.encoder.modernbert import ModernBert
    from jnlp_family.distill.states import Lessons, Shard

    Ids = NDArray[np.int64]

PREFIXES = {Role.QUERY: "query: ", Role.PASSAGE: "passage: "}
"""Of multilingual-e5."""

SIZE, LAYERS, WIDTHS = 24_000, 4, (384, 256, 128, 64)
"""Ids, layers, and widths of vectors that work alone."""

LR, MATRIX_LR, WARMUP, FLAT = 1.5e-3, 3e-3, 100, 0.3
"""Peak rates of AdamW and Muon; the first steps; the share of the time before the rates fall."""

TOKENS = {"cpu": 8_192, "cuda": 31_000}
"""Tokens of a step, by device: on a GPU what its rows hold, nearly always."""

_SAVED = {"cpu": 420.0, "cuda": 60.0}  # seconds between checkpoints, by device
_AHEAD = 2  # batches that are prepared ahead, and as many that the loop has taken
_SAID = 20.0  # seconds between lines


def teach(data: Path, teacher: Path, like: Path, out: Path, /, *, shards: int | None, smoke: bool = False) -> Lessons:
    """Write the texts, the tokenizer and the teacher's states of all tokens.

    Args:
        data: The data folder.
        teacher: The teacher's folder.
        like: A folder whose tokenizer has the form that is wanted.
        out: Where to; what is there is kept.
        shards: Number of shards; None is all. With 0 even the states of single pieces are left to `fit`.
        smoke: One of 200 texts, for a trial.

    Raises:
        JnlpError: Data or a model is missing.
    """
    rows = texts.texts(data, share=0.001 if smoke else 1.0)
    chosen = pieces.choose(teacher, like, (text for _, text in rows), 2_000 if smoke else SIZE)
    encode = _encoder(chosen.tokenizer)
    lessons = states.begin(out, like, chosen.tokenizer, encode, rows)
    development.write(data, encode, out, most=40 if smoke else None)
    states.reduce_teacher(teacher, chosen.taught, PREFIXES, lessons.teacher)
    if shards != 0:
        states.teach(lessons, _teacher(lessons, torch.device("cpu")), most=shards, say=say)
    return lessons


def fit(
    lessons: Lessons,
    out: Path,
    minutes: float,
    /,
    *,
    layers: int = LAYERS,
    device: str = "cpu",
    compiled: bool = True,
) -> Mapping[str, float]:
    """Train a student, write its folder, and return the losses and scores of its end.

    Args:
        lessons: The texts and the teacher's states.
        out: The folder to make.
        minutes: Time; the rates fall to 0 by then.
        layers: Number of layers.
        device: `cpu`, or `cuda` to compute the teacher's states there too.
        compiled: Compile the forms of rows, a minute and more.

    Raises:
        JnlpError: No shard is ready, or `out` exists.
    """
    from jnlp.encoder.config import ModernBertConfig
    from jnlp.encoder.modernbert import ModernBert
    from jnlp.training.folder import read_config, whole_folder
    from jnlp.training.optim import load_states, optimisers, update
    from jnlp_family.distill.student import Student, Targets, embeddings, shape, start

    place = torch.device(device)
    if place.type != "cpu":
        lessons = _all_at_hand(lessons, place)
    if not lessons.ready():
        raise JnlpError(
            f"{lessons.folder} has no shard that is ready", hint="python -m jnlp_family.distill.train teach …"
        )
    torch.manual_seed(1)
    first = lessons.shard(lessons.ready()[0])
    targets = Targets.of(first, lessons.roles[list(first.rows)])
    table = embeddings(lessons, lessons.ready()[:4], targets, pieces.FIRST)
    config = shape(read_config(lessons.like), table.shape[1], layers, len(table))
    model = ModernBert(ModernBertConfig.from_dict(config)).to(place)
    start(model, table, targets.scale)
    student = Student(model, targets, WIDTHS, compiled=compiled)
    steppers = optimisers(model, "muon", lr=LR, matrix_lr=MATRIX_LR, weight_decay=0.01)
    kept = out.with_name(f".{out.name}.checkpoint")
    run = _Run(TOKENS[place.type])
    if kept.exists():
        with checkpoints.loaded(kept, device=place) as saved:
            model.load_state_dict(saved["model"])
            load_states(steppers, saved["optimisers"])
            run = _Run(TOKENS[place.type], **saved["run"])
    held = development.read(lessons.folder)
    losses: Mapping[str, torch.Tensor] = {}
    batches = (
        (student.parts(lessons, shard, batch), sum(len(lessons.ids[shard.rows[at]]) + 2 for at in batch))
        for shard, batch in run.batches(lessons, minutes * 60)
    )
    with whole_folder(out) as folder, ExitStack() as last, Prefetcher(batches, most=_AHEAD) as ahead:
        last.callback(ahead.join)
        saved_at = time.monotonic()
        for parts, tokens in ahead:
            losses = student.learn(parts)
            update(model, steppers, run.rate(minutes * 60), clip=1.0)
            run.count(tokens, losses, minutes * 60)
            if time.monotonic() - saved_at > _SAVED[place.type]:
                content = {"model": model.state_dict(), "optimisers": [one.state_dict() for one in steppers]}
                checkpoints.save(kept, content | {"run": run.record()})
                run.say({"tokens": run.tokens, **held.scores(student.embed)})
                saved_at = time.monotonic()
        figures = {name: float(value) for name, value in losses.items()} | held.scores(student.embed)
        run.say({"tokens": run.tokens, **figures})
        _write(folder, lessons, config, model, run, figures)
    kept.unlink(missing_ok=True)
    return figures


def _teacher(lessons: Lessons, place: torch.device) -> states.StateTeacher:
    return states.StateTeacher(lessons.teacher, pieces.FIRST, place)


def _all_at_hand(lessons: Lessons, place: torch.device) -> Lessons:
    """Return lessons whose states a teacher has computed, all of them."""
    began = time.monotonic()
    live = states.LiveLessons(lessons.folder, _teacher(lessons, place))
    count = sum(len(live.shard(number).states) for number in live.ready())
    say(f"the teacher has read {count:,} tokens in {time.monotonic() - began:.0f} s")
    return live


class _Run:
    """How far a training is: steps, tokens, seconds of work and how often each shard was read."""

    def __init__(
        self, size: int, step: int = 0, tokens: int = 0, seconds: float = 0.0, visits: dict[int, int] | None = None
    ) -> None:
        self.size, self.step, self.tokens, self.seconds = size, step, tokens, seconds
        self._visits = dict(visits or {})
        self._since = time.monotonic() - seconds
        self._next = 0.0

    def record(self) -> dict[str, Any]:
        return {"step": self.step, "tokens": self.tokens, "seconds": self.seconds, "visits": self._visits}

    def batches(self, lessons: Lessons, seconds: float) -> Iterator[tuple[Shard, list[int]]]:
        """Yield batches until the time is over: of the shard that was read least, in random order."""
        while True:
            number = min(lessons.ready(), key=lambda one: (self._visits.get(one, 0), one))
            self._visits[number] = self._visits.get(number, 0) + 1
            shard = lessons.shard(number)
            rng = np.random.default_rng([number, self._visits[number]])
            order = rng.permutation(len(shard.rows)).tolist()
            ends = np.cumsum([len(lessons.ids[shard.rows[at]]) + 2 for at in order])
            cuts = np.searchsorted(ends, np.arange(self.size, ends[-1], self.size), side="right").tolist()
            for first, last in zip([0, *cuts], [*cuts, len(order)], strict=True):
                if self.seconds >= seconds:
                    return
                yield shard, order[first:last]

    def rate(self, seconds: float) -> float:
        """Return the share of the peak rates: a short rise, level, then a straight fall to 0."""
        left = max(0.0, 1 - self.seconds / seconds)
        return min(1.0, (self.step + 1) / WARMUP, left / (1 - FLAT))

    def count(self, tokens: int, losses: Mapping[str, torch.Tensor], wanted: float) -> None:
        self.step, self.tokens, self.seconds = self.step + 1, self.tokens + tokens, time.monotonic() - self._since
        if time.monotonic() >= self._next:  # a loss is read from a GPU only then
            self._next = time.monotonic() + _SAID
            figures = {name: float(value) for name, value in losses.items()}
            say(f"seconds {self.seconds:.0f}/{wanted:.0f}  " + shown({**figures, **self._speed()}))

    def say(self, figures: Mapping[str, float]) -> None:
        """Write a line."""
        say(f"seconds {self.seconds:.0f}  {shown({**figures, **self._speed()})}")

    def _speed(self) -> dict[str, float]:
        return {"tokens_per_second": self.tokens / max(self.seconds, 1e-9)}


def _write(
    folder: Path,
    lessons: Lessons,
    config: Mapping[str, Any],
    model: ModernBert,
    run: _Run,
    figures: Mapping[str, float],
) -> None:
    """Write the student into a folder, with the tokenizer of the lessons."""
    from jnlp.training.embedder.folder import write_embedder
    from jnlp.training.embedder.trainer import Described, EmbedderOptions
    from jnlp.training.folder import versions

    report = {
        "rows": {"train": len(lessons.ids), "valid": 0},
        "sets": {"texts": len(lessons.ready()) * states.SHARD},
        "best_epoch": 1,
        "epochs": [dict(figures)],
        "tokens": run.tokens,
        "seconds": run.seconds,
        "before": {},
        "scores": {},
        "details": {"options": {"lr": LR, "matrix_lr": MATRIX_LR, "steps": run.step}, "versions": versions()},
    }
    options = EmbedderOptions(dimensions=WIDTHS[1:], weights="fp16")
    about = Described("tiny-search", "tiny-search", "CC-BY-SA-4.0")
    write_embedder(folder, lessons.like, config, model, {}, options, about, report)
    shutil.copy(lessons.tokenizer, folder / "tokenizer.json")


def _encoder(tokenizer: Mapping[str, object]) -> Callable[[Sequence[str]], list[Ids]]:
    backend = Tokenizer.from_str(dumps(tokenizer))

    def encode(texts: Sequence[str]) -> list[Ids]:
        return [np.array(one.ids, np.int64) for one in backend.encode_batch(list(texts), add_special_tokens=False)]

    return encode


def main(arguments: Sequence[str] | None = None, /) -> int:
    """Teach or fit; return the exit status."""
    return run_script(_parser().parse_args(arguments), _run)


def _run(args: argparse.Namespace) -> None:
    if args.what == "teach":
        teach(args.source, args.teacher, args.like, args.out, shards=args.shards, smoke=args.smoke)
    else:
        options = {"layers": args.layers, "device": args.device, "compiled": not args.smoke}
        fit(states.Lessons(args.source), args.out, args.minutes, **options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jnlp_family.distill.train", description=(__doc__ or "").splitlines()[0]
    )
    commands = parser.add_subparsers(dest="what", required=True)
    teaching = commands.add_parser("teach", help="write the teacher's states")
    teaching.add_argument("source", metavar="DATA", type=Path, help="the folder that contains tasks and corpus")
    teaching.add_argument("--like", type=Path, required=True, help="a folder of the family: the form of a student")
    teaching.add_argument("--teacher", type=Path, required=True, help="a folder of multilingual-e5-small")
    teaching.add_argument(
        "--shards", type=int, help=f"shards of {states.SHARD:,} texts to write; default: all, 0: none"
    )
    fitting = commands.add_parser("fit", help="train the student")
    fitting.add_argument("source", metavar="LESSONS", type=Path, help="the folder that `teach` writes")
    fitting.add_argument("--minutes", type=float, default=60, help="time; the rates fall to 0 by then")
    fitting.add_argument("--layers", type=int, default=LAYERS, help=f"number of layers (default: {LAYERS})")
    fitting.add_argument("--device", default="cpu", help="cpu, or cuda to compute the teacher's states there too")
    for command in (teaching, fitting):
        command.add_argument("-o", "--out", type=Path, required=True, help="the folder to make")
        command.add_argument("--threads", type=int, help="processor threads")
        command.add_argument("--smoke", action="store_true", help="a trial run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
