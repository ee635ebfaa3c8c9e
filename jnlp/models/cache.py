"""Hugging Face's cache, read without its library: `models--org--name/{refs,snapshots,blobs}`.

Every command may look up a model in the cache, and importing huggingface_hub takes longer than the rest of the
start-up. So only a download imports it.
"""

from __future__ import annotations

import os
from pathlib import Path

from jnlp.patterns import deferred

_COMMIT = deferred(r"[0-9a-f]{40}")
_TRUE = {"1", "ON", "YES", "TRUE"}


def cache_folder() -> Path:
    """Return the hub cache: `HF_HUB_CACHE`, else `hub` below `HF_HOME`, else `~/.cache/huggingface/hub`."""
    if hub := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return _expand(hub)
    home = os.environ.get("HF_HOME")
    base = _expand(home) if home else _expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return base / "hub"


def is_offline() -> bool:
    """Return True if `HF_HUB_OFFLINE` (or `TRANSFORMERS_OFFLINE`) forbids network access."""
    return (os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or "").upper() in _TRUE


def snapshot(repo: str, revision: str) -> Path | None:
    """Return the folder of a cached revision, complete or not, or None; its name is the commit."""
    base = cache_folder() / f"models--{repo.replace('/', '--')}"
    commit = revision
    if not _COMMIT.fullmatch(revision):
        ref = base / "refs" / revision
        if not ref.is_file():
            return None
        commit = ref.read_text(encoding="utf-8").strip()
    folder = base / "snapshots" / commit
    return folder if commit and folder.is_dir() else None


def _expand(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser()
