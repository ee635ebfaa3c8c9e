"""A needle-in-a-haystack test for a masked LM: recall, at the end of a text, a word that occurs once far before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jnlp_evaluate.masked.cloze import pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import IntArray, MaskedLM

LENGTHS = (128, 512, 2048, 8192)
TRIALS = 25
_SAID, _ASKED = ("合言葉は「", "」です。"), ("\n合言葉は「", "」です。")
_COMMON = 2_000  # pieces after the special ones and the bytes that no needle is drawn from: the guess of any model


def needle(
    model: MaskedLM, haystack: Sequence[str], /, *, trials: int = TRIALS, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Return, by length in tokens, how often the word is the first guess and among the first five.

    Held-out passages contain 合言葉は「X」です。 at a depth of 0 to 90 %, and end with the same sentence with X masked.
    X is a word of two kanji and one piece, sampled for each trial. The control (`unsaid_`) lacks the first sentence.

    Args:
        model: Lengths beyond its maximum are skipped.
        haystack: The text; lengths beyond it are skipped.
        trials: Trials for each length.
        seed: The random seed.
    """
    rng = np.random.default_rng(seed)
    straw = np.concatenate([np.array(model.tokenizer.pieces(text + "\n"), np.int64) for text in haystack])
    words = [n for n, word in enumerate(pieces(model.tokenizer)) if _fits(word) and n > _COMMON]
    found: dict[str, dict[str, float]] = {}
    for length in (length for length in LENGTHS if length <= min(model.max_length, len(straw)) and words):
        said: list[int] = []
        unsaid: list[int] = []
        for trial in range(trials):
            word = int(rng.choice(words))
            start = int(rng.integers(max(1, len(straw) - length)))
            depth = 0.9 * trial / max(1, trials - 1)
            for kept, ranks in ((True, said), (False, unsaid)):
                ids, at = _text(model, straw[start : start + length], word if kept else None, depth, length)
                logits = model.at_masks([ids], [at])[0]
                ranks.append(int((logits >= logits[word]).sum()))
        found[str(length)] = (
            {"trials": trials}
            | _figures(np.array(said))
            | {f"unsaid_{k}": v for k, v in _figures(np.array(unsaid)).items()}
        )
    return found


def _fits(word: str) -> bool:
    return len(word) == 2 and all("一" <= character <= "鿿" for character in word)


def _text(model: MaskedLM, straw: IntArray, word: int | None, depth: float, length: int) -> tuple[IntArray, IntArray]:
    first, last = (model.tokenizer.encode([""])[0].ids[[0, -1]]).tolist()
    said = [] if word is None else _around(model, _SAID, word)
    asked = _around(model, _ASKED, model.tokenizer.mask_id)
    straw = straw[: length - len(said) - len(asked) - 2]
    place = int(depth * len(straw))
    ids = np.array([first, *straw[:place], *said, *straw[place:], *asked, last], np.int64)
    return ids, np.flatnonzero(ids == model.tokenizer.mask_id)


def _around(model: MaskedLM, parts: tuple[str, str], word: int) -> list[int]:
    before, after = parts
    return [*model.tokenizer.pieces(before), word, *model.tokenizer.pieces(after)]


def _figures(ranks: IntArray) -> dict[str, float]:
    return {"top1": float((ranks <= 1).mean()), "top5": float((ranks <= 5).mean())}
