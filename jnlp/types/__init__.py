"""The public contracts of jnlp, in standard-library types only.

Reading order: `records` (inputs and outcomes), `tasks`, `specs` and `heads` (the models that a task gets), `options`,
`training`, `evaluation`, `search`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.lazy import attributes

if TYPE_CHECKING:
    from jnlp.types.evaluation import Choice, DataSource, Evaluation, Measured, Split
    from jnlp.types.heads import (
        Classifier,
        Embedder,
        Embeddings,
        Encoded,
        Logits,
        MaskedLM,
        Models,
        Tokenizer,
        TokenStates,
    )
    from jnlp.types.heads import FloatArray as FloatArray
    from jnlp.types.heads import IntArray as IntArray
    from jnlp.types.options import Option, Target
    from jnlp.types.records import Alignment, Done, Failed, Mark, OnError, Outcome, Record, Source, Text
    from jnlp.types.search import (
        AddReport,
        Chunk,
        Chunker,
        CompactReport,
        Explanation,
        Hit,
        IndexEngine,
        IndexInfo,
        Place,
        RepairReport,
        SearchIndex,
        Store,
        StoredDocument,
        Verification,
    )
    from jnlp.types.settings import Settings
    from jnlp.types.specs import Head, ModelSpec, Overflow, Pooling, ProblemType, Purpose, SearchScores
    from jnlp.types.tasks import Apply, Executor, Job, TaskSpec
    from jnlp.types.training import Example, Progress, Trainer, TrainerSpec, TrainReport

__all__ = [
    "AddReport",
    "Alignment",
    "Apply",
    "Choice",
    "Chunk",
    "Chunker",
    "Classifier",
    "CompactReport",
    "DataSource",
    "Done",
    "Embedder",
    "Embeddings",
    "Encoded",
    "Evaluation",
    "Example",
    "Executor",
    "Explanation",
    "Failed",
    "Head",
    "Hit",
    "IndexEngine",
    "IndexInfo",
    "Job",
    "Logits",
    "Mark",
    "MaskedLM",
    "Measured",
    "ModelSpec",
    "Models",
    "OnError",
    "Option",
    "Outcome",
    "Overflow",
    "Place",
    "Pooling",
    "ProblemType",
    "Progress",
    "Purpose",
    "Record",
    "RepairReport",
    "SearchIndex",
    "SearchScores",
    "Settings",
    "Source",
    "Split",
    "Store",
    "StoredDocument",
    "Target",
    "TaskSpec",
    "Text",
    "TokenStates",
    "Tokenizer",
    "TrainReport",
    "Trainer",
    "TrainerSpec",
    "Verification",
]

if not TYPE_CHECKING:  # for a type checker it would have every name
    __getattr__ = attributes(
        __name__,
        {
            "jnlp.types.evaluation": ("Choice", "DataSource", "Evaluation", "Measured", "Split"),
            "jnlp.types.heads": (
                "Classifier",
                "Embedder",
                "Embeddings",
                "Encoded",
                "Logits",
                "MaskedLM",
                "Models",
                "TokenStates",
                "Tokenizer",
            ),
            "jnlp.types.options": ("Option", "Target"),
            "jnlp.types.records": (
                "Alignment",
                "Done",
                "Failed",
                "Mark",
                "OnError",
                "Outcome",
                "Record",
                "Source",
                "Text",
            ),
            "jnlp.types.search": (
                "AddReport",
                "Chunk",
                "Chunker",
                "CompactReport",
                "Explanation",
                "Hit",
                "IndexEngine",
                "IndexInfo",
                "Place",
                "RepairReport",
                "SearchIndex",
                "Store",
                "StoredDocument",
                "Verification",
            ),
            "jnlp.types.settings": ("Settings",),
            "jnlp.types.specs": ("Head", "ModelSpec", "Overflow", "Pooling", "ProblemType", "Purpose", "SearchScores"),
            "jnlp.types.tasks": ("Apply", "Executor", "Job", "TaskSpec"),
            "jnlp.types.training": ("Example", "Progress", "TrainReport", "Trainer", "TrainerSpec"),
        },
    )
