"""`python -m jnlp_family.search.train DATA --base TINY -o DIR`: trains `tiny-search`.

Training pairs: JaQuAD's questions and passages, a sentence and its passage, titles and texts, entailed sentences with
contradicted ones as hard negatives, and JSTS's graded pairs. The development articles of `jaquad` select the epoch. The
valid split of JSTS is read only to exclude its pairs. After an interruption, the same command continues from
its checkpoint.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jnlp.errors import UsageError
from jnlp.strict_json import dumps
from jnlp.training.embedder.pairs import CONTRADICTION, ENTAILMENT, Graded, GradedSet, Pair, PairSet, key_of
from jnlp.training.embedder.trainer import Described, EmbedderOptions, EmbedderSets, fit_embedder
from jnlp.training.stopping import Stopped
from jnlp_family.script import run_script
from jnlp_family.search import prepared
from jnlp_family.search.hard import asked as hard_pairs
from jnlp_family.search.jaquad import questions
from jnlp_family.search.material import rows
from jnlp_family.similarity import Split, is_development, similarity_pairs
from jnlp_pretrain.corpus import fraction

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from jnlp.types import TrainReport

T = TypeVar("T")

OPTIONS = EmbedderOptions(
    epochs=6, batch_size=64, lr=5e-4, mine=3, max_length=224, patience=0, dimensions=(128, 64), weights="fp16"
)
"""The options of `tiny-search`'s training, which takes half an hour on two cores."""

STUDENT = replace(OPTIONS, epochs=1, lr=1.5e-4, mine=0, dimensions=(256, 128, 64), query_prefix="", document_prefix="")
"""Those of a base that has learned from a teacher: one pass, no prefixes; JaQuAD's negatives are from full text."""

KEPT = 0.3
"""The share of such a base's weights in what ships: the weights are averaged with the tuned ones (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models"). Pairs teach what they are about, and cost what they are not about."""

SENTENCES, TITLES, ARTICLES = 6_000, 4_000, 4_000
"""For each source: sentence–passage pairs, title–text pairs, and the articles they are taken from."""

_NLI = ("jnli_neg", "janli")
_KINDS = {"jaquad": "questions and passages", "nli": "entailed pairs, both NLI sets together", "jsts": "graded pairs"}
_OTHERS = "pairs"

SCORED = 800
"""Pairs of each development set that select the epoch. Scoring all of them would take a fifth of the run."""

NOTES = """## Data and credits

- JaQuAD (So et al. 2022; text of Japanese Wikipedia), CC BY-SA 3.0: questions and passages of the train split, less the
  tenth of its articles that chose the epoch.
- JSTS (JGLUE, LY Corporation and Waseda University), JNLI-Neg (Yoshida et al. 2025) and JaNLI (Yanaka and Mineshima),
  CC BY-SA 4.0: train splits.
- Japanese Wikinews, CC BY 2.5; Microsoft's documentation, CC BY 4.0: titles, passages and sentences.

## Limits

It is small, and was trained on little: encyclopaedia and news text, questions of one kind. It finds passages that share
the question's words and topic; it does not reason. Use it fused with full text, as `jnlp search` does. Texts longer
than its positions are cut into windows. What the data says of people and groups, it has learned too.
"""


def sets(data: Path, /, *, most: int | None = None, hard: bool = False) -> EmbedderSets:
    """Return all training and development sets.

    Args:
        data: The folder that contains `tasks` and `corpus`.
        hard: For a base that has learned from a teacher: JaQuAD's questions come with passages that full text takes for
            answers, and all of JSTS's graded pairs are used.
        most: The maximum number of pairs of a set; None is all.

    Raises:
        JnlpError: A file of the data is not there.
    """
    jaquad = hard_pairs(data, most=most or 0) if hard else limit(jaquad_pairs(data, Split.TRAIN), most)
    asked = PairSet("jaquad", jaquad, weight=0.5)
    sources = [("jaquad", "jaquad-000"), ("wikinews", "wikinews-000"), ("msdocs", "msdocs-000")]
    texts = {name: list(_articles(data / f"corpus/{file}.jsonl.xz")) for name, file in sources}
    sentences = [
        PairSet(f"{name} sentences", limit(_inverse_cloze(found), most or SENTENCES), weight=0.06)
        for name, found in texts.items()
    ]
    titles = [
        PairSet(f"{name} titles", limit(_title_pairs(texts[name]), most or TITLES), weight=0.05)
        for name in ("wikinews", "msdocs")
    ]
    nli = PairSet("nli", limit(nli_pairs(data, known_pairs(data)), most), symmetric=True, weight=0.1)
    return EmbedderSets(
        [asked, *sentences, *titles, nli],
        [GradedSet("jsts", limit(graded_pairs(data, Split.TRAIN), most), weight=1.0 if hard else 0.1)],
        [PairSet("jaquad", limit(jaquad_pairs(data, Split.DEVELOPMENT), most or SCORED))],
        [GradedSet("jsts", limit(graded_pairs(data, Split.DEVELOPMENT), most or SCORED))],
    )


def known_pairs(data: Path, /) -> set[tuple[str, str]]:
    """Return the keys of JSTS's development and valid pairs: JNLI's captions are those of JSTS."""
    scored = [graded_pairs(data, split) for split in (Split.DEVELOPMENT, Split.FINAL)]
    return {key_of(pair) for pairs in scored for pair in pairs}


def jaquad_pairs(data: Path, split: Split) -> list[Pair]:
    """Return JaQuAD's questions of a split with their whole passages."""
    task = questions(data, split)
    return [Pair(query, task.passages[at]) for query, at in zip(task.queries, task.relevant, strict=True)]


def graded_pairs(data: Path, split: Split) -> list[Graded]:
    """Return the pairs of JSTS of a split."""
    pairs = similarity_pairs(data, split)
    return [Graded(*row) for row in zip(pairs.first, pairs.second, pairs.scores, strict=True)]


def _articles(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield title and passages of a source's articles, without the development articles."""
    for row in islice(rows(path), ARTICLES):
        title = str(row.get("title") or "").strip()
        if not is_development(title):
            yield title, [part for part in str(row["text"]).split("\n") if part.strip()]


def _inverse_cloze(articles: Iterable[tuple[str, Sequence[str]]]) -> list[Pair]:
    """Return pairs of a sentence and its passage, with the sentence removed from two of three passages.

    This is the inverse cloze task of Lee et al. 2019. With the sentence in the passage, the model learns to match
    words; without it, to match topics.
    """
    found: list[Pair] = []
    for _, passages in articles:
        for passage in passages:
            sentences = [part + "。" for part in passage[:600].split("。") if len(part) >= 12]
            if len(sentences) < 3:
                continue
            chosen = sentences[int(fraction(passage, "sentence") * len(sentences))]
            left_in = fraction(passage, "left in") < 1 / 3
            found.append(Pair(chosen, passage if left_in else passage.replace(chosen, "", 1)))
    return found


def _title_pairs(articles: Iterable[tuple[str, Sequence[str]]]) -> list[Pair]:
    return [Pair(title, "\n".join(parts)[:500]) for title, parts in articles if len(title) >= 6 and parts]


def nli_pairs(data: Path, known: Container[tuple[str, str]]) -> list[Pair]:
    """Return entailed pairs with contradicted sentences as hard negatives, without pairs of the similarity test."""
    found = [*rows(data / "tasks/jnli_neg/train.jsonl"), *rows(data / "tasks/janli/train.jsonl")]
    found = [row for row in found if key_of(Pair(row["sentence1"], row["sentence2"])) not in known]
    wrong: dict[str, list[str]] = {}
    for row in found:
        if row["label"] in (CONTRADICTION, "non-entailment"):
            wrong.setdefault(row["sentence1"], []).append(row["sentence2"])
    return [
        Pair(row["sentence1"], row["sentence2"], tuple(wrong.get(row["sentence1"], ())))
        for row in found
        if row["label"] == ENTAILMENT
    ]


def limit(found: Sequence[T], most: int | None) -> Sequence[T]:
    """Return a random choice of `most` rows, or all of them."""
    return found if most is None or len(found) <= most else random.Random(0).sample(found, most)


def smoke(options: EmbedderOptions, /) -> EmbedderOptions:
    """Return options for a trial run of a minute, whose model is useless."""
    return replace(options, epochs=1, batch_size=16, max_length=48, dimensions=(), hours=None)


def train(
    data: Path,
    base: Path,
    out: Path,
    options: EmbedderOptions,
    /,
    *,
    most: int | None = None,
    hard: bool = False,
    device: str = "auto",
) -> TrainReport:
    """Train and write `tiny-search`.

    Args:
        data: The folder that contains `tasks` and `corpus`, or a file of `prepared.save`.
        base: The folder of `tiny`.
        out: The folder to make.
        options: The trainer's options.
        most: The maximum number of pairs of a set.
        hard: See `sets`.
        device: Where it is trained; `auto` takes the GPU if there is one.

    Raises:
        JnlpError: The data or the base is missing, or `out` exists.
    """
    about = Described("tiny-search", "tiny", "CC-BY-SA-4.0", NOTES)
    found = prepared.load(data) if data.is_file() else sets(data, most=most, hard=hard)
    report = fit_embedder(found, options, out, base=base, progress=Said(), described=about, device=device)
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    history = ""
    if hard:
        average(out, base, KEPT)
        history = f"The weights are {1 - KEPT:.0%} of the tuned and {KEPT:.0%} of those before."
    text = dumps(training_record(metrics, history=history), indent=2)
    (out / "training.json").write_text(text + "\n", encoding="utf-8")
    return report


def average(folder: Path, base: Path, share: float, /) -> None:
    """Average a folder's weights with those of the model it was trained from.

    Args:
        folder: Whose weights are replaced.
        base: A folder with the same weights, under a masked LM's names (`model.…`) or without their prefix.
        share: The share of the base's weights.
    """
    from safetensors.torch import save_file

    from jnlp.encoder.files import read_weights

    before = {name.removeprefix("model."): weight for name, weight in read_weights(base).items()}
    mixed = {
        name: (share * before[name.removeprefix("model.")].float() + (1 - share) * weight.float()).to(weight.dtype)
        for name, weight in read_weights(folder).items()
    }
    path = folder / "model.safetensors"
    mode = path.stat().st_mode
    path.unlink()  # it may be mapped: its bytes stay as they are
    save_file(mixed, path, {"format": "pt"})
    path.chmod(mode)


def used_of(sets: Mapping[str, int], /) -> dict[str, str]:
    """Return what was used of each source, for the card, from the pairs of each set."""
    used: dict[str, list[str]] = {}
    for name, count in sets.items():
        source, _, kind = name.partition(" ")
        for key in _NLI if source == "nli" else (source,):
            used.setdefault(key, []).append(f"{count:,} {kind or _KINDS.get(source, _OTHERS)}")
    return {name: ", ".join(parts) for name, parts in used.items()}


def training_record(metrics: Mapping[str, Any], /, *, history: str = "") -> dict[str, Any]:
    """Return `training.json` (data and compute, for the card) from the trainer's `metrics.json`.

    Args:
        metrics: The trainer's record.
        history: What was done to the model afterwards.
    """
    options = metrics["details"]["options"]
    text = (
        f"`make models`: InfoNCE at temperature {options['temperature']} over batches of {options['batch_size']}"
        f" documents with {options['mine']} mined negatives each, CoSENT on the graded pairs; AdamW at"
        f" {options['lr']:g}; texts of up to {options['max_length']} tokens; widths"
        f" {', '.join(map(str, options['dimensions'])) or 'of the model alone'}. Epoch {metrics['best_epoch']} of"
        f" {len(metrics['epochs'])} was the best on development articles."
    )
    figures = {
        "tokens": metrics["tokens"],
        "minutes": round(metrics["seconds"] / 60, 1),
        "machine": f"{platform.machine()}, torch {metrics['details']['versions']['torch']}",
        "date": datetime.now(UTC).date().isoformat(),
    }
    return {"text": f"{text} {history}".strip(), "figures": figures, "data": used_of(metrics["sets"])}


class Said:
    """Writes a line to stderr every half minute, and one an epoch."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Write a line, where the last one is half a minute old or an epoch is over."""
        if phase == "epoch" or time.monotonic() >= self._next:
            self._next = time.monotonic() + 30
            sys.stderr.write(f"{phase} {done}/{total}  {shown(figures)}\n")


def shown(figures: Mapping[str, float], /) -> str:
    """Return figures as a line says them."""
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())


def main(arguments: Sequence[str] | None = None, /) -> int:
    """Train, print the scores, and return the exit status."""
    args = _parser().parse_args(arguments)
    try:
        return run_script(args, _run)
    except Stopped as stopped:
        sys.stderr.write("stopped with a checkpoint; run the same command to continue\n")
        return 128 + stopped.number


def _run(args: argparse.Namespace) -> None:
    chosen = STUDENT if args.student else OPTIONS
    options = replace(chosen, epochs=args.epochs or chosen.epochs, hours=args.minutes / 60 if args.minutes else None)
    most = 64 if args.smoke else None
    options = smoke(options) if args.smoke else options
    if args.save_sets:
        prepared.save(sets(args.data, most=most, hard=args.student), args.save_sets)
        return
    if args.base is None or args.out is None:
        raise UsageError("--base and -o are needed", hint="only --save-sets goes without")
    report = train(args.data, args.base, args.out, options, most=most, hard=args.student, device=args.device)
    sys.stdout.write("".join(f"{name:<24} {value:.4f}\n" for name, value in report.metrics.items()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jnlp_family.search.train", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("data", type=Path, help="the folder that contains tasks and corpus, or a file of sets")
    parser.add_argument("--base", type=Path, help="the folder of tiny, or of a student")
    parser.add_argument("--student", action="store_true", help="the base has learned from a teacher: tune it")
    parser.add_argument("-o", "--out", type=Path, help="the folder to make")
    parser.add_argument("--save-sets", type=Path, metavar="FILE", help="write the sets for another machine, and end")
    parser.add_argument("--device", default="auto", help="cpu or cuda (default: the GPU if there is one)")
    parser.add_argument("--epochs", type=int, help=f"passes over the pairs (default: {OPTIONS.epochs})")
    parser.add_argument("--minutes", type=float, help="time limit; the learning rate falls to 0 by then")
    parser.add_argument("--threads", type=int, help="processor threads")
    parser.add_argument("--smoke", action="store_true", help="a trial run of a minute")
    return parser


if __name__ == "__main__":
    sys.exit(main())
