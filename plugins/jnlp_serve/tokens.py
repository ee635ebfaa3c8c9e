"""Tokens of texts, and texts of tokens, for `/tokenize` and `/decode`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jnlp.types import Embedder


def tokenize(embedder: Embedder, texts: Sequence[str], /, *, special: bool) -> list[list[dict[str, Any]]]:
    """Return the tokens of each text: id, text, whether it is a special token, and its offsets (None if special)."""
    tokenizer = embedder.tokenizer
    return [
        [
            {
                "id": int(id),
                "text": text[start:end] if end > start else tokenizer.token(int(id)),
                "special": end == start,
                "start": int(start) if end > start else None,
                "stop": int(end) if end > start else None,
            }
            for id, (start, end) in zip(encoded.ids.tolist(), encoded.offsets.tolist(), strict=True)
            if special or end > start
        ]
        for text, encoded in zip(texts, tokenizer.encode(texts), strict=True)
    ]


def decode(embedder: Embedder, ids: Sequence[int] | Sequence[Sequence[int]], /, *, special: bool) -> list[str]:
    """Return the text of one list of ids, or of each of several.

    Raises:
        ApiError: An id is not in the vocabulary.
    """
    tokenizer = embedder.tokenizer
    lists: list[list[int]] = [list(one) for one in ids if not isinstance(one, int)] or [
        [one for one in ids if isinstance(one, int)]
    ]
    for one in (id for each in lists for id in each):
        if not 0 <= one < tokenizer.vocabulary:
            raise ApiError(422, f"ids: no token {one}", hint=f"the vocabulary has {tokenizer.vocabulary:,}")
    return ["".join(map(tokenizer.token, one)) if special else tokenizer.decode(one) for one in lists]
