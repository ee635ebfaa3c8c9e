"""Writes an embedder's folder in sentence-transformers' layout; it loads there and here, with the same vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.encoder.files import read_json
from jnlp.strict_json import dumps
from jnlp.training.folder import write_model
from jnlp.types import Pooling, Purpose

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from jnlp.training.embedder.trainer import Described, EmbedderOptions

_LONGEST = "sentence_bert_config.json"

# The names that every version of the library since the first reads.
_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]


def write_embedder(
    folder: Path,
    base: Path,
    config: Mapping[str, Any],
    module: nn.Module,
    prefixes: Mapping[Purpose, str],
    options: EmbedderOptions,
    described: Described,
    report: Mapping[str, Any],
    /,
) -> None:
    """Write encoder, tokenizer, pooling, prompts, `metrics.json` and a card into an existing folder.

    Args:
        folder: Where to.
        base: Whose tokenizer it is, and whose longest text is kept.
        config: The base's config.
        module: The encoder.
        prefixes: By purpose.
        options: What it was trained with: pooling, number format.
        described: For the card.
        report: What `metrics.json` holds.
    """
    import torch

    name, dtype = {"fp32": ("float32", torch.float32), "bf16": ("bfloat16", torch.bfloat16)}.get(
        options.weights, ("float16", torch.float16)
    )
    kept = {key: value for key, value in config.items() if key not in ("id2label", "label2id", "problem_type")}
    states = {key: tensor.detach().to(dtype) for key, tensor in module.state_dict().items()}
    write_model(folder, base, kept | {"architectures": ["ModernBertModel"], "dtype": name}, states)
    pooling = {
        "word_embedding_dimension": int(config["hidden_size"]),
        "pooling_mode_cls_token": options.pooling is Pooling.CLS,
        "pooling_mode_mean_tokens": options.pooling is Pooling.MEAN,
        "include_prompt": True,
    }
    # similarity last: the first prompt is what a reader of the file takes for the usual one
    order = (Purpose.QUERY, Purpose.DOCUMENT, Purpose.TOPIC, Purpose.SIMILARITY)
    prompts = {purpose.value: prefixes.get(purpose, "") for purpose in order}
    settings = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    positions = int(config.get("max_position_embeddings", 8192))
    declared = read_json(base / _LONGEST) if (base / _LONGEST).is_file() else {}
    longest = min(positions, int(declared.get("max_seq_length") or positions))
    _write(folder / "modules.json", _MODULES)
    _write(folder / _LONGEST, {"max_seq_length": longest, "do_lower_case": False})
    _write(folder / "config_sentence_transformers.json", settings)
    _write(folder / "1_Pooling/config.json", pooling)
    (folder / "2_Normalize").mkdir()
    _write(folder / "2_Normalize/config.json", {})
    _write(folder / "metrics.json", report)
    (folder / "README.md").write_text(card(prefixes, options, described, report), "utf-8")


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(dumps(value, indent=2) + "\n", "utf-8")


def card(
    prefixes: Mapping[Purpose, str], options: EmbedderOptions, described: Described, report: Mapping[str, Any], /
) -> str:
    """Return a README.md in English Markdown: what the embedder is, its scores before and after, and their limits."""
    licence = f"license: {described.licence.lower()}\n" if described.licence else ""
    shown = ", ".join(f"{purpose.value} `{prefix}`" for purpose, prefix in prefixes.items() if prefix) or "none"
    lines = ["| score | base, mean pooling | this model |", "|---|---:|---:|"]
    lines += [f"| {k} | {report['before'][k]:.3f} | {v:.3f} |" for k, v in report["scores"].items() if k != "score"]
    details = report["details"]
    chosen = ", ".join(f"{key} {value}" for key, value in details["options"].items() if value not in (None, (), []))
    made = ", ".join(f"{key} {value}" for key, value in details["versions"].items())
    sets = ", ".join(f"{name} {count:,}" for name, count in report["sets"].items())
    parts = [
        f"---\nlanguage: ja\n{licence}library_name: sentence-transformers\npipeline_tag: sentence-similarity\n"
        f"base_model: {described.base}\n---",
        f"# {described.name}",
        f"A Japanese embedder, trained from `{described.base}` with jnlp; sentence-transformers loads it unchanged.",
        f"- Pooling: {options.pooling.value}, prefix included; similarity: cosine\n- Prefixes: {shown}\n"
        f"- Widths that work alone: {', '.join(map(str, options.dimensions)) or 'the full one'}",
        "## Scores",
        f"On {report['rows']['valid']:,} pairs that were held out and chose the epoch, so the scores are slightly too "
        "good. Retrieval is over the held-out documents alone: the smaller the set, the easier it is.",
        "\n".join(lines),
        *([described.notes.strip()] if described.notes else []),
        "## Training",
        f"Pairs: {sets}. {report['tokens']:,} tokens in {report['seconds'] / 60:.1f} minutes; best of "
        f"{len(report['epochs'])} epochs: {report['best_epoch']}. Options: {chosen}. Versions: {made}.",
    ]
    return "\n\n".join(parts) + "\n"
