"""A smaller form of a masked LM: its first layers, and the pieces of its tokenizer that some texts use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file, save_file

from jnlp.strict_json import dumps
from jnlp_family.distill.pieces import FIRST, choose

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_EMBEDDINGS = "model.embeddings.tok_embeddings.weight"
_BIAS = "decoder.bias"
_LAYER = "model.layers."
_COPIED = ("special_tokens_map.json", "tokenizer_config.json")


def reduce_model(base: Path, out: Path, /, *, layers: int, pieces: int, texts: Iterable[str]) -> None:
    """Write a model folder with the first layers of another and a smaller vocabulary.

    Text that used a piece that is left out is cut into shorter ones, so its ids change; all other text keeps its states
    up to the last layer that is kept.

    Args:
        base: The folder of a masked LM with a unigram tokenizer.
        out: The folder to write.
        layers: Layers to keep, the first ones; all where the model has no more.
        pieces: Ids to keep: special tokens, bytes, common single characters and the pieces most frequent in `texts`.
        texts: What pieces are counted in.

    Raises:
        JnlpError: The tokenizer is of another kind.
    """
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    chosen = choose(base, base, texts, pieces)
    rows = np.concatenate([np.arange(FIRST, dtype=np.int32), chosen.taught[FIRST:]])
    layers = min(layers, config["num_hidden_layers"])
    weights = {}
    for name, weight in load_file(base / "model.safetensors").items():
        if name.startswith(_LAYER) and int(name.removeprefix(_LAYER).partition(".")[0]) >= layers:
            continue
        weights[name] = np.ascontiguousarray(weight[rows]) if name in (_EMBEDDINGS, _BIAS) else weight
    config |= {"vocab_size": len(rows), "num_hidden_layers": layers, "layer_types": config["layer_types"][:layers]}
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / "model.safetensors", {"format": "pt"})
    (out / "config.json").write_text(dumps(config, indent=2), encoding="utf-8")
    (out / "tokenizer.json").write_text(dumps(chosen.tokenizer), encoding="utf-8")
    for path in (base / name for name in _COPIED):
        if path.is_file():
            (out / path.name).write_bytes(path.read_bytes())
