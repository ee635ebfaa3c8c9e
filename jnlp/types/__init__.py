"""The public contracts of jnlp, in standard-library types only.

Reading order: `records` (inputs and outcomes), `tasks`, `specs` and `heads` (the models that a task gets), `options`,
`training`, `search`.
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
    Verification,
)
from jnlp.types.settings import Settings
from jnlp.types.specs import Head, ModelSpec, Overflow, Pooling, ProblemType, Purpose, SearchScores
from jnlp.types.tasks import Apply, Executor, Job, TaskSpec
from jnlp.types.training import Example, Progress, Trainer, TrainerSpec, TrainReport

if TYPE_CHECKING:
    from jnlp.types.heads import FloatArray as FloatArray
    from jnlp.types.heads import IntArray as IntArray

__all__ = [
    "AddReport",
    "Alignment",
    "Apply",
    "Chunk",
    "Chunker",
    "Classifier",
    "CompactReport",
    "Done",
    "Embedder",
    "Embeddings",
    "Encoded",
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
    "Store",
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
