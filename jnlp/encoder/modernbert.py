"""ModernBERT over packed tokens, with Hugging Face's parameter names.

The T tokens of B sequences are concatenated (`Packed`); there is no padding. Shapes: x `[T, d]`, q, k, v
`[T, heads, head_dim]`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from jnlp.encoder.attention import attention
from jnlp.encoder.config import ModernBertConfig
from jnlp.encoder.pooling import pool
from jnlp.encoder.rotation import angles

if TYPE_CHECKING:
    from collections.abc import Callable

    from jnlp.encoder.attention import Attention
    from jnlp.encoder.packing import Packed

__all__ = ["ModernBert", "ModernBertConfig", "ModernBertForMaskedLM", "ModernBertForSequenceClassification"]


Turns = tuple[Tensor, Tensor]
"""The cosines and sines of every token's angles, fp32 `[T, 1, 1, head_dim / 2]`, shared by all layers of a kind.

A plain tuple: torch 2.11 cannot compile what makes a frozen dataclass with slots.
"""


def turns_at(positions: Tensor, head_dim: int, theta: float, /) -> Turns:
    """Return the turns of T positions."""
    turned = angles(positions, head_dim, theta)[:, None, None, :]
    return turned.cos(), turned.sin()


def rotate(qk: Tensor, turns: Turns, /) -> Tensor:
    """Rotate queries and keys `[T, 2, heads, head_dim]` in fp32; component i is paired with i + head_dim / 2."""
    cos, sin = turns
    first, second = qk.float().chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(qk.dtype)


def _norm(config: ModernBertConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias)


class _Embeddings(nn.Module):
    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        # from storage: nn.Embedding would draw weights first, which on the meta device loads torch's compiler (1.5 s)
        storage = torch.empty(config.vocab_size, config.hidden_size)
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, _weight=storage)
        self.norm = _norm(config)
        self.drop = nn.Dropout(config.embedding_dropout)

    def forward(self, ids: Tensor) -> Tensor:
        x: Tensor = self.drop(self.norm(self.tok_embeddings(ids)))
        return x


class _Attention(nn.Module):
    def __init__(self, config: ModernBertConfig, window: int | None) -> None:
        super().__init__()
        d = config.hidden_size
        self.heads, self.window = config.num_attention_heads, window
        self.Wqkv = nn.Linear(d, 3 * d, bias=config.attention_bias)
        self.Wo = nn.Linear(d, d, bias=config.attention_bias)
        self.drop = nn.Dropout(config.attention_dropout)

    def project(self, x: Tensor, turns: Turns) -> tuple[Tensor, Tensor, Tensor]:
        qkv = self.Wqkv(x).unflatten(-1, (3, self.heads, -1))
        q, k = rotate(qkv[:, :2], turns).unbind(1)
        return q, k, qkv[:, 2]

    def out(self, attended: Tensor) -> Tensor:
        x: Tensor = self.drop(self.Wo(attended.flatten(1)))
        return x


class _MLP(nn.Module):
    """GeGLU, with the exact GELU."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.Wi = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=config.mlp_bias)
        self.Wo = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)
        self.drop = nn.Dropout(config.mlp_dropout)

    def forward(self, x: Tensor) -> Tensor:
        inner, gate = self.Wi(x).chunk(2, dim=-1)
        x = self.Wo(self.drop(F.gelu(inner) * gate))
        return x


class Layer(nn.Module):
    """Attention, then a gated feed-forward network, each added to the residual stream."""

    def __init__(self, config: ModernBertConfig, index: int) -> None:
        super().__init__()
        # the embeddings are normed already
        self.attn_norm = _norm(config) if index else nn.Identity()
        self.attn = _Attention(config, config.window(index))
        self.mlp_norm = _norm(config)
        self.mlp = _MLP(config)

    def project(self, x: Tensor, turns: Turns) -> tuple[Tensor, Tensor, Tensor]:
        """Return the queries, keys and values of the states x, the first two rotated."""
        return self.attn.project(self.attn_norm(x), turns)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Return the states x plus the attention's output `[T, heads, head_dim]` after projection, plus the MLP."""
        x = x + self.attn.out(attended)
        x = x + self.mlp(self.mlp_norm(x))
        return x


class ModernBert(nn.Module):
    """The encoder: packed tokens to their states `[T, d]`.

    `attend` is the implementation of attention. `inference`, if set, replaces `forward` when no gradients are needed:
    a form in `jnlp.encoder.forms` (`cpu_torch`, `cpu_kernels`, `gpu_compiled` or `gpu_recorded`).
    """

    def __init__(self, config: ModernBertConfig, /) -> None:
        super().__init__()
        self.config = config
        self.attend: Attention = attention
        self.inference: Callable[[Packed], Tensor] | None = None
        self.embeddings = _Embeddings(config)
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config.num_hidden_layers))
        self.final_norm = _norm(config)
        initialise(self, config)

    def forward(self, packed: Packed) -> Tensor:
        """Return the states of all tokens `[T, d]`, in the weights' dtype."""
        if self.inference is not None and not torch.is_grad_enabled():
            return self.inference(packed)
        return self.compute(packed)

    def compute(self, packed: Packed, /) -> Tensor:
        """Return `forward` by this definition, whatever `inference` is."""
        config = self.config
        thetas = {config.theta(index) for index in range(config.num_hidden_layers)}
        turns = {theta: turns_at(packed.positions, config.head_dim, theta) for theta in thetas}
        x = self.embeddings(packed.ids)
        layers = cast("list[Layer]", list(self.layers))
        for index, layer in enumerate(layers):
            q, k, v = layer.project(x, turns[config.theta(index)])
            x = layer.finish(x, self.attend(q, k, v, packed.cu_seqlens, packed.lengths, layer.attn.window))
        states: Tensor = self.final_norm(x)
        return states


class _PredictionHead(nn.Module):
    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, bias=config.classifier_bias)
        self.norm = _norm(config)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(F.gelu(self.dense(x)))
        return x


class _Decoder(nn.Module):
    """States to logits over the vocabulary. If tied to the embeddings, it has only the bias, as in the files."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        shape = config.vocab_size, config.hidden_size
        self.weight = None if config.tie_word_embeddings else nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if config.decoder_bias else None

    def matrix(self, embeddings: Tensor) -> Tensor:
        """Return the weights `[vocabulary, d]`: its own, or the embeddings."""
        return embeddings if self.weight is None else self.weight

    def forward(self, x: Tensor, embeddings: Tensor) -> Tensor:
        return F.linear(x, self.matrix(embeddings), self.bias)


class ModernBertForMaskedLM(nn.Module):
    """The encoder with a head that predicts tokens."""

    def __init__(self, config: ModernBertConfig, /) -> None:
        super().__init__()
        self.config = config
        self.model = ModernBert(config)
        self.head = _PredictionHead(config)
        self.decoder = _Decoder(config)
        initialise(self.head, config)
        initialise(self.decoder, config)

    def forward(self, packed: Packed, at: Tensor) -> Tensor:
        """Return logits `[M, vocabulary]` at the M tokens `at` of the packed batch."""
        states: Tensor = self.model(packed)
        return self.logits(states[at])

    def logits(self, states: Tensor, /) -> Tensor:
        """Return the logits `[M, vocabulary]` of states `[M, d]`."""
        logits: Tensor = self.decoder(self.head(states), self.model.embeddings.tok_embeddings.weight)
        return logits


class ModernBertForSequenceClassification(nn.Module):
    """The encoder with a head that scores sequences by label."""

    def __init__(self, config: ModernBertConfig, /) -> None:
        super().__init__()
        self.config = config
        self.model = ModernBert(config)
        self.head = _PredictionHead(config)
        self.drop = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.labels = config.labels
        initialise(self.head, config)
        initialise(self.classifier, config)

    def forward(self, packed: Packed) -> Tensor:
        """Return logits `[B, labels]`."""
        states: Tensor = self.model(packed)
        pooled = pool(states, packed, self.config.classifier_pooling).to(states.dtype)
        logits: Tensor = self.classifier(self.drop(self.head(pooled)))
        return logits


@torch.no_grad()
def initialise(module: nn.Module, config: ModernBertConfig, /) -> None:
    """Initialise weights as ModernBERT does: truncated normal, smaller for the outputs of deeper models.

    The standard deviation is `initializer_range` for embeddings and inner projections. For projections onto the
    residual stream, the head and an untied decoder it is divided by sqrt(2 layers); for a classifier it is 1 / sqrt(d).
    """
    inner = config.initializer_range
    outer = inner / math.sqrt(2.0 * config.num_hidden_layers)
    stds = {"tok_embeddings": inner, "Wqkv": inner, "Wi": inner, "Wo": outer, "dense": outer}
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear | nn.Embedding | _Decoder) and part.weight is not None:
            last = name.rpartition(".")[2]
            std = outer if isinstance(part, _Decoder) else stds.get(last, config.hidden_size**-0.5)
            cut = config.initializer_cutoff_factor * std
            nn.init.trunc_normal_(part.weight, std=std, a=-cut, b=cut)
            if isinstance(part, nn.Linear) and part.bias is not None:
                nn.init.zeros_(part.bias)
