"""A ModernBERT's shape, as in the `config.json` of a Hugging Face folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.models.folder import TEMPERATURE as TEMPERATURE
from jnlp.types import Pooling, ProblemType

if TYPE_CHECKING:
    from collections.abc import Mapping

GLOBAL = "full_attention"
LOCAL = "sliding_attention"

_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
_COMPUTED = {"model_type": "modernbert", "hidden_activation": "gelu", "classifier_activation": "gelu"}


@dataclass(frozen=True, slots=True)
class ModernBertConfig:
    """The shape of a ModernBERT; names and defaults are those of Hugging Face's config, sizes those of the 30m.

    Args:
        layer_types: For each layer `full_attention` or `sliding_attention`; empty: every third layer is global.
        local_attention: The full window: a local token attends to |i - j| <= local_attention / 2.
        attention_dropout: Dropout of the attention's output. Unlike in transformers, scores have no dropout, because
            the training kernel does not store them.
        classifier_pooling: The classifier's input: the first token (`cls`) or the mean over all.
        labels: A classifier's labels in the order of its logits (`id2label`).
        problem_type: How a classifier's logits are read; None: one of several labels, or yes or no with one logit.
    """

    vocab_size: int = 102_400
    hidden_size: int = 256
    intermediate_size: int = 1024
    num_hidden_layers: int = 10
    num_attention_heads: int = 4
    max_position_embeddings: int = 8192
    layer_types: tuple[str, ...] = ()
    local_attention: int = 128
    global_rope_theta: float = 160_000.0
    local_rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    norm_bias: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    decoder_bias: bool = True
    classifier_bias: bool = False
    tie_word_embeddings: bool = True
    embedding_dropout: float = 0.0
    attention_dropout: float = 0.0
    mlp_dropout: float = 0.0
    classifier_dropout: float = 0.0
    classifier_pooling: Pooling = Pooling.CLS
    initializer_range: float = 0.02
    initializer_cutoff_factor: float = 2.0
    unk_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | None = 2
    pad_token_id: int | None = 3
    sep_token_id: int | None = 4
    mask_token_id: int | None = 5
    cls_token_id: int | None = 6
    labels: tuple[str, ...] = ()
    problem_type: ProblemType | None = None

    def __post_init__(self) -> None:
        if not self.layer_types:
            kinds = tuple(LOCAL if i % 3 else GLOBAL for i in range(self.num_hidden_layers))
            object.__setattr__(self, "layer_types", kinds)
        if len(self.layer_types) != self.num_hidden_layers or self.hidden_size % self.num_attention_heads:
            raise JnlpError(
                f"the model's shape does not fit together: {self.num_hidden_layers} layers with "
                f"{len(self.layer_types)} layer types, hidden size {self.hidden_size} over "
                f"{self.num_attention_heads} heads"
            )

    @property
    def head_dim(self) -> int:
        """The size of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def num_labels(self) -> int:
        """The number of a classifier's logits."""
        return len(self.labels)

    def window(self, layer: int) -> int | None:
        """How far a layer's tokens attend to each side, or None in a global layer."""
        return self.local_attention // 2 if self.layer_types[layer] == LOCAL else None

    def theta(self, layer: int) -> float:
        """The base of a layer's rotation."""
        return self.local_rope_theta if self.layer_types[layer] == LOCAL else self.global_rope_theta

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModernBertConfig:
        """Read a Hugging Face config, of transformers 5 (`rope_parameters`) or older (`global_rope_theta`).

        Raises:
            JnlpError: It is not a ModernBERT, or has a feature that this encoder does not support.
        """
        _refuse_foreign(values)
        known = {f.name: values[f.name] for f in fields(cls) if values.get(f.name) is not None}
        # a token id that the file leaves out is unknown, not the default of another vocabulary
        known |= {f.name: values.get(f.name) for f in fields(cls) if f.name.endswith("_token_id")}
        rope = values.get("rope_parameters") or {}
        for name, layers in (("global_rope_theta", GLOBAL), ("local_rope_theta", LOCAL)):
            if theta := (rope.get(layers) or {}).get("rope_theta"):
                known[name] = float(theta)
        known["layer_types"] = tuple(values.get("layer_types") or _layer_types(values))
        known["labels"] = _labels(values)
        known["classifier_pooling"] = Pooling(values.get("classifier_pooling") or "cls")
        known["problem_type"] = ProblemType(kind) if (kind := values.get("problem_type")) else None
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `config.json`, for transformers 4.48 and newer and for jnlp."""
        values = asdict(self)
        labels = values.pop("labels")
        values |= {
            "model_type": "modernbert",
            "hidden_activation": "gelu",
            "classifier_activation": "gelu",
            "global_attn_every_n_layers": (*self.layer_types, GLOBAL).index(GLOBAL, 1),
            "layer_types": list(self.layer_types),
            "rope_parameters": {
                GLOBAL: {"rope_type": "default", "rope_theta": self.global_rope_theta},
                LOCAL: {"rope_type": "default", "rope_theta": self.local_rope_theta},
            },
            "classifier_pooling": self.classifier_pooling.value,
            "problem_type": self.problem_type.value if self.problem_type else None,
        }
        if labels:
            values["id2label"] = {str(i): label for i, label in enumerate(labels)}
            values["label2id"] = {label: i for i, label in enumerate(labels)}
        return values


def _labels(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels in the order of their ids, if the config has any."""
    if id2label := values.get("id2label"):
        return tuple(str(id2label[key]) for key in sorted(id2label, key=int))
    return tuple(f"LABEL_{i}" for i in range(int(values.get("num_labels") or 0)))


def _layer_types(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the layer types of a transformers 4 config, which gives only their period."""
    every = int(values.get("global_attn_every_n_layers") or 3)
    return tuple(LOCAL if i % every else GLOBAL for i in range(values["num_hidden_layers"]))


def _refuse_foreign(values: Mapping[str, Any]) -> None:
    """Raise if a config has a feature that this encoder would compute differently."""
    if missing := [name for name in _SIZES if not isinstance(values.get(name), int)]:
        raise JnlpError(f"the config does not state {', '.join(missing)}")
    for name, value in _COMPUTED.items():
        if values.get(name, value) != value:
            raise JnlpError(f"{name} is {values[name]!r}: the ModernBERT encoder computes {value!r} only")
    for kind, rope in (values.get("rope_parameters") or {}).items():
        if (rope or {}).get("rope_type", "default") != "default":
            raise JnlpError(f"{kind} scales its rotation ({rope['rope_type']}): only 'default' is computed")
