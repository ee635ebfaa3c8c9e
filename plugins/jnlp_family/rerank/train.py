"""`python -m jnlp_family.rerank.train`: the cross-encoder `tiny-rerank`.

    python -m jnlp_family.rerank.train mine DATA --base TINY_SEARCH -o FILE
    python -m jnlp_family.rerank.train fit FILE --base TINY_SEARCH -o DIR --minutes 2 --device cuda
    python -m jnlp_family.rerank.train weigh FILE DIR

`mine` writes questions, the passages that search finds for them, and the windows of these that are read, in one file
that can be carried to a machine with little more than torch. `fit` trains: a softmax over the right passage and seven
wrong ones; then it fits how `jnlp search --rerank DIR` mixes the logit with what the retrievers found (`rerank.json`).
`weigh` fits that alone, for a reranker that is there.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from jnlp.encoder.config import ModernBertConfig
from jnlp.encoder.modernbert import ModernBertForSequenceClassification
from jnlp.errors import JnlpError
from jnlp.executors.prefetch import Prefetcher
from jnlp.strict_json import dumps
from jnlp.training.dense_encoder import DenseEncoder
from jnlp.training.folder import read_config, read_states, versions, whole_folder, write_model
from jnlp.training.micro_batches import precision
from jnlp.training.optim import optimisers, update
from jnlp_family.rerank import batches, scores
from jnlp_family.rerank.material import Material
from jnlp_family.script import run_script, say
from jnlp_search.query.relevance import RERANK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from jnlp_family.rerank.batches import Rows
    from jnlp_family.rerank.material import Asked

LABEL = "relevant"

LR, MATRIX_LR, WARMUP, FLAT, DECAY = 3e-4, 1e-3, 60, 0.2, 0.02
"""Peak rates of AdamW and Muon; the first steps; the share of the time before the rates fall; weight decay."""

WRONG, BATCH = 7, {"cpu": 8, "cuda": 64}
"""Wrong passages of a question, and questions of a step by device."""

LOCAL = 1024
"""The window of the layers that attend to near tokens: all of a pair."""

NOTHING = -1e9
"""The logit of no passage."""

_AHEAD = 2  # batches that are prepared ahead, and as many that the loop has taken
_SAID = 10.0  # seconds between lines
_TRIAL = 60  # development questions of a trial


def shape(like: Mapping[str, Any], layers: int, pooling: str, /) -> dict[str, Any]:
    """Return the config of a reranker of the first layers of an embedder."""
    kept = {key: value for key, value in like.items() if key not in ("num_labels", "search")}
    return kept | {
        "architectures": ["ModernBertForSequenceClassification"],
        "num_hidden_layers": layers,
        "layer_types": list(like["layer_types"])[:layers],
        "local_attention": LOCAL,
        "id2label": {"0": LABEL},
        "label2id": {LABEL: 0},
        "problem_type": "multi_label_classification",
        "classifier_pooling": pooling,
        "classifier_dropout": 0.0,
        "dtype": "float16",
    }


class Reranker:
    """The model over rows.

    Args:
        model: The classifier, on its device.
        lengths: Rows of these lengths run compiled.
    """

    def __init__(self, model: ModernBertForSequenceClassification, lengths: Sequence[int], /) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self._forms = DenseEncoder(model.model, lengths)
        self._mean = model.config.classifier_pooling == "mean"

    def __call__(self, rows: Rows, /) -> torch.Tensor:
        """Return the logits of pairs, fp32 `[r]`."""
        with precision(self.device):
            states = self._forms(rows.packed, rows.length)
            if self._mean:
                lengths = rows.packed.cu_seqlens.diff().long()[::2]
                inside = torch.arange(rows.length, device=self.device)[None, :] < lengths[:, None]
                summed = (states.float().view(-1, rows.length, states.shape[1]) * inside[:, :, None]).sum(dim=1)
                pooled = (summed / lengths[:, None]).to(states.dtype)
            else:
                pooled = states[rows.firsts]
            found: torch.Tensor = self.model.classifier(self.model.head(pooled))
        return found.float()[:, 0]

    @torch.no_grad()
    def judge(self, material: Material, asked: Asked, room: int, /) -> NDArray[np.float32]:
        """Return the logits of all passages of questions, `[q, c]`; `NOTHING` where there is none."""
        found = np.full(asked.passages.shape, NOTHING, np.float32)
        lines, columns = np.nonzero(asked.passages >= 0)
        at_once = BATCH[self.device.type] * (WRONG + 1)
        for first in range(0, len(lines), at_once):
            some = slice(first, first + at_once)
            at = lines[some], columns[some]
            made = batches.rows(material, asked.questions[at[0]], asked.passages[at], asked.starts[at], room)
            found[at] = self(made.to(self.device)).cpu().numpy()
        return found


def fit(
    source: Path,
    base: Path,
    out: Path,
    minutes: float,
    /,
    *,
    layers: int = 2,
    device: str = "cpu",
    pooling: str = "mean",
    compiled: bool = False,
    trial: bool = False,
    lr: float = 1.0,
    room: int = 0,
    steps: int = 0,
) -> dict[str, Any]:
    """Train a reranker, write its folder, and return what was measured on development questions.

    Args:
        source: The file that `mine` wrote.
        base: The folder of `tiny-search`.
        out: The folder to make.
        minutes: Time; the rates fall to 0 by then.
        layers: Number of layers.
        device: `cpu` or `cuda`.
        pooling: What the head reads: `cls` or `mean`.
        compiled: Compile the forms of rows, half a minute each.
        trial: Measure few questions.
        lr: What the rates are multiplied by.
        room: Tokens of a passage that are read, at most those of the file; 0 is as many.
        steps: Maximum steps; the rates fall to 0 by then too. 0 is as many as there is time for.

    Raises:
        JnlpError: `out` exists, or the base has fewer layers.
    """
    torch.manual_seed(1)
    place = torch.device(device)
    material = Material.load(source)
    room = room or material.room
    config = shape(read_config(base), layers, pooling)
    model = _start(ModernBertForSequenceClassification(ModernBertConfig.from_dict(config)), base).to(place)
    reranker = Reranker(model, [batches.QUESTION + room + 3] if compiled else [])
    held = _some(material.development, _TRIAL if trial else 0)
    say(f"{len(material.train):,} questions, {len(held):,} of development")
    with whole_folder(out) as folder:
        figures: dict[str, Any] = {"layers": layers, "pooling": pooling, "room": room}
        figures |= _learn(reranker, material, room, lr, minutes * 60, steps)
        model.eval()
        logits = reranker.judge(material, held, room)
        scale, shift = scores.calibration(held, logits)
        with torch.no_grad():
            model.classifier.weight.mul_(scale)
            model.classifier.bias.mul_(scale).add_(shift)
        logits = np.where(held.passages >= 0, logits * scale + shift, NOTHING).astype(np.float32)
        figures |= {
            "development": {"questions": len(held), **asdict(scores.measure(held, logits))},
            "calibration": [scale, shift],
            "versions": versions(),
        }
        write_model(folder, base, config, {name: weight.half() for name, weight in model.state_dict().items()})
        _write_mixtures(folder, held, logits, room)
        (folder / "metrics.json").write_text(dumps(figures, indent=2) + "\n", encoding="utf-8")
    say(dumps(figures))
    return figures


def _learn(reranker: Reranker, material: Material, room: int, lr: float, seconds: float, most: int) -> dict[str, Any]:
    """Train for some time, and return how much was learned."""
    place, size = reranker.device, BATCH[reranker.device.type]
    steppers = optimisers(reranker.model, "muon", lr=LR * lr, matrix_lr=MATRIX_LR * lr, weight_decay=DECAY)
    target = torch.zeros(size, dtype=torch.long, device=place)
    step, tokens, said = 0, 0, 0.0
    running: torch.Tensor | None = None
    start = time.monotonic()
    with ExitStack() as last, Prefetcher(_endless(material, size, room), most=_AHEAD) as ahead:
        last.callback(ahead.join)
        for made in ahead:
            spent = max((time.monotonic() - start) / seconds, step / most if most else 0.0)
            if spent >= 1:
                break
            loss = F.cross_entropy(reranker(made.to(place)).view(size, WRONG + 1), target)
            loss.backward()  # type: ignore[no-untyped-call]
            update(reranker.model, steppers, min(1.0, (step + 1) / WARMUP, (1 - spent) / (1 - FLAT)), clip=1.0)
            running = loss.detach() if running is None else running.lerp(loss.detach(), max(0.02, 1 / (step + 1)))
            step, tokens = step + 1, tokens + made.tokens
            if time.monotonic() - said > _SAID:
                said = time.monotonic()
                speed = tokens / (said - start)
                say(
                    f"seconds {said - start:.0f}  step {step}  loss {float(running):.4f}  tokens_per_second {speed:.0f}"
                )
    if running is None:
        raise JnlpError("there was no time for a step", hint="--minutes 1")
    return {
        "steps": step,
        "tokens": tokens,
        "seconds": round(time.monotonic() - start, 1),
        "passes": round(step * size / len(material.train), 2),
        "loss": float(running),
    }


def weigh(source: Path, folder: Path, /, *, device: str = "cpu", most: int = 0, room: int = 0) -> dict[str, Any]:
    """Fit how a reranker's logit is mixed, write that into its folder, and return what was measured.

    Args:
        source: The file that `mine` wrote.
        folder: The reranker's; its classifier has one label, and the tokenizer of the file.
        device: `cpu` or `cuda`.
        most: Maximum development questions, evenly spread; 0 is all.
        room: Tokens of a passage that are read, at most those of the file; 0 is as many.
    """
    material = Material.load(source)
    room = room or material.room
    held = _some(material.development, most)
    model = ModernBertForSequenceClassification(ModernBertConfig.from_dict(read_config(folder)))
    model.load_state_dict(read_states(folder))
    logits = Reranker(model.to(torch.device(device)).eval(), []).judge(material, held, room)
    measured = asdict(scores.measure(held, logits))
    _write_mixtures(folder, held, logits, room)
    say(dumps({"questions": len(held), **measured}))
    return measured


def _write_mixtures(folder: Path, held: Asked, logits: NDArray[np.float32], room: int) -> None:
    text = dumps({"tokens": room, **scores.mixtures(held, logits)}, indent=1)
    (folder / RERANK).write_text(text + "\n", encoding="utf-8")


def _some(asked: Asked, most: int) -> Asked:
    return asked.some(np.arange(0, len(asked), max(1, len(asked) // most))) if most else asked


def _endless(material: Material, size: int, room: int) -> Iterator[Rows]:
    asked = material.train
    number = 0
    while True:
        rng = np.random.default_rng([7, number])
        number += 1
        for lines, columns in batches.choices(asked, WRONG, size, rng):
            at = np.repeat(lines, WRONG + 1), columns.ravel()
            yield batches.rows(material, asked.questions[at[0]], asked.passages[at], asked.starts[at], room)


def _start(model: ModernBertForSequenceClassification, base: Path) -> ModernBertForSequenceClassification:
    wanted = model.state_dict()
    states = {name: weight for name, weight in read_states(base).items() if name in wanted}
    lacking = [name for name in wanted if name.startswith("model.") and name not in states]
    if lacking:
        raise JnlpError(f"{base} lacks the weights {lacking[0]}", hint="give the folder of tiny-search")
    model.load_state_dict(states, strict=False)
    return model


def main(arguments: Sequence[str] | None = None, /) -> int:
    """Mine or fit; return the exit status."""
    return run_script(_parser().parse_args(arguments), _run)


def _run(args: argparse.Namespace) -> None:
    if args.what == "mine":
        from jnlp_family.rerank.mining import mine

        mine(args.source, args.base, args.room, most=args.questions, say=say).save(args.out)
        return
    if args.what == "weigh":
        weigh(args.source, args.model, device=args.device, most=args.questions, room=args.room)
        return
    options = {name: getattr(args, name) for name in ("layers", "device", "pooling", "trial", "lr", "room", "steps")}
    fit(args.source, args.base, args.out, args.minutes, compiled=args.compile, **options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jnlp_family.rerank.train", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="what", required=True)
    mining = commands.add_parser("mine", help="write what is learned from")
    mining.add_argument("source", metavar="DATA", type=Path, help="the folder that contains tasks and corpus")
    mining.add_argument("--room", type=int, default=128, help="tokens of a passage that are read")
    mining.add_argument("--questions", type=int, default=0, help="maximum questions of a task, for a trial")
    fitting = commands.add_parser("fit", help="train")
    fitting.add_argument("source", metavar="FILE", type=Path, help="what mine wrote")
    fitting.add_argument("--minutes", type=float, default=2, help="time; the rates fall to 0 by then")
    fitting.add_argument("--layers", type=int, default=2, help="number of layers")
    fitting.add_argument("--pooling", choices=("cls", "mean"), default="mean", help="what the head reads")
    fitting.add_argument("--lr", type=float, default=1.0, help="what the rates are multiplied by")
    fitting.add_argument("--steps", type=int, default=0, help="maximum steps; 0: as many as there is time for")
    fitting.add_argument("--compile", action="store_true", help="compile the rows' form, half a minute")
    fitting.add_argument("--trial", action="store_true", help="measure few questions")
    weighing = commands.add_parser("weigh", help="fit how a reranker is mixed")
    weighing.add_argument("source", metavar="FILE", type=Path, help="what mine wrote")
    weighing.add_argument("model", metavar="DIR", type=Path, help="the reranker")
    weighing.add_argument("--questions", type=int, default=0, help="maximum questions of development")
    for command in (fitting, weighing):
        command.add_argument("--device", default="cpu", help="cpu or cuda")
        command.add_argument("--room", type=int, default=0, help="tokens of a passage that are read")
    for command in (mining, fitting):
        command.add_argument("--base", type=Path, required=True, help="the folder of tiny-search")
        command.add_argument("-o", "--out", type=Path, required=True, help="what to make")
    for command in (mining, fitting, weighing):
        command.add_argument("--threads", type=int, help="processor threads")
    return parser


if __name__ == "__main__":
    sys.exit(main())
