"""Reads data sets in the layouts of their sources, and as rows of JSON lines.

Each function takes the data folder. It looks for the source's own file names first in the folder, then in a folder
below it, then for `NAME/train.jsonl` and the like (also `.jsonl.xz`).
"""

from __future__ import annotations

import csv
import json
import lzma
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.types import Choice, Example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    Parts = dict[str, list[Example]]
    Row = dict[str, Any]

LIVEDOOR_SECTIONS = (
    "dokujo-tsushin",
    "it-life-hack",
    "kaden-channel",
    "livedoor-homme",
    "movie-enter",
    "peachy",
    "smax",
    "sports-watch",
    "topic-news",
)


def read_jsts(folder: Path, /) -> Parts:
    """Read JSTS: two sentences and a number from 0 to 5."""
    return _examples(_jglue(folder, "jsts"), lambda row: (_pair(row), float(row["label"])))


def read_jnli(folder: Path, /) -> Parts:
    """Read JNLI."""
    return _examples(_jglue(folder, "jnli"), lambda row: (_pair(row), str(row["label"])))


def read_marc_ja(folder: Path, /) -> Parts:
    """Read MARC-ja as JGLUE's script makes it."""
    rows = _found(folder, "marc_ja", {"train": "train-v1.0.json", "valid": "valid-v1.0.json"})
    return _examples(rows, lambda row: (str(row.get("sentence", row.get("text"))), str(row["label"])))


def read_jcommonsenseqa(folder: Path, /) -> dict[str, list[Choice]]:
    """Read JCommonsenseQA: a question and five answers."""
    made: dict[str, list[Choice]] = {}
    for part, rows in _jglue(folder, "jcommonsenseqa").items():
        made[part] = [
            Choice(
                row["question"],
                tuple(row["choices"] if "choices" in row else (row[f"choice{n}"] for n in range(5))),
                int(row["label"]),
            )
            for row in rows
        ]
    return made


def read_jcola(folder: Path, /) -> Parts:
    """Read JCoLA's sentences of the domain it was trained on."""
    names = {"train": "in_domain_train-v1.0.json", "valid": "in_domain_valid-v1.0.json"}
    return _examples(_found(folder, "jcola", names), lambda row: (row["sentence"], str(row["label"])))


def read_jsick(folder: Path, /) -> Parts:
    """Read JSICK."""
    found = _found(folder, "jsick", {"train": "train.tsv", "test": "test.tsv"})

    def example(row: Row) -> tuple[Any, Any]:
        if "sentence_A_Ja" in row:
            return (row["sentence_A_Ja"], row["sentence_B_Ja"]), row["entailment_label_Ja"]
        return _pair(row), str(row["label"])

    return _examples(found, example)


def read_jsnli(folder: Path, /) -> Parts:
    """Read JSNLI; the spaces of its segmenter are removed."""
    found = _found(
        folder,
        "jsnli",
        {"train": "train_w_filtering.tsv", "valid": "dev.tsv"},
        header=("label", "sentence1", "sentence2"),
    )
    return _examples(found, lambda row: (tuple("".join(text.split()) for text in _pair(row)), str(row["label"])))


def read_wrime(folder: Path, /) -> Parts:
    """Read WRIME version 2: posts, and the mean of the readers' sentiment, -2 to 2."""
    path = next((p for p in (folder / "wrime-ver2.tsv", folder / "wrime" / "wrime-ver2.tsv") if p.is_file()), None)
    if path is None:
        return _examples(_rows_of(folder, "wrime"), lambda row: (row["text"], str(row["label"])))
    made: Parts = {"train": [], "valid": [], "test": []}
    places = {"train": "train", "dev": "valid", "test": "test"}
    for row in _tsv(path, None):
        example = Example(row["Sentence"], row["Avg. Readers_Sentiment"], place=row.get("ID", ""))
        made[places[row["Train/Dev/Test"]]].append(example)
    return made


def read_livedoor(folder: Path, /) -> Parts:
    """Read the livedoor news corpus: a folder of texts for each of nine sections (address, time, title, article)."""
    for root in (folder / "text", folder / "ldcc" / "text", folder):
        if not (root / LIVEDOOR_SECTIONS[0]).is_dir():
            continue
        examples = []
        for section in LIVEDOOR_SECTIONS:
            for path in sorted((root / section).glob(f"{section}-*.txt")):
                lines = path.read_text(encoding="utf-8").splitlines()[2:]
                examples.append(Example("\n".join(lines), section, place=path.name))
        return {"train": examples}
    return _examples(_rows_of(folder, "livedoor"), lambda row: (f"{row['title']}\n{row['text']}", str(row["label"])))


def read_ku_rte(folder: Path, /) -> Parts:
    """Read rows of two sentences and a label."""
    return _examples(_rows_of(folder, "ku-rte"), lambda row: (_pair(row), str(row["label"])))


def read_llm_jp_toxicity(folder: Path, /) -> Parts:
    """Read rows of a text and a label."""
    return _examples(_rows_of(folder, "llm-jp-toxicity"), lambda row: (row["text"], str(row["label"])))


def read_rcqa(folder: Path, /) -> Parts:
    """Read rows of a question, a passage and whether it answers the question."""
    rows = _rows_of(folder, "rcqa")
    return _examples(rows, lambda row: ((row["question"], row["passage"]), str(row["label"])))


def read_jaquad(folder: Path, /) -> Parts:
    """Read JaQuAD's questions with the passage that answers each; the group is the article."""
    made: Parts = {}
    for part, rows in _rows_of(folder, "jaquad").items():
        made[part] = [Example((r["question"], r["context"]), "", r.get("title"), place=str(r.get("id"))) for r in rows]
    return made


def read_passages(folder: Path, /) -> Parts:
    """Read texts: rows of `perplexity/test.jsonl`, else the passages of JaQuAD's questions."""
    try:
        rows = _rows_of(folder / "perplexity", "perplexity")["test"]
    except (JnlpError, KeyError):
        texts = [str(example.text[1]) for example in read_jaquad(folder).get("valid", [])]
    else:
        texts = [str(row["text"]) for row in rows]
    return {"test": [Example(text, "", place=f"test:{number}") for number, text in enumerate(dict.fromkeys(texts), 1)]}


def read_cloze(_: Path, /) -> Parts:
    """Read the sixty sentences of the cloze test, which ship with jnlp."""
    from jnlp_evaluate.masked.cloze import read_items

    items = read_items()
    return {"test": [Example(i.text, i.answers, i.kind, place=f"cloze:{n}") for n, i in enumerate(items, 1)]}


def read_toxicity(folder: Path, /) -> Parts:
    """Read rows of a text and a label: 1 is toxic, 0 is not."""
    for name in ("toxicity", "rtplx_toxicity"):
        if (folder / name).is_dir():
            return _examples(_rows_of(folder, name), lambda row: (row["text"], str(row["label"])))
    return _examples(_rows_of(folder, "toxicity"), lambda row: (row["text"], str(row["label"])))


def _pair(row: Row) -> tuple[str, str]:
    return row["sentence1"], row["sentence2"]


def _examples(found: Mapping[str, Sequence[Row]], convert: Callable[[Row], tuple[Any, Any]]) -> Parts:
    made: Parts = {}
    for part, rows in found.items():
        examples = []
        for number, row in enumerate(rows, 1):
            try:
                text, target = convert(row)
            except (KeyError, ValueError) as error:
                raise JnlpError(
                    f"row {number} of the {part} rows cannot be read: {error!r}",
                    hint="jnlp evaluate data says which columns are expected",
                ) from error
            examples.append(Example(text, target, place=str(row.get("id", f"{part}:{number}"))))
        made[part] = examples
    return made


def _jglue(folder: Path, name: str) -> dict[str, list[Row]]:
    return _found(folder, name, {"train": "train-v1.3.json", "valid": "valid-v1.3.json"})


def _found(
    folder: Path, name: str, files: Mapping[str, str], *, header: Sequence[str] | None = None
) -> dict[str, list[Row]]:
    """Return the rows of the source's files, or of JSON lines."""
    candidates = [folder, *sorted(path for path in folder.glob(f"{name}*") if path.is_dir())]
    candidates += sorted(path for path in folder.glob(f"datasets/{name}*") if path.is_dir())
    for place in candidates:
        if all((place / file).is_file() for file in files.values()):
            return {part: list(_read(place / file, header)) for part, file in files.items()}
    return _rows_of(folder, name, *files.values())


def _rows_of(folder: Path, name: str, *also: str) -> dict[str, list[Row]]:
    """Return the rows of `train.jsonl`, `valid.jsonl` and `test.jsonl` in `folder/name`, or in `folder`."""
    for place in (folder / name, folder):
        found = {}
        for part in ("train", "valid", "test"):
            path = next((p for p in (place / f"{part}.jsonl", place / f"{part}.jsonl.xz") if p.is_file()), None)
            if path is not None:
                found[part] = list(_lines(path))
        if found:
            return found
    wanted = " and ".join(also) or "train.jsonl"
    raise JnlpError(
        f"{folder} has no data of {name}: neither {wanted} nor {name}/train.jsonl",
        hint=f"jnlp evaluate data, or jnlp evaluate data pull {name}",
    )


def _read(path: Path, header: Sequence[str] | None) -> Iterator[Row]:
    return _tsv(path, header) if path.suffix == ".tsv" else _lines(path)


def _lines(path: Path) -> Iterator[Row]:
    opener = lzma.open if path.suffix == ".xz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield json.loads(line)
                    except json.JSONDecodeError as error:
                        raise JnlpError(f"{path}:{number} is not JSON: {error.msg}", hint="fetch it again") from error
    except (lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise JnlpError(f"{path} is cut off or broken: {error}", hint="fetch it again") from error


def _tsv(path: Path, header: Sequence[str] | None) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, fieldnames=header, delimiter="\t", quoting=csv.QUOTE_NONE)
