"""The specs of all models that jnlp knows by name.

Parameter counts are from the model cards, else computed from the shape: those of multilingual-e5 and bge-m3 are of the
published shapes of BERT and XLM-RoBERTa, which a test counts. Sizes are approximate: four bytes per parameter,
the maximum of a download (a bf16 checkpoint takes half). Repositories are followed on `main`. A pull records its commit
in the cache, and `ModelFolder.spec.revision` is the commit in use.

BERTs that need a morphological analyser (MeCab, Juman++) have no `tokenizer.json`, which is what jnlp reads, and are
left out.
"""

from __future__ import annotations

from jnlp.types import Head, ModelSpec, Pooling, ProblemType, Purpose, SearchScores

RURI_PREFIXES = {
    Purpose.SIMILARITY: "",
    Purpose.TOPIC: "トピック: ",
    Purpose.QUERY: "検索クエリ: ",
    Purpose.DOCUMENT: "検索文書: ",
}
"""The prefixes of ruri-v3, from its model card: a half-width colon and one space."""

E5_PREFIXES = {
    Purpose.SIMILARITY: "query: ",
    Purpose.TOPIC: "query: ",
    Purpose.QUERY: "query: ",
    Purpose.DOCUMENT: "passage: ",
}
"""The prefixes of multilingual-e5, from its model card: `query: ` also where neither side is a document."""

MLM_HEADS = (Head.EMBEDDING, Head.MASKED_LM)


def _modernbert_ja(size: str, parameters: int, summary: str) -> ModelSpec:
    return ModelSpec(
        name=size,
        summary=summary,
        repo=f"sbintuitions/modernbert-ja-{size}",
        revision="main",
        heads=MLM_HEADS,
        licence="MIT",
        parameters=parameters,
        size=4 * parameters,
    )


def _ruri(size: str, parameters: int, dimension: int) -> ModelSpec:
    return ModelSpec(
        name=f"ruri-v3-{size}",
        summary=f"Embeddings for search, {dimension} dimensions, made from ModernBERT-Ja {size}.",
        repo=f"cl-nagoya/ruri-v3-{size}",
        revision="main",
        heads=(Head.EMBEDDING,),
        pooling=Pooling.MEAN,
        prefixes=RURI_PREFIXES,
        licence="Apache-2.0",
        parameters=parameters,
        size=4 * parameters,
    )


def _bekko(size: str, parameters: int, layers: int) -> ModelSpec:
    return ModelSpec(
        name=f"bekko-embedding-v1-{size}",
        summary=f"Embeddings for search, 384 dimensions, {layers} layers of ModernBERT; no prefixes.",
        repo=f"hotchpotch/bekko-embedding-v1-{size}",
        revision="main",
        heads=(Head.EMBEDDING,),
        licence="MIT",
        parameters=parameters,
        size=4 * parameters,
    )


# Measured as `jnlp_family.search.calibrate` does, on the weights of four bits that are at hand.
E5_SMALL_SEARCH = SearchScores(
    dense_weight=0.5,
    hybrid=(-20.9507, 4.1876, 3.5495, 2.2734, 8.961, 0.9253, 2.2011),
    dense=(-17.4648, 1.8921, 2.5793, 0.0, 10.0901, 0.4967, 3.6131),
)


def _e5(size: str, parameters: int, dimension: int) -> ModelSpec:
    return ModelSpec(
        name=f"multilingual-e5-{size}",
        summary=f"Multilingual embeddings for search, {dimension:,} dimensions, through transformers.",
        repo=f"intfloat/multilingual-e5-{size}",
        revision="main",
        architecture="bert" if size == "small" else "xlm-roberta",
        heads=(Head.EMBEDDING,),
        pooling=Pooling.MEAN,
        prefixes=E5_PREFIXES,
        max_length=512,
        licence="MIT",
        parameters=parameters,
        size=4 * parameters,
        search=E5_SMALL_SEARCH if size == "small" else None,
    )


def _reranker(repo: str, parameters: int, licence: str, summary: str) -> ModelSpec:
    return ModelSpec(
        name=repo.split("/")[1],
        summary=summary,
        repo=repo,
        revision="main",
        heads=(Head.CLASSIFIER,),
        licence=licence,
        parameters=parameters,
        size=4 * parameters,
        problem_type=ProblemType.MULTI_LABEL,  # one label through a sigmoid: the relevance of a pair
    )


BUILTIN_SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="tiny",
        summary="Built in: a small ModernBERT trained by this project; no download.",
        heads=MLM_HEADS,
        max_length=512,
        licence="CC-BY-SA-4.0",
        builtin="tiny",
        larger="130m",
    ),
    ModelSpec(
        name="tiny-search",
        summary="Built in: a small embedder that learned from multilingual-e5-small.",
        max_length=512,
        licence="CC-BY-SA-4.0",
        builtin="tiny-search",
        larger="ruri-v3-130m",
    ),
    ModelSpec(
        name="tiny-toxicity",
        summary="Built in: a weak toxicity classifier on top of tiny.",
        heads=(Head.CLASSIFIER,),
        max_length=512,
        licence="CC-BY-SA-4.0",
        builtin="tiny-toxicity",
    ),
    ModelSpec(
        name="tiny-sentiment",
        summary="Built in: 不満, 普通 or 満足, from what visitors wrote; n-grams and tiny-search.",
        heads=(Head.CLASSIFIER,),
        max_length=512,
        licence="CC-BY-SA-4.0",
        builtin="tiny-sentiment",
    ),
    _modernbert_ja("30m", 37_000_000, "ModernBERT-Ja 30M: small and quick."),
    _modernbert_ja("70m", 70_000_000, "ModernBERT-Ja 70M."),
    _modernbert_ja("130m", 132_000_000, "ModernBERT-Ja 130M: a good choice for most work."),
    _modernbert_ja("310m", 315_000_000, "ModernBERT-Ja 310M: the best and the slowest."),
    _ruri("30m", 37_000_000, 256),
    _ruri("70m", 70_000_000, 384),
    _ruri("130m", 132_000_000, 512),
    _ruri("310m", 315_000_000, 768),
    _bekko("a8m", 106_000_000, 4),
    _bekko("a25m", 123_000_000, 13),
    _e5("small", 118_000_000, 384),
    _e5("base", 278_000_000, 768),
    _e5("large", 560_000_000, 1024),
    ModelSpec(
        name="bge-m3",
        summary="Multilingual embeddings for search, 1,024 dimensions, no prefixes, through transformers.",
        repo="BAAI/bge-m3",
        revision="main",
        architecture="xlm-roberta",
        heads=(Head.EMBEDDING,),
        pooling=Pooling.CLS,
        max_length=8192,
        licence="MIT",
        parameters=568_000_000,
        size=4 * 568_000_000,
    ),
    _reranker("cl-nagoya/ruri-v3-reranker-310m", 315_000_000, "Apache-2.0", "Reranker, the largest."),
    _reranker("hotchpotch/japanese-reranker-tiny-v2", 29_500_000, "MIT", "Reranker, three layers."),
    _reranker("hotchpotch/japanese-reranker-xsmall-v2", 37_000_000, "MIT", "Reranker, the 30M shape."),
    _reranker("hotchpotch/japanese-reranker-small-v2", 70_000_000, "MIT", "Reranker, the 70M shape."),
    _reranker("hotchpotch/japanese-reranker-base-v2", 132_000_000, "MIT", "Reranker, the 130M shape."),
    ModelSpec(
        name="llm-jp-modernbert-base",
        summary="ModernBERT of LLM-jp, base size.",
        repo="llm-jp/llm-jp-modernbert-base",
        revision="main",
        heads=MLM_HEADS,
        licence="Apache-2.0",
    ),
    ModelSpec(
        name="deberta-v3-base-japanese",
        summary="DeBERTa V3 of Kyoto University, through transformers.",
        repo="ku-nlp/deberta-v3-base-japanese",
        revision="main",
        architecture="deberta-v2",
        heads=MLM_HEADS,
        max_length=512,
        licence="CC-BY-SA-4.0",
    ),
)
"""Every model of the core, in the order of `jnlp models`."""
