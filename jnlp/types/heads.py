"""The interfaces of models to tasks: vectors, logits, predictions for masked tokens. Arrays are numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jnlp.types.records import Text
from jnlp.types.specs import Overflow, Pooling, ProblemType, Purpose, SearchScores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]
    IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of a list of texts.

    Args:
        vectors: float32 `[n, d]`, one for each text, in the order of the texts.
        windows: int64 `[n]`, the number of windows each text was read in.
        cut: int64 `[n]`, the number of characters of each text that were left out.
        tokens: int64 `[n]`, the number of tokens that the model read for each text, special tokens and the overlaps of
            windows included; None if the embedder does not count them.
    """

    vectors: FloatArray
    windows: IntArray
    cut: IntArray
    tokens: IntArray | None = None


@dataclass(frozen=True, slots=True)
class TokenStates:
    """States of the tokens of one window: float32 `[t, d]`, and int64 `[t, 2]` character offsets in the text.

    Special and prefix tokens have the empty span (0, 0). Windows of one text overlap; `core` is the token range
    whose states this window gives best, and the cores of a text's windows tile its tokens.
    """

    states: FloatArray
    offsets: IntArray
    core: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Logits:
    """Scores of a classifier, for each window.

    Args:
        values: float32 `[windows, k]`.
        owner: int64 `[windows]`, the text each window belongs to, ascending.
        spans: int64 `[windows, 2]`, the character offsets of the window in its text (a pair: in the second).
        tokens: int64 `[windows]`, the number of tokens of the text in the window.
        cut: int64 `[n]`, the number of characters of each text that were left out.
        labels: The k labels.
        problem_type: How the values become probabilities.
    """

    values: FloatArray
    owner: IntArray
    spans: IntArray
    tokens: IntArray
    cut: IntArray
    labels: tuple[str, ...]
    problem_type: ProblemType


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one text, special tokens included, with int64 `[t, 2]` character offsets in the text."""

    ids: IntArray
    offsets: IntArray


class Tokenizer(Protocol):
    """The model's own tokenizer."""

    mask_id: int
    mask_token: str
    vocabulary: int

    def encode(self, texts: Sequence[str], /) -> list[Encoded]:
        """Encode texts with the model's special tokens; very long texts are cut at sentence ends on the way."""
        ...

    def pieces(self, text: str, /) -> list[int]:
        """Return the ids of a text inside a sequence: no special tokens."""
        ...

    def decode(self, ids: Sequence[int], /) -> str:
        """Return the text of ids, special tokens left out."""
        ...

    def token(self, id: int, /) -> str:
        """Return one piece as text."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors; `prefixes` are put before a text, by purpose; `search` says how well it searches."""

    dimension: int
    max_length: int
    prefixes: Mapping[Purpose, str]
    tokenizer: Tokenizer
    fingerprint: str
    search: SearchScores | None

    def embed(
        self, texts: Sequence[str], /, *, purpose: Purpose = Purpose.SIMILARITY, overflow: Overflow | None = None
    ) -> Embeddings:
        """Return one pooled vector for each text, not normalised; windows are joined by `mean_by_tokens`.

        With `overflow` None, the setting `--on-overflow` applies.
        """
        ...

    def states(self, text: str, /, *, purpose: Purpose = Purpose.DOCUMENT) -> Iterator[TokenStates]:
        """Yield token states window by window, with character offsets (for late chunking)."""
        ...


class Classifier(Protocol):
    """Scores texts or pairs by label. Logits are calibrated: divided by the temperature fitted in training."""

    labels: tuple[str, ...]
    problem_type: ProblemType
    max_length: int

    def logits(self, texts: Sequence[Text], /, *, overflow: Overflow | None = None) -> Logits:
        """Return the logits of each window; with `overflow` None, the setting `--on-overflow` applies."""
        ...


class MaskedLM(Protocol):
    """Predicts masked tokens.

    The caller makes the sequences, so it must also respect `overflow`, and report to `count` how many texts were read
    in windows and how many characters were left out.
    """

    tokenizer: Tokenizer
    max_length: int
    overflow: Overflow
    count: Callable[[int, int], None]

    def at_masks(self, ids: Sequence[IntArray], positions: Sequence[IntArray], /) -> FloatArray:
        """Return logits only at the given positions.

        Args:
            ids: Token ids of each sequence, special tokens included, at most `max_length` each.
            positions: The positions in each sequence, ascending.

        Returns:
            float32 `[sum of positions, vocabulary]`, in the order of the sequences.
        """
        ...


class Models(Protocol):
    """Gives a task its models: loaded on first use, and cached by resolved model, device and dtype.

    A name is one of `jnlp models`, a folder, or a hub id. None is the caller's model (`--model`, `run(model=…)`), else
    the task's own default, else the configured one.
    """

    def embedder(self, model: str | None = None, /, *, pooling: Pooling | None = None, bulk: bool = False) -> Embedder:
        """Return a model's embedder.

        Args:
            model: Its name.
            pooling: Overrides the model's own.
            bulk: For passages of an index: in int8 where this is faster, the user left the dtype open, and the model
                was measured to search as well so (`SearchScores.int8`).
        """
        ...

    def masked_lm(self, model: str | None = None, /) -> MaskedLM:
        """Return a model's masked-LM head; an error names the models that have one."""
        ...

    def classifier(self, model: str | None = None, /) -> Classifier:
        """Return a model's classifier; if the head is missing, the error names the training command."""
        ...
