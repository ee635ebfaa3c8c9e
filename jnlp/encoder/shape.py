"""Fits a folder's weights and its config to each other, whatever the weights are held in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jnlp.encoder.config import ModernBertConfig
from jnlp.errors import JnlpError, MissingHeadError
from jnlp.models.weights import AGAIN
from jnlp.types import Head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Shaped(Protocol):
    """A weight: a tensor, or an array."""

    @property
    def shape(self) -> Sequence[int]:
        """Its sizes."""
        ...


W = TypeVar("W", bound=Shaped)

_MIXED = "config.json and weights are of different models: copy both from one"


def select(weights: Mapping[str, W], head: Head, name: str, /) -> dict[str, W]:
    """Return the weights of an encoder with a head, by the network's names.

    An embedder's have no prefix; in the others the encoder's begin with `model.`.

    Args:
        weights: The weights by the names in the files.
        head: The head.
        name: What messages call the model.

    Raises:
        MissingHeadError: They lack the head.
    """
    weights = _add_prefix(weights)
    encoder = {name: w for name, w in weights.items() if name.startswith("model.")}
    if head is Head.EMBEDDING:
        return {name.removeprefix("model."): w for name, w in encoder.items()}
    classifies = "classifier.weight" in weights
    fills = "head.dense.weight" in weights and not classifies
    if head is Head.MASKED_LM and not fills:
        has = "a classifier" if classifies else "embeddings"
        hint = "jnlp models lists those that have one"
        raise MissingHeadError(f"{name} has no masked-LM head: it has {has}", hint=hint)
    if head is Head.CLASSIFIER and not classifies:
        has = "embeddings and a masked-LM head" if fills else "embeddings"
        hint = "train one: jnlp train classifier TRAIN.csv --text … --label … -o DIR"
        raise MissingHeadError(f"{name} has no classifier: it has {has}", hint=hint)
    return encoder | {name: w for name, w in weights.items() if name.startswith(("head.", "decoder.", "classifier."))}


def _add_prefix(weights: Mapping[str, W]) -> Mapping[str, W]:
    """Give the encoder's weights of an encoder-only checkpoint the prefix they have in all others."""
    if any(name.startswith("model.") for name in weights):
        return weights
    parts = ("embeddings.", "layers.", "final_norm.")
    return {f"model.{name}" if name.startswith(parts) else name: w for name, w in weights.items()}


def read_shape(folder: Path, values: Mapping[str, Any], weights: Mapping[str, Shaped], /) -> ModernBertConfig:
    """Return a network's shape; a classifier without labels in its config gets as many as its weights have.

    Raises:
        JnlpError: The config is not a ModernBERT's.
    """
    path = folder / "config.json"
    values = dict(values)
    if "classifier.weight" in weights and not values.get("id2label"):
        values["num_labels"] = weights["classifier.weight"].shape[0]
    try:
        return ModernBertConfig.from_dict(values)
    except JnlpError as error:
        raise JnlpError(f"{path}: {error.message}", hint=error.hint or AGAIN) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise JnlpError(f"{path} does not describe a ModernBERT: {error}", hint=AGAIN) from error


def fit(weights: Mapping[str, W], expected: Mapping[str, Sequence[int]], folder: Path, /) -> dict[str, W]:
    """Check names and shapes; leave out the copy of the embeddings that some files have as a tied decoder.

    Raises:
        JnlpError: A weight is missing, has another shape, or has no place.
    """
    fitting = {name: w for name, w in weights.items() if name != "decoder.weight" or name in expected}
    if missing := sorted(expected.keys() - fitting.keys()):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise JnlpError(f"the weights in {folder} lack {missing[0]}{more}", hint=_MIXED)
    if extra := sorted(fitting.keys() - expected.keys()):
        raise JnlpError(f"the weights in {folder} have {extra[0]}, for which config.json has no place", hint=_MIXED)
    for name, shape in expected.items():
        if (found := list(fitting[name].shape)) != (wanted := list(shape)):
            raise JnlpError(f"{name} in {folder} is {found}, by config.json {wanted}", hint=_MIXED)
    return fitting


def shapes(config: ModernBertConfig, head: Head, /) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network without biases in its layers, by the names of `select`."""
    d, inner = config.hidden_size, config.intermediate_size
    found: dict[str, tuple[int, ...]] = {
        "embeddings.tok_embeddings.weight": (config.vocab_size, d),
        "embeddings.norm.weight": (d,),
        "final_norm.weight": (d,),
    }
    for index in range(config.num_hidden_layers):
        parts: dict[str, tuple[int, ...]] = {
            "attn.Wqkv": (3 * d, d),
            "attn.Wo": (d, d),
            "mlp_norm": (d,),
            "mlp.Wi": (2 * inner, d),
            "mlp.Wo": (d, inner),
        }
        if index:
            parts["attn_norm"] = (d,)
        found |= {f"layers.{index}.{name}.weight": shape for name, shape in parts.items()}
    if head is Head.EMBEDDING:
        return found
    found = {f"model.{name}": shape for name, shape in found.items()}
    found |= {"head.dense.weight": (d, d), "head.norm.weight": (d,)}
    if config.classifier_bias:
        found["head.dense.bias"] = (d,)
    if head is Head.CLASSIFIER:
        return found | {"classifier.weight": (config.num_labels, d), "classifier.bias": (config.num_labels,)}
    if config.decoder_bias:
        found["decoder.bias"] = (config.vocab_size,)
    if not config.tie_word_embeddings:
        found["decoder.weight"] = (config.vocab_size, d)
    return found
