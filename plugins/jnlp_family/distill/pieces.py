"""A tokenizer with the teacher's pieces that Japanese text uses, so that each token has a teacher's state to learn."""

from __future__ import annotations

import json
import re
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from jnlp.errors import JnlpError
from jnlp.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

_SPECIAL = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"}
FIRST = 263
"""The first id that is a piece of the teacher: before it are special tokens and the 256 bytes."""

_COMMON = re.compile(r"[ぁ-んァ-ヶ一-龠々ー、。！？「」0-9A-Za-z\uff01-\uff5e\u3000-\u303f]")
_RARE = -17.0  # log probability of a character that is kept unseen


@dataclass(frozen=True, slots=True)
class Pieces:
    """A tokenizer and what its ids are to the teacher.

    Args:
        tokenizer: The content of `tokenizer.json`.
        taught: The teacher's id of each id, int32; of special tokens and bytes its unknown token.
    """

    tokenizer: dict[str, Any]
    taught: NDArray[np.int32]


def choose(teacher: Path, like: Path, texts: Iterable[str], size: int, /) -> Pieces:
    """Return a tokenizer with a teacher's pieces, the most frequent in texts and its common single characters.

    Args:
        teacher: The teacher's folder; its tokenizer is a unigram one.
        like: A folder whose tokenizer has the form that is wanted: special tokens, bytes, normaliser.
        texts: What the pieces are counted in.
        size: Number of ids.

    Raises:
        JnlpError: The teacher's tokenizer is of another kind.
    """
    taught = json.loads((teacher / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    if taught["type"] != "Unigram":
        raise JnlpError(f"{teacher} has a {taught['type']} tokenizer", hint="the teacher needs a unigram one")
    ids = {piece: number for number, (piece, _) in enumerate(taught["vocab"])}
    scores = {piece: score for piece, score in taught["vocab"] if piece not in _SPECIAL}
    form = json.loads((like / "tokenizer.json").read_text(encoding="utf-8"))
    whole = _with(form, scores, list(scores))
    counts = _counts(whole, texts)
    singles = [
        piece
        for piece, score in scores.items()
        if len(piece) == 1 and (counts[piece] >= 3 or (_COMMON.match(piece) and score > _RARE))
    ]
    kept = dict.fromkeys(singles)
    for piece, _ in counts.most_common():
        if len(kept) >= size - FIRST:
            break
        if piece in scores:
            kept.setdefault(piece)
    pieces = sorted(kept, key=lambda piece: -scores[piece])[: size - FIRST]
    numbers = [ids["<unk>"]] * FIRST + [ids[piece] for piece in pieces]
    return Pieces(_with(form, scores, pieces), np.array(numbers, np.int32))


def _with(form: dict[str, Any], scores: dict[str, float], pieces: list[str]) -> dict[str, Any]:
    own = deepcopy(form)
    own["model"]["vocab"] = [*form["model"]["vocab"][:FIRST], *([piece, scores[piece]] for piece in pieces)]
    return own


def _counts(tokenizer: dict[str, Any], texts: Iterable[str]) -> Counter[str]:
    backend = Tokenizer.from_str(dumps(tokenizer))
    counts: Counter[int] = Counter()
    rest = iter(texts)
    while some := list(islice(rest, 4096)):
        for encoding in backend.encode_batch(some, add_special_tokens=False):
            counts.update(encoding.ids)
    names = [str(piece) for piece, _ in tokenizer["model"]["vocab"]]
    return Counter({names[number]: count for number, count in counts.items()})
