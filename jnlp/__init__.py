"""jnlp: Japanese NLP on ModernBERT-Ja.

import jnlp

nlp = jnlp.load()
nlp.run("fill-mask", ["日本の首都は<mask>です。"])
"""

from jnlp._version import __version__
from jnlp.config import Settings
from jnlp.engine import Engine, load, prepare
from jnlp.errors import JnlpError, MissingExtraError, RecordError, UsageError
from jnlp.hookspecs import hookimpl
from jnlp.types import (
    Done,
    Example,
    Failed,
    Head,
    Hit,
    Job,
    Models,
    ModelSpec,
    Option,
    Overflow,
    Pooling,
    ProblemType,
    Purpose,
    Record,
    Source,
    TaskSpec,
    TrainerSpec,
    TrainReport,
)

__all__ = [
    "Done",
    "Engine",
    "Example",
    "Failed",
    "Head",
    "Hit",
    "JnlpError",
    "Job",
    "MissingExtraError",
    "ModelSpec",
    "Models",
    "Option",
    "Overflow",
    "Pooling",
    "ProblemType",
    "Purpose",
    "Record",
    "RecordError",
    "Settings",
    "Source",
    "TaskSpec",
    "TrainReport",
    "TrainerSpec",
    "UsageError",
    "__version__",
    "hookimpl",
    "load",
    "prepare",
]
