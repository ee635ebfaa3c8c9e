"""The contracts of jnlp, in standard-library types only: what third parties import.

Reading order: `records` (what goes in and comes out), `tasks` (what is done with it), `specs` and `heads` (the models
that a task is handed), `options`, `training`, `search`.
"""

from typing import TYPE_CHECKING

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
from jnlp.types.options import Option, Target
from jnlp.types.records import Alignment, Done, Failed, OnError, Outcome, Record, Source, Text
from jnlp.types.search import Hit, SearchIndex, Store
from jnlp.types.specs import Head, ModelSpec, Overflow, Pooling, ProblemType, Purpose
from jnlp.types.tasks import Apply, Executor, Job, TaskSpec
from jnlp.types.training import Example, Trainer, TrainerSpec, TrainReport

if TYPE_CHECKING:
    from jnlp.types.heads import FloatArray as FloatArray
    from jnlp.types.heads import IntArray as IntArray

__all__ = [
    "Alignment",
    "Apply",
    "Classifier",
    "Done",
    "Embedder",
    "Embeddings",
    "Encoded",
    "Example",
    "Executor",
    "Failed",
    "Head",
    "Hit",
    "Job",
    "Logits",
    "MaskedLM",
    "ModelSpec",
    "Models",
    "OnError",
    "Option",
    "Outcome",
    "Overflow",
    "Pooling",
    "ProblemType",
    "Purpose",
    "Record",
    "SearchIndex",
    "Source",
    "Store",
    "Target",
    "TaskSpec",
    "Text",
    "TokenStates",
    "Tokenizer",
    "TrainReport",
    "Trainer",
    "TrainerSpec",
]
