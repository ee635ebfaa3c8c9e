"""Linear classifiers over character n-grams and the vectors of a frozen embedder, in a folder like any other model's.

The folder has `config.json` (`model_type` "jnlp_linear", labels, problem type, temperature), `model.safetensors` (the
tensors below) and, if the model uses vectors, `embedder/`: a complete model folder. A model that ships names a built-in
embedder in `config.json` instead, with the digest of its weights.

    ngrams.codes   int64 [m]     the n-grams that the model knows (`jnlp.encoder.ngrams`)
    ngrams.idf     fp32 [m]
    ngrams.weight  fp32 [m, k]
    dense.weight   fp32 [d, k]   of the vector, and of a pair also of the overlap of its texts
    bias           fp32 [k]
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jnlp.encoder.files import digest_weights
from jnlp.encoder.ngrams import OVERLAPS, Vocabulary, count, overlaps
from jnlp.encoder.runtime import ignore_counts
from jnlp.encoder.vectors import unit
from jnlp.errors import JnlpError, RecordError, UsageError
from jnlp.models.folder import EMBEDDER, EMBEDDER_NAME, EMBEDDER_WEIGHTS, LINEAR, TEMPERATURE, embedder_of
from jnlp.models.weights import AGAIN, WEIGHTS
from jnlp.strict_json import dumps
from jnlp.types import Logits, ProblemType, Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from jnlp.encoder.runtime import Runtime
    from jnlp.models.folder import ModelFolder
    from jnlp.types import Embeddings, FloatArray, IntArray, Overflow, Text

UNLIMITED = 1_000_000
"""The length that a model without an embedder states: it reads any text whole."""

PAIRS = "jnlp_pairs"
"""The key of `config.json` that says whether a linear model reads pairs."""


NOT_READ = (".*", "*.bin", "*.onnx", "*.h5", "*.msgpack", "*.pt", "*.ot", "onnx", "openvino")
"""Files of an embedder's folder that jnlp does not read, and does not copy."""


class Vectorizer(Protocol):
    """What is used of an embedder."""

    dimension: int
    max_length: int

    def embed(
        self, texts: Sequence[str], /, *, purpose: Purpose = Purpose.SIMILARITY, overflow: Overflow | None = None
    ) -> Embeddings:
        """Return one pooled vector per text, not normalised."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """The weights of a linear model over the features of `dense` and of a vocabulary of n-grams.

    Args:
        vocabulary: The n-grams that it knows.
        ngrams: float32 `[m, k]`.
        dense: float32 `[d, k]`; `[0, k]` without an embedder, for single texts.
        bias: float32 `[k]`.
        pairs: It reads pairs, and otherwise single texts.
    """

    vocabulary: Vocabulary
    ngrams: FloatArray
    dense: FloatArray
    bias: FloatArray
    pairs: bool

    def logits(self, texts: Sequence[Text], dense: FloatArray, /) -> FloatArray:
        """Return float32 `[n, k]`, not calibrated.

        Args:
            texts: n texts or pairs.
            dense: Their other features, `[n, d]`, as `dense_features` returns them.
        """
        rows = self.vocabulary.rows([count(text) for text in texts])
        found: FloatArray = rows.times(self.ngrams) + dense @ self.dense + self.bias
        return found

    def tensors(self) -> dict[str, Any]:
        """Return the tensors as they are saved."""
        return {
            "ngrams.codes": self.vocabulary.codes,
            "ngrams.idf": self.vocabulary.idf,
            "ngrams.weight": self.ngrams,
            "dense.weight": self.dense,
            "bias": self.bias,
        }


@dataclass(frozen=True, slots=True)
class LinearClassifier:
    """Texts or pairs to logits by label; a text is one window, however long. Implements `jnlp.types.Classifier`.

    Args:
        model: The weights.
        labels: The k labels.
        problem_type: How the logits are read.
        temperature: What they are divided by.
        embedder: Makes the vectors, or None.
        count: Called after each call with how many texts were read in windows, and how many characters left out.
        folder: Where it was read.
    """

    model: Linear
    labels: tuple[str, ...]
    problem_type: ProblemType
    temperature: float = 1.0
    embedder: Vectorizer | None = None
    count: Callable[[int, int], None] = field(default=ignore_counts)
    folder: Path | None = None

    @property
    def max_length(self) -> int:
        """The length of the embedder's windows in tokens; the n-grams have no limit."""
        return self.embedder.max_length if self.embedder else UNLIMITED

    def logits(self, texts: Sequence[Text], /, *, overflow: Overflow | None = None) -> Logits:
        """Return one row of logits per text, calibrated: divided by the temperature of the model.

        Raises:
            RecordError: A pair where the model reads single texts, or the other way round.
        """
        if isinstance(texts, str):
            raise UsageError("texts is one string", hint="pass a list: [text]")
        for text in texts:
            _check_kind(text, self.model.pairs)
        dense, cut = dense_features(texts, self.embedder, pairs=self.model.pairs, overflow=overflow)
        values = self.model.logits(texts, dense)
        if self.problem_type is not ProblemType.REGRESSION:
            values = values / np.float32(self.temperature)
        return Logits(
            values=values,
            owner=np.arange(len(texts)),
            spans=np.asarray([(0, len(_last(text))) for text in texts], dtype=np.int64).reshape(-1, 2),
            tokens=np.asarray([len(_last(text)) for text in texts], dtype=np.int64),
            cut=cut,
            labels=self.labels,
            problem_type=self.problem_type,
        )


def dense_features(
    texts: Sequence[Text], embedder: Vectorizer | None, /, *, pairs: bool, overflow: Overflow | None = None
) -> tuple[FloatArray, IntArray]:
    """Return the dense features, float32 `[n, d]`, and the number of characters left out, int64 `[n]`.

    Of a text its vector u at unit length; of a pair |u - v|, u · v by dimension, the cosine and the overlap of n-grams.
    """
    if not pairs:
        if embedder is None or not texts:
            width = 0 if embedder is None else embedder.dimension
            return np.zeros((len(texts), width), np.float32), np.zeros(len(texts), np.int64)
        found = _embed([text for text in texts if isinstance(text, str)], embedder, overflow, Purpose.TOPIC)
        return unit(found.vectors), found.cut
    both = [text for text in texts if not isinstance(text, str)]
    shared = np.asarray([overlaps(pair) for pair in both], dtype=np.float32).reshape(-1, OVERLAPS)
    if embedder is None:
        return shared, np.zeros(len(texts), np.int64)
    sides = [_embed([pair[side] for pair in both], embedder, overflow, Purpose.SIMILARITY) for side in (0, 1)]
    u, v = (unit(side.vectors.reshape(-1, embedder.dimension)) for side in sides)
    product = u * v
    return (
        np.concatenate([np.abs(u - v), product, product.sum(axis=1, keepdims=True), shared], axis=1, dtype=np.float32),
        sides[0].cut + sides[1].cut,
    )


def load_linear(model: ModelFolder, embedder: Vectorizer | None, /, *, runtime: Runtime) -> LinearClassifier:
    """Load a linear classifier's folder, and the embedder in it, which the caller has loaded.

    Raises:
        JnlpError: A tensor is missing or has another size than the labels and the embedder ask for.
    """
    folder = model.folder
    _check_weights(model)
    linear = _read(folder / WEIGHTS, pairs=bool(model.config.get(PAIRS)))
    width = _width(embedder, linear.pairs)
    if linear.bias.shape != (len(model.spec.labels),) or linear.dense.shape[0] != width:
        raise JnlpError(f"{folder / WEIGHTS} does not fit the folder's config.json and embedder", hint=AGAIN)
    return LinearClassifier(
        linear,
        model.spec.labels,
        model.spec.problem_type or ProblemType.SINGLE_LABEL,
        model.temperature,
        embedder,
        runtime.count,
        folder,
    )


def save_linear(
    folder: Path,
    linear: Linear,
    labels: Sequence[str],
    problem_type: ProblemType,
    /,
    *,
    temperature: float,
    embedder: Path | None,
    named: bool = False,
) -> None:
    """Write a linear classifier into an existing folder, with a copy of its embedder; `named`, with its name alone."""
    from safetensors.numpy import save_file

    config: dict[str, Any] = {
        "architectures": ["JnlpLinearForSequenceClassification"],
        "model_type": LINEAR,
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
        "problem_type": problem_type.value,
        TEMPERATURE: temperature,
        PAIRS: linear.pairs,
    }
    if embedder is not None and named:
        config |= {EMBEDDER_NAME: embedder.name, EMBEDDER_WEIGHTS: digest_weights(embedder)}
    text = dumps(config, indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", "utf-8")
    weights = folder / WEIGHTS
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in linear.tensors().items()}, weights)
    weights.chmod((folder / "config.json").stat().st_mode)  # the library makes it private to its owner
    if embedder is not None and not named:
        shutil.copytree(embedder, folder / EMBEDDER, ignore=shutil.ignore_patterns(*NOT_READ))


def _check_weights(model: ModelFolder) -> None:
    """Raise JnlpError if the built-in embedder that a model names has other weights than those it was fitted to."""
    stated, inner = model.config.get(EMBEDDER_WEIGHTS), embedder_of(model.folder, model.config)
    if stated is not None and inner is not None and digest_weights(inner) != stated:
        raise JnlpError(
            f"{model.folder} was fitted to other weights of {inner.name} than those in {inner}",
            hint="use it with the version of jnlp that it came with",
        )


def _read(path: Path, /, *, pairs: bool) -> Linear:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found: Mapping[str, Any] = load_file(path)
        vocabulary = Vocabulary(found["ngrams.codes"], found["ngrams.idf"])
        linear = Linear(vocabulary, found["ngrams.weight"], found["dense.weight"], found["bias"], pairs)
    except (SafetensorError, OSError, KeyError) as error:
        raise JnlpError(f"{path} is cut off or broken: {error}", hint=AGAIN) from error
    (known,), k = vocabulary.codes.shape, len(linear.bias)
    if vocabulary.idf.shape != (known,) or linear.ngrams.shape != (known, k) or linear.dense.shape[1:] != (k,):
        raise JnlpError(f"{path} is broken: its tensors do not fit each other", hint=AGAIN)
    if not all(np.isfinite(tensor).all() for tensor in (linear.ngrams, linear.dense, linear.bias, vocabulary.idf)):
        raise JnlpError(f"the weights in {path} hold NaN or infinity", hint=AGAIN)
    return linear


def _width(embedder: Vectorizer | None, pairs: bool) -> int:
    if pairs:
        return OVERLAPS + (0 if embedder is None else 2 * embedder.dimension + 1)
    return 0 if embedder is None else embedder.dimension


def _embed(texts: list[str], embedder: Vectorizer, overflow: Overflow | None, purpose: Purpose) -> Embeddings:
    return embedder.embed(texts, purpose=purpose, overflow=overflow)


def _check_kind(text: Text, pairs: bool) -> None:
    if isinstance(text, str) and pairs:
        raise RecordError("the model reads pairs, and this is one text", hint="--text A --text-pair B")
    if not isinstance(text, str) and not pairs:
        raise RecordError("the model reads one text, and this is a pair", hint="leave --text-pair out")


def _last(text: Text) -> str:
    return text if isinstance(text, str) else text[1]
