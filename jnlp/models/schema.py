"""Rules for the JSON files of a model folder, which may contain anything.

The rules are our own, because importing pydantic would add a tenth of a second to every cold start.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.models.weights import AGAIN
from jnlp.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for a value; null and a missing key are always allowed.

    Args:
        holds: Returns True if a value is allowed.
        allowed: The allowed values, for the message.
    """

    holds: Callable[[Any], bool]
    allowed: str


def _integer(low: int, high: int) -> Rule:
    kind = lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high  # noqa: E731
    return Rule(kind, f"a whole number from {low:,} to {high:,}")


def _number(low: float, high: float) -> Rule:
    def holds(value: Any) -> bool:
        # compared as it is: a whole number may be too large for a float
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high

    return Rule(holds, f"a number from {low:g} to {high:g}")


def _each(holds: Callable[[Any], bool], allowed: str) -> Rule:
    return Rule(lambda value: isinstance(value, list) and all(map(holds, value)), f"a list of {allowed}")


def _is_label(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _labels(value: Any) -> bool:
    if not isinstance(value, dict) or not all(map(_is_label, value.values())):
        return False
    try:
        return len(value) <= _MOST_LABELS and {int(key) for key in value} == set(range(len(value)))
    except ValueError:
        return False


def _is_token(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("content"), str))


_MOST_LABELS = 1_000_000
_TEXT = Rule(lambda value: isinstance(value, str) and len(value) < 1000, "a text")
_TRUTH = Rule(lambda value: isinstance(value, bool), "true or false")
_OBJECT = Rule(lambda value: isinstance(value, dict), "an object")
_SIZE = _integer(1, 1_000_000)
_LAYERS = _integer(1, 1_000)
_SHARE = _number(0, 1)
_ID = _integer(0, 100_000_000)
_TOKEN = Rule(lambda v: _ID.holds(v) or (isinstance(v, list) and all(map(_ID.holds, v))), "the id of a token")
_THETA = _number(1, 1e12)
_KINDS = ("full_attention", "sliding_attention")

CONFIG: Mapping[str, Rule] = {
    "model_type": _TEXT,
    "architectures": _each(lambda value: isinstance(value, str), "names"),
    "vocab_size": _integer(1, 100_000_000),
    "hidden_size": _SIZE,
    "intermediate_size": _SIZE,
    "num_hidden_layers": _LAYERS,
    "num_attention_heads": _integer(1, 10_000),
    "max_position_embeddings": _integer(8, 100_000_000),
    "layer_types": _each(lambda value: value in _KINDS, " or ".join(_KINDS)),
    "global_attn_every_n_layers": _LAYERS,
    "local_attention": _integer(0, 100_000_000),
    "global_rope_theta": _THETA,
    "local_rope_theta": _THETA,
    "rope_parameters": Rule(
        lambda value: (
            isinstance(value, dict)
            and all(
                not isinstance(rope, dict) or rope.get("rope_theta") is None or _THETA.holds(rope["rope_theta"])
                for rope in value.values()
            )
            and all(rope is None or isinstance(rope, dict) for kind, rope in value.items() if kind in _KINDS)
        ),
        "an object with rope_theta by kind of layer",
    ),
    "norm_eps": _number(0, 1),
    "initializer_range": _number(0, 1e6),
    "initializer_cutoff_factor": _number(0, 1e6),
    **dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias", "decoder_bias", "classifier_bias"), _TRUTH),
    "tie_word_embeddings": _TRUTH,
    **dict.fromkeys(("embedding_dropout", "attention_dropout", "mlp_dropout", "classifier_dropout"), _SHARE),
    "classifier_pooling": Rule(lambda value: value in ("cls", "mean"), "cls or mean"),
    **{f"{name}_token_id": _TOKEN for name in ("unk", "bos", "eos", "pad", "sep", "mask", "cls")},
    "id2label": Rule(_labels, "an object that numbers its labels from 0"),
    "num_labels": _integer(1, _MOST_LABELS),
    "problem_type": _TEXT,
    "jnlp_temperature": _number(1e-6, 1e6),
    "type_vocab_size": _integer(0, 1_000_000),
}
"""The keys of `config.json` that jnlp reads."""

SENTENCE_BERT: Mapping[str, Rule] = {"max_seq_length": _integer(8, 100_000_000)}

TOKENIZER_CONFIG: Mapping[str, Rule] = {
    "model_max_length": Rule(
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value >= 8,  # often 1e30
        "a number of at least 8",
    ),
    **{f"{name}_token": Rule(_is_token, "a token") for name in ("mask", "cls", "sep", "bos", "eos", "pad", "unk")},
}

PROMPTS: Mapping[str, Rule] = {
    "prompts": Rule(
        lambda value: isinstance(value, dict) and all(isinstance(text, str) for text in value.values()),
        "an object of texts",
    ),
    "default_prompt_name": _TEXT,
}

MODULE: Mapping[str, Rule] = {"type": _TEXT, "path": _TEXT}

_WEIGHTS = Rule(
    lambda value: isinstance(value, list) and len(value) <= 100 and all(map(_number(-1e6, 1e6).holds, value)),
    "a list of numbers",
)

SEARCH: Mapping[str, Rule] = {"dense_weight": _SHARE, "hybrid": _WEIGHTS, "dense": _WEIGHTS, "int8": _TRUTH}

RERANK: Mapping[str, Rule] = {
    "tokens": _integer(0, 100_000_000),
    **dict.fromkeys(("hybrid", "lexical", "dense"), _WEIGHTS),
}

FILES: Mapping[str, Mapping[str, Rule]] = {
    "config.json": CONFIG,
    "sentence_bert_config.json": SENTENCE_BERT,
    "tokenizer_config.json": TOKENIZER_CONFIG,
    "special_tokens_map.json": TOKENIZER_CONFIG,
    "config_sentence_transformers.json": PROMPTS,
    "search.json": SEARCH,
    "rerank.json": RERANK,
}
"""The rules of a file, by its name."""


def read(path: Path, /) -> Any:
    """Return the value in a JSON file.

    Raises:
        JnlpError: It is not JSON, or too deeply nested.
        OSError: It cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise JnlpError(f"{path} is damaged: not JSON", hint=AGAIN) from error


def read_object(path: Path, /, rules: Mapping[str, Rule] | None = None) -> dict[str, Any]:
    """Return the object in a JSON file of a model folder, checked by the rules for its name.

    Raises:
        JnlpError: It is not a JSON object, or a key has an invalid value; the message names file and key.
        OSError: It cannot be read.
    """
    value = read(path)
    if not isinstance(value, dict):
        raise JnlpError(f"{path} is damaged: not an object", hint=AGAIN)
    check(value, FILES.get(path.name, {}) if rules is None else rules, path)
    return value


def check(values: Mapping[str, Any], rules: Mapping[str, Rule], path: Path, /) -> None:
    """Raise JnlpError if a value breaks its rule."""
    for key, rule in rules.items():
        value = values.get(key)
        if value is None:
            continue
        if (isinstance(value, float) and not math.isfinite(value)) or not rule.holds(value):
            raise JnlpError(f"{path}: {key} cannot be {_short(value)}: it is {rule.allowed}", hint=AGAIN)


def _short(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) > 1 << 64:
        return "a number of more than twenty digits"
    text = dumps(value)
    return text if len(text) <= 40 else text[:39] + "…"
