"""The task `fill-mask` as a value: its options and its results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from jnlp.types import Option, TaskSpec


@dataclass(frozen=True, slots=True)
class FillMaskOptions:
    """Options of `fill-mask`."""

    top: Annotated[int, Option(help="How many fills to show (candidates are all shown).", ge=1, metavar="N")] = 5
    independent: Annotated[
        bool, Option(help="Fill each mask independently, with the others masked, as transformers' pipeline does.")
    ] = False
    candidates: Annotated[
        tuple[str, ...], Option(help="Rank only these words, comma separated; a word may have several pieces.")
    ] = ()
    mask_token: Annotated[
        str | None, Option(help="Another spelling of a mask, in addition to <mask> and [MASK].", metavar="TEXT")
    ] = None
    beam: Annotated[int, Option(help="Beam width for a text with several masks.", ge=1, metavar="N")] = 16


@dataclass(frozen=True, slots=True)
class Fill:
    """One way to fill a text's masks.

    Args:
        tokens: The filled-in pieces, as text, from left to right.
        ids: Their ids.
        score: A probability: of the piece for one mask; for several masks the product of each piece's probability
            given the text and the pieces to its left, so that the scores of all fillings sum to 1.
        sequence: The text with its masks filled, all other characters as they were.
    """

    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    score: float
    sequence: str


@dataclass(frozen=True, slots=True)
class MaskFill(Fill):
    """A fill of one mask, with the text's other masks unchanged (`--independent`).

    Args:
        mask: Which mask it fills, from 0.
    """

    mask: int


@dataclass(frozen=True, slots=True)
class CandidateFill(Fill):
    """A candidate put in place of the mask; `score` is the softmax over the candidates of the mean.

    Args:
        mean_log_probability: The mean over its pieces of each piece's log-probability while it alone is masked.
        sum_log_probability: The sum of the same: the pseudo-log-likelihood of the candidate.
    """

    mean_log_probability: float
    sum_log_probability: float


@dataclass(frozen=True, slots=True)
class Filled:
    """The fills of a text, best first; with `--independent` mask by mask, best first within each."""

    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True)
class WindowedFilled(Filled):
    """The fills of a text longer than the model: each mask was read in the window in which it is most central.

    Args:
        windows: For each mask, the character offsets of its window; the text outside was not used for it.
    """

    windows: tuple[tuple[int, int], ...]


FILL_MASK: TaskSpec[FillMaskOptions, Filled] = TaskSpec(
    "fill-mask",
    "Fill the masks of a text.",
    FillMaskOptions,
    make="jnlp_fill_mask.logic:make",
    result=Filled,
    rows="jnlp_fill_mask.logic:rows",
)
