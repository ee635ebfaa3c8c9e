"""Caches of the libraries below, kept small: a stream meets new shapes and new texts for as long as it lasts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

COMPILED = 128
"""Products kept in compiled form: a batch needs a few dozen; the 1,024 that each library keeps by itself, 100 MB."""

_VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # oneDNN's, and that of torch's layer over it


def limit_products() -> None:
    """Tell oneDNN, which reads its variables at its first product, how many to keep; what the user set stays."""
    for name in _VARIABLES:
        os.environ.setdefault(name, str(COMPILED))


def disable_text_cache(backend: Backend, /) -> None:
    """Let a tokenizer that takes texts whole keep none of them: its library means to keep words, 10,000 of them."""
    resize = getattr(backend.model, "_resize_cache", None)
    if backend.pre_tokenizer is None and resize is not None:
        resize(0)
