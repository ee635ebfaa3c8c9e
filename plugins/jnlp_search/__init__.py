"""Search over documents far longer than any model's context: dense vectors and Japanese full text, fused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp import hookimpl

if TYPE_CHECKING:
    from jnlp.hookspecs import Register

jnlp_api = 1


@hookimpl
def register_commands(register: Register) -> None:
    """Bring `jnlp index` and `jnlp search`."""
    register("index", "jnlp_search.cli:index", summary="Index documents for search; only what changed is read again.")
    register("search", "jnlp_search.cli:search", summary="Search an index: passages with offsets and highlights.")


@hookimpl
def register_stores(register: Register) -> None:
    """Bring the store on local disk: SQLite and FAISS in one folder."""
    register("local", "jnlp_search.store:STORE", summary="A folder with an SQLite catalogue and FAISS segments.")


@hookimpl
def register_trainers(register: Register) -> None:
    """Bring `jnlp train embedder` and `jnlp train reranker`."""
    register("embedder", "jnlp_search.trainers:EMBEDDER", summary="Train an embedder from pairs that belong together.")
    register("reranker", "jnlp_search.trainers:RERANKER", summary="Train a reranker, a cross-encoder, from pairs.")


@hookimpl
def register_chunkers(register: Register) -> None:
    """Bring the chunker that keeps sentences whole."""
    register("sentences", "jnlp_search.chunk:sentence_chunker", summary="Whole sentences up to a token budget.")
