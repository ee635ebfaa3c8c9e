"""Writes a trained masked LM in Hugging Face's format."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from jnlp.io.durable import replacing, sync_folder
from jnlp_pretrain.tokenizer_train import save_tokenizer, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer
    from torch import Tensor

    from jnlp.encoder.modernbert import ModernBertForMaskedLM

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*")


def export(model: ModernBertForMaskedLM, tokenizer: Tokenizer, out: Path) -> None:
    """Write a folder that transformers and jnlp load: fp16 weights (the tied decoder once), config and tokenizer.

    The folder is written next to `out` and replaces it when complete. Old weights in `out` are removed; other files (a
    model card) stay.
    """
    from safetensors.torch import save

    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    weights: dict[str, Tensor] = {
        name: value.detach().cpu().half().contiguous()
        for name, value in model.state_dict().items()
        if name != "decoder.weight"
    }
    with replacing(part / "model.safetensors") as file:
        file.write(save(weights, metadata={"format": "pt"}))
    config = model.config.to_dict() | {"architectures": ["ModernBertForMaskedLM"], "dtype": "float16"}
    write_json(part / "config.json", config)
    save_tokenizer(tokenizer, part, max_length=model.config.max_position_embeddings)
    out.mkdir(parents=True, exist_ok=True)
    new = {path.name for path in part.iterdir()}
    for pattern in _WEIGHTS:
        for path in out.glob(pattern):
            if path.name not in new:
                path.unlink()
    for name in sorted(new):
        (part / name).replace(out / name)
    sync_folder(out)
    part.rmdir()
