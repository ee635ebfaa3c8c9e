"""jnlp: Japanese NLP on ModernBERT-Ja.

import jnlp

nlp = jnlp.load()
nlp.run("fill-mask", ["日本の首都は<mask>です。"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp._version import __version__
from jnlp.engine import Engine, load
from jnlp.errors import JnlpError, MissingExtraError, RecordError, UsageError
from jnlp.hookspecs import hookimpl
from jnlp.jobs import prepare
from jnlp.lazy import attributes

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from jnlp.types import (
        Choice,
        DataSource,
        Done,
        Evaluation,
        Example,
        Failed,
        Head,
        Hit,
        Job,
        Mark,
        Measured,
        Models,
        ModelSpec,
        Option,
        Overflow,
        Pooling,
        ProblemType,
        Purpose,
        Record,
        Settings,
        Source,
        Split,
        TaskSpec,
        TrainerSpec,
        TrainReport,
    )

__all__ = [
    "Choice",
    "DataSource",
    "Done",
    "Engine",
    "Evaluation",
    "Example",
    "Failed",
    "Head",
    "Hit",
    "JnlpError",
    "Job",
    "Mark",
    "Measured",
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
    "Split",
    "TaskSpec",
    "TrainReport",
    "TrainerSpec",
    "UsageError",
    "__version__",
    "hookimpl",
    "load",
    "prepare",
    "sentence_transformer",
    "to_json",
]


def to_json(value: object, /) -> str:
    """Return a result, or a list of results, as JSON on one line: numpy arrays, enums and dates too.

    Raises:
        JnlpError: A number is not finite, or a value has no JSON form.

    Example:
        >>> to_json([Source("規程.txt", 3)])
        '[{"path": "規程.txt", "line": 3, "encoding": null}]'
    """
    from jnlp.strict_json import to_json as convert

    return convert(value)


def sentence_transformer(model: str | None = None, /, **settings: Any) -> SentenceTransformer:
    """Return a model as a SentenceTransformer that runs on jnlp's encoder: same vectors, all methods.

    As in sentence-transformers, a text longer than the model is truncated. A saved model loads there without jnlp. It
    cannot be trained: the weights have no gradients. Train `SentenceTransformer(folder)` and open the folder here.

    Args:
        model: A name of `jnlp models`, a folder, or a hub id.
        settings: Fields of `Settings`: `device`, `dtype`, `threads`, `batch_tokens`, `compile`.

    Raises:
        UsageError: The model is unknown, or a setting is not allowed.
        JnlpError: The model cannot be loaded, or is incomplete.

    Example:
        >>> jnlp.sentence_transformer("tiny-search").encode(["吾輩は猫である。"]).shape
        (1, 384)
    """
    from jnlp.encoder.forms.sentence_transformer import wrap

    engine = load(model, **settings)
    resolved, chosen = engine.resolve(model), engine.settings
    return wrap(
        resolved.folder,
        resolved.spec,
        device=chosen.device,
        dtype=chosen.dtype,
        threads=chosen.threads,
        batch_tokens=chosen.batch_tokens,
        compile=chosen.compile,
    )


if not TYPE_CHECKING:  # for a type checker it would have every name
    __getattr__ = attributes(__name__, {"jnlp.types": [name for name in __all__ if name not in globals()]})
