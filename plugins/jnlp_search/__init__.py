"""Search in long documents by vectors and Japanese full text, fused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp import hookimpl
from jnlp.lazy import attributes

if TYPE_CHECKING:
    from jnlp.hookspecs import Register
    from jnlp_search.index import Index
    from jnlp_search.several import search_all

__all__ = ["Index", "search_all"]

if not TYPE_CHECKING:
    __getattr__ = attributes(__name__, {"jnlp_search.index": ["Index"], "jnlp_search.several": ["search_all"]})

jnlp_api = 1


@hookimpl
def register_tasks(register: Register) -> None:
    """Register `search`, from a query to passages, and `rerank`, from a pair to a score."""
    register("search", "jnlp_search.tasks:SEARCH", summary="Search an index: passages with offsets and highlights.")
    register("rerank", "jnlp_search.tasks:RERANK", summary="Score pairs of a query and a passage by a cross-encoder.")


@hookimpl
def register_commands(register: Register) -> None:
    """Bring `jnlp index`."""
    register(
        "index",
        "jnlp_search.cli.index:index",
        summary="Index documents for search; only what changed is indexed again.",
    )


@hookimpl
def register_stores(register: Register) -> None:
    """Register the store on local disk: SQLite and FAISS in one folder."""
    register("local", "jnlp_search.stores:STORE", summary="A folder with an SQLite catalogue and FAISS segments.")


@hookimpl
def register_trainers(register: Register) -> None:
    """Register `jnlp train embedder` and `jnlp train reranker`."""
    register("embedder", "jnlp_search.trainers:EMBEDDER", summary="Train an embedder from pairs of related texts.")
    register("reranker", "jnlp_search.trainers:RERANKER", summary="Train a reranker, a cross-encoder, from pairs.")


@hookimpl
def register_chunkers(register: Register) -> None:
    """Register the chunkers `sentences`, `headings` and `paragraphs`, for `jnlp index --chunker NAME`."""
    register("sentences", "jnlp_search.chunk:sentence_chunker", summary="Whole sentences up to a token budget.")
    register("headings", "jnlp_search.chunk:heading_chunker", summary="One section with its heading, cut if too long.")
    register("paragraphs", "jnlp_search.chunk:paragraph_chunker", summary="One paragraph each, cut if too long.")
