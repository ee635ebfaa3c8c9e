"""Model folders without weights worth the name, and a cache as the Hugging Face hub lays it out."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import pytest

ENCODER = {
    "model.embeddings.tok_embeddings.weight": (50, 8),
    "model.embeddings.norm.weight": (8,),
    "model.final_norm.weight": (8,),
}
MLM = {**ENCODER, "head.dense.weight": (8, 8), "head.norm.weight": (8,), "decoder.bias": (50,)}
CLASSIFIER = {**ENCODER, "head.dense.weight": (8, 8), "head.norm.weight": (8,), "classifier.weight": (3, 8)}


def write_safetensors(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    header, end = {}, 0
    for name, shape in shapes.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end := end + 4 * prod(shape)]}
    raw = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + b"\0" * end)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_model(folder: Path, tensors: dict[str, tuple[int, ...]] | None = None, **config: object) -> Path:
    """Write a model folder: a masked LM in ModernBERT's format unless told otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    defaults = {"model_type": "modernbert", "architectures": ["ModernBertForMaskedLM"], "max_position_embeddings": 512}
    write_json(folder / "config.json", {**defaults, **config})
    write_json(folder / "tokenizer.json", {"model": {"type": "Unigram"}})
    write_safetensors(folder / "model.safetensors", MLM if tensors is None else tensors)
    return folder


class Hub:
    """A cache below `HF_HOME`: `models--org--name/{refs,snapshots,blobs}`, snapshots linking to blobs."""

    def __init__(self, home: Path) -> None:
        self.hub = home / "hub"

    def add(self, repo: str, commit: str, source: Path, ref: str = "main") -> Path:
        base = self.hub / f"models--{repo.replace('/', '--')}"
        (base / "refs").mkdir(parents=True, exist_ok=True)
        (base / "refs" / ref).write_text(commit)
        for number, path in enumerate(sorted(p for p in source.rglob("*") if p.is_file())):
            blob = base / "blobs" / f"{commit}{number}"
            blob.parent.mkdir(exist_ok=True)
            blob.write_bytes(path.read_bytes())
            link = base / "snapshots" / commit / path.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
        return base / "snapshots" / commit


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    """Return an empty cache with the network switched off."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return Hub(tmp_path / "hf")


@pytest.fixture
def kit():
    """Return the functions that write model folders."""
    import types

    return types.SimpleNamespace(
        write_model=write_model,
        write_json=write_json,
        write_safetensors=write_safetensors,
        encoder=ENCODER,
        mlm=MLM,
        classifier=CLASSIFIER,
    )
