"""The data of the shipped `tiny`, made here and packed for a GPU elsewhere: `python -m jnlp_family.masked_lm.shards`.

… shards prepare DATA WORK                texts made by rule, and token shards in WORK/data
… shards pack WORK/data PACKED            in files that are easily carried: 0.92 bytes a token
… shards unpack PACKED DATA               there: needs numpy only
python -m jnlp_pretrain.prepared DATA OUT --minutes 6
"""

from __future__ import annotations

import argparse
import bz2
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import JnlpError, status_of
from jnlp.strict_json import dumps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tokens = NDArray[np.uint16]

RECIPE = Path(__file__).with_name("tiny_gpu.toml")
CARRIED = 13_000_000
"""Bytes of a packed file."""

SCORED = 30_000
"""Tokens of each source's held-out text that are packed: scores need 4,096."""

_BLOCK = 450_000  # tokens: the 900 kB that bzip2 sorts at once
_SMALL = ("recipe.json", "tokenizer.json")
_SUMMARY, _TABLE, _ENDS, _STREAM = "summary.json", "table.json", "ends.npz", "tokens.part-"


def prepare(data: Path, work: Path, *, smoke: bool = False) -> Path:
    """Make the texts and the token shards of `tiny`, and return their folder; `smoke`: a little, for a trial run."""
    from jnlp.models.resolve import BUILTIN
    from jnlp_family.masked_lm.made_texts import cloze_sentences, make_texts
    from jnlp_pretrain import corpus as corpora
    from jnlp_pretrain.corpus_data import make_data
    from jnlp_pretrain.prepared import save_recipe
    from jnlp_pretrain.recipe_files import load_recipe
    from jnlp_pretrain.smoke import smoke as smaller

    make_texts(data, work / "texts")
    recipe = smaller(load_recipe(str(RECIPE))) if smoke else load_recipe(str(RECIPE))
    recipe = replace(recipe, clean=replace(recipe.clean, exclude=tuple(cloze_sentences())))
    files = corpora.files([data / "corpus", data / "tasks", work / "texts"])
    tokenizer = (BUILTIN / "tiny" / "tokenizer.json").read_text(encoding="utf-8")
    folder = work / "data"
    make_data(recipe, recipe.sources, corpora.assign(recipe.sources, files), folder, tokenizer=tokenizer)
    save_recipe(recipe, folder)
    return folder


def pack(data: Path, out: Path) -> int:
    """Compress shards of uint16 into `out`, and return the bytes of the tokens.

    Ids become ranks by frequency, high byte first, so that blocks sort well.
    """
    out.mkdir(parents=True, exist_ok=True)
    shards = data / "shards"
    parts: dict[str, Tokens] = {}
    ends: dict[str, NDArray[np.int32]] = {}
    for path in sorted(shards.glob("*.uint16")):
        tokens, stops = np.fromfile(path, np.uint16), np.load(shards / f"{path.stem}.ends.npy")
        if path.stem.endswith(".valid"):
            stops = stops[: max(1, int(np.searchsorted(stops, SCORED)))]
            tokens = tokens[: stops[-1] if len(stops) else 0]
        parts[path.name], ends[f"{path.stem}.ends.npy"] = tokens, np.diff(stops, prepend=0).astype(np.int32)
    if not parts:
        raise JnlpError(f"{data} has no shards of 16 bits", hint="make them with `prepare`")
    joined = np.concatenate([*parts.values()])
    ids = np.argsort(-np.bincount(joined), kind="stable")
    ranks = np.argsort(ids).astype(np.uint16)[joined]
    with ProcessPoolExecutor() as pool:
        blocks = [*pool.map(_compressed, (ranks[i : i + _BLOCK] for i in range(0, len(ranks), _BLOCK)))]
    stream = b"".join(blocks)
    for number, start in enumerate(range(0, len(stream), CARRIED)):
        (out / f"{_STREAM}{number:02d}").write_bytes(stream[start : start + CARRIED])
    starts = np.cumsum([0, *map(len, blocks)]).tolist()
    table = {
        "ids": ids.tolist(),
        "files": [(name, len(tokens)) for name, tokens in parts.items()],
        "blocks": [(start, len(block)) for start, block in zip(starts, blocks, strict=False)],
    }
    (out / _TABLE).write_text(dumps(table), encoding="utf-8")
    np.savez_compressed(out / _ENDS, **ends)  # type: ignore[arg-type]
    (out / _SUMMARY).write_bytes((shards / _SUMMARY).read_bytes())
    for name in _SMALL:
        (out / name).write_bytes((data / name).read_bytes())
    return len(stream)


def unpack(packed: Path, data: Path) -> int:
    """Write the shards that `pack` compressed, and return the number of tokens."""
    shards = data / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    table = json.loads((packed / _TABLE).read_text(encoding="utf-8"))
    stream = b"".join(part.read_bytes() for part in sorted(packed.glob(f"{_STREAM}*")))
    if len(stream) != (wanted := sum(size for _, size in table["blocks"])):
        raise JnlpError(f"{packed} has {len(stream):,} bytes of {wanted:,}", hint="copy all of its files again")
    with ProcessPoolExecutor() as pool:
        ranks = np.concatenate([*pool.map(_tokens, (stream[at : at + size] for at, size in table["blocks"]))])
    tokens, at = np.array(table["ids"], np.uint16)[ranks], 0
    for name, size in table["files"]:
        tokens[at : at + size].tofile(shards / name)
        at += size
    with np.load(packed / _ENDS) as ends:
        for name, lengths in ends.items():
            np.save(shards / name, np.cumsum(lengths, dtype=np.int64))
    for name in _SMALL:
        (data / name).write_bytes((packed / name).read_bytes())
    (shards / _SUMMARY).write_bytes((packed / _SUMMARY).read_bytes())
    return len(tokens)


def _compressed(ranks: Tokens) -> bytes:
    return bz2.compress(ranks.astype(">u2").tobytes(), 9)


def _tokens(block: bytes) -> Tokens:
    return np.frombuffer(bz2.decompress(block), ">u2").astype(np.uint16)


def main(arguments: list[str] | None = None, /) -> int:
    """Prepare, pack or unpack; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m jnlp_family.masked_lm.shards",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("prepare", "pack", "unpack"))
    parser.add_argument("source", type=Path, help="the folder to read")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--smoke", action="store_true", help="prepare a little, for a trial run")
    args = parser.parse_args(arguments)

    def run() -> None:
        if args.what == "prepare":
            sys.stdout.write(f"{prepare(args.source, args.out, smoke=args.smoke)}\n")
        else:
            sys.stdout.write(f"{(pack if args.what == 'pack' else unpack)(args.source, args.out):,}\n")

    return status_of(run)


if __name__ == "__main__":
    sys.exit(main())
