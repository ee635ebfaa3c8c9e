"""Limits the caches of the underlying libraries: a stream has new shapes and new texts all the time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

COMPILED = 128
"""Compiled products to keep. A batch needs a few dozen; each library's default of 1,024 takes 100 MB."""

_VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # oneDNN's, and that of torch's layer over it


def limit_products() -> None:
    """Set oneDNN's variables, read at its first product, to the limit; the user's own values stay."""
    for name in _VARIABLES:
        os.environ.setdefault(name, str(COMPILED))


def disable_text_cache(backend: Backend, /) -> None:
    """Disable the cache of a tokenizer for whole texts: its library means it for words, and keeps 10,000 entries."""
    resize = getattr(backend.model, "_resize_cache", None)
    if backend.pre_tokenizer is None and resize is not None:
        resize(0)
