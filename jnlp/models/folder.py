"""Reads a model folder: Hugging Face's files, and those of sentence-transformers if present."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError
from jnlp.models import schema
from jnlp.models.weights import AGAIN, INDEX, WEIGHTS, read_weights, weight_files
from jnlp.types import Head, ModelSpec, Pooling, ProblemType, Purpose, SearchScores

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKENIZER = "tokenizer.json"
MODULES = "modules.json"
SEARCH = "search.json"
BESIDE_TOKENIZER = ("special_tokens_map.json", "tokenizer_config.json")
"""The files next to `tokenizer.json` that name special tokens; later files override earlier ones."""

LINEAR = "jnlp_linear"
"""The `model_type` of a linear classifier, which has no tokenizer of its own."""

EMBEDDER = "embedder"
"""The folder in a linear classifier's that holds the embedder whose vectors it reads; it may be absent."""

EMBEDDER_NAME, EMBEDDER_WEIGHTS = "jnlp_embedder", "jnlp_embedder_weights"
"""The keys of a linear classifier's `config.json` with the name of a built-in embedder, which then is not in its
folder, and with the digest of that embedder's weights."""

BUILTIN = Path(__file__).parent / "builtin"
"""Where the models that ship are."""

TEMPERATURE = "jnlp_temperature"
"""The key of the temperature in a classifier's `config.json`."""

_PROMPTS = {
    Purpose.QUERY: ("query", "search_query"),
    Purpose.DOCUMENT: ("document", "passage", "corpus", "search_document"),
    Purpose.TOPIC: ("topic", "classification", "clustering"),
    Purpose.SIMILARITY: ("similarity", "sts"),
}
_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_SPDX = {"mit": "MIT", "apache-2.0": "Apache-2.0"}
_POSITIONS_BEFORE_TEXT = {"roberta": 2, "xlm-roberta": 2, "camembert": 2, "luke": 2}


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model folder with the contents of its small files, so that they are read only once.

    Args:
        folder: The path.
        spec: The model's heads, maximum length, pooling, prefixes and labels.
        config: The object in `config.json`, checked by the rules of `models.schema`.
        special: The objects in the existing files of `BESIDE_TOKENIZER`, in that order.
    """

    folder: Path
    spec: ModelSpec
    config: Mapping[str, Any]
    special: tuple[Mapping[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """What messages call the model."""
        return f"the built-in model {self.spec.name}" if self.spec.builtin else self.spec.name

    @property
    def is_modernbert(self) -> bool:
        """Whether jnlp's own encoder runs it."""
        return self.config.get("model_type") == "modernbert"

    @property
    def is_linear(self) -> bool:
        """Whether it is a linear classifier: no network, perhaps an embedder inside."""
        return self.config.get("model_type") == LINEAR

    @property
    def temperature(self) -> float:
        """The temperature, by which a classifier's logits are divided."""
        return float(self.config.get(TEMPERATURE) or 1.0)


def missing(folder: Path) -> str | None:
    """Return the name of the first file a model needs and the folder lacks, or None.

    Raises:
        JnlpError: The index of the weights is damaged.
    """
    if not (folder / "config.json").is_file():
        return "config.json"
    lacking = next((path.name for path in weight_files(folder) if not path.is_file()), None)
    if lacking is not None:
        return lacking
    if (folder / TOKENIZER).is_file():
        return None
    if _read(folder / "config.json").get("model_type") != LINEAR:
        return TOKENIZER
    inner = missing(folder / EMBEDDER) if (folder / EMBEDDER).is_dir() else None
    return None if inner is None else f"{EMBEDDER}/{inner}"


def embedder_of(folder: Path, config: Mapping[str, Any], /) -> Path | None:
    """Return the folder of the embedder that a linear classifier reads, or None if it reads n-grams alone.

    It is in the classifier's folder, or it is a built-in model: the one next to the classifier, or the one that ships.

    Raises:
        JnlpError: There is no such built-in model.
    """
    if (folder / EMBEDDER).is_dir():
        return folder / EMBEDDER
    name = config.get(EMBEDDER_NAME)
    if name is None:
        return None
    if isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9-]*", name):
        for place in (folder.parent / name, BUILTIN / name):
            if (place / "config.json").is_file():
                return place
    raise JnlpError(
        f"{folder} reads the vectors of the built-in model {name!r}, which is not there", hint="update jnlp"
    )


def inspect(folder: str | Path, name: str | None = None) -> ModelSpec:
    """Return the spec of a model folder; arguments and errors are those of `read_folder`."""
    return read_folder(folder, name).spec


def read_folder(folder: str | Path, name: str | None = None) -> ModelFolder:
    """Read a model folder's small files and the headers of its weights.

    Args:
        folder: A folder in Hugging Face's format, perhaps with the files of sentence-transformers.
        name: The name that the user typed; None is the folder's path.

    Raises:
        JnlpError: A file is missing, unreadable, truncated or damaged, or the folder needs an unsupported feature.
    """
    try:
        return _read_folder(Path(folder), name or str(folder))
    except OSError as error:
        raise JnlpError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    except (TypeError, ValueError, AttributeError) as error:  # these files may contain anything
        raise JnlpError(
            f"{folder} is damaged: a JSON file has a value of the wrong kind ({error})", hint=AGAIN
        ) from error


def _read_folder(folder: Path, name: str) -> ModelFolder:
    if (lacking := missing(folder)) is not None:
        raise _incomplete(folder, lacking)
    config = _read(folder / "config.json")
    special = read_special(folder)
    weights = read_weights(folder)
    heads = _heads(config, weights.names)
    labels = _labels(folder, config) if Head.CLASSIFIER in heads else ()
    pooling, prefixes = _sentence_transformers(folder)
    spec = ModelSpec(
        name=name,
        summary=f"{config.get('model_type', 'unknown')} in {folder}",
        architecture=str(config.get("model_type", "unknown")),
        heads=heads,
        pooling=pooling,
        prefixes=prefixes,
        max_length=_max_length(folder, config, special),
        licence=_licence(folder),
        parameters=weights.parameters,
        size=weights.size,
        labels=labels,
        problem_type=_problem_type(folder, config, labels) if labels else None,
        search=_search(folder),
    )
    return ModelFolder(folder, spec, config, special)


def read_special(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the objects in the files that name a tokenizer's special tokens."""
    try:
        return tuple(_read(folder / name) for name in BESIDE_TOKENIZER)
    except OSError as error:
        raise JnlpError(f"{error.filename or folder} cannot be read: {error.strerror}", hint=AGAIN) from error


def _incomplete(folder: Path, lacking: str) -> JnlpError:
    pickled = sorted(path.name for path in folder.glob("pytorch_model*.bin"))
    if lacking == WEIGHTS and pickled:
        return JnlpError(
            f"{folder} has {pickled[0]} but no {WEIGHTS}; jnlp reads safetensors only",
            hint="convert it once with transformers: from_pretrained, then save_pretrained",
        )
    if lacking == TOKENIZER:
        return JnlpError(
            f"{folder} has no {TOKENIZER}",
            hint="save the model with its fast tokenizer; older tokenizer files are not read",
        )
    if lacking == WEIGHTS:
        lacking = f"{WEIGHTS} (or {INDEX})"
    return JnlpError(f"{folder} is not a whole model: {lacking} is missing", hint=AGAIN)


def _read(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty one if there is no file."""
    if not path.is_file():
        return {}
    return schema.read_object(path)


def _heads(config: dict[str, Any], names: frozenset[str]) -> tuple[Head, ...]:
    architectures = " ".join(map(str, config.get("architectures") or ()))
    if "ForSequenceClassification" in architectures:
        return (Head.CLASSIFIER,)
    if config.get("model_type") == "modernbert":  # the tensors tell the truth: configs are copied about
        fills = "head.dense.weight" in names and bool(names & {"decoder.bias", "decoder.weight"})
        return (Head.EMBEDDING, Head.MASKED_LM) if fills else (Head.EMBEDDING,)
    if "ForMaskedLM" in architectures or "ForPreTraining" in architectures:
        return (Head.EMBEDDING, Head.MASKED_LM)
    return (Head.EMBEDDING,)


def _labels(folder: Path, config: dict[str, Any]) -> tuple[str, ...]:
    """Return `id2label` in the order of its numbers; Hugging Face's default is two labels."""
    named = config.get("id2label")
    if not named:
        return tuple(f"LABEL_{i}" for i in range(int(config.get("num_labels", 2))))
    try:
        by_number = {int(number): str(label) for number, label in named.items()}
        return tuple(by_number[number] for number in range(len(by_number)))
    except (AttributeError, ValueError, KeyError) as error:
        raise JnlpError(f"{folder / 'config.json'} has an id2label that does not number its labels from 0") from error


def _problem_type(folder: Path, config: dict[str, Any], labels: tuple[str, ...]) -> ProblemType:
    stated = config.get("problem_type")
    if stated is not None:
        try:
            return ProblemType(stated)
        except ValueError as error:
            raise JnlpError(f"{folder / 'config.json'} states the unknown problem_type {stated!r}") from error
    if len(labels) > 1:
        return ProblemType.SINGLE_LABEL
    # One label, and no problem stated: a cross-encoder, which may say what its logit goes through. transformers and
    # sentence-transformers take a sigmoid where it does not; a regression that transformers trained states itself.
    inner = config.get("sentence_transformers")
    activation = inner.get("activation_fn", "") if isinstance(inner, dict) else ""
    activation = activation or config.get("sbert_ce_default_activation_function") or ""
    return ProblemType.MULTI_LABEL if not activation or "Sigmoid" in str(activation) else ProblemType.REGRESSION


def _max_length(folder: Path, config: dict[str, Any], special: tuple[Mapping[str, Any], ...]) -> int:
    """Return the longest input in tokens; RoBERTa-like models keep two positions for padding."""
    model_type = str(config.get("model_type"))
    if model_type == LINEAR:
        inner = embedder_of(folder, config)
        return 1_000_000 if inner is None else read_folder(inner).spec.max_length
    longest = int(config.get("max_position_embeddings", 512)) - _POSITIONS_BEFORE_TEXT.get(model_type, 0)
    stated = [_read(folder / "sentence_bert_config.json").get("max_seq_length")]
    if model_type != "modernbert":
        stated.append(special[-1].get("model_max_length"))
    return min([longest, *(int(limit) for limit in stated if limit)])


def _sentence_transformers(folder: Path) -> tuple[Pooling, dict[Purpose, str]]:
    """Return the pooling and prefixes from the files of sentence-transformers."""
    modules = schema.read(folder / MODULES) if (folder / MODULES).is_file() else []
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise JnlpError(f"{folder / MODULES} is damaged: not a list of objects", hint=AGAIN)
    prefixes = _prefixes(_read(folder / "config_sentence_transformers.json"))
    pooling = Pooling.MEAN
    for module in modules:
        schema.check(module, schema.MODULE, folder / MODULES)
        kind, path = str(module.get("type", "")).rsplit(".", 1)[-1], PurePosixPath(str(module.get("path", "")))
        if kind == "Pooling" and not path.is_absolute() and ".." not in path.parts:
            pooling = _pooling(folder / path / "config.json", bool(prefixes))
        elif kind not in ("Transformer", "Pooling", "Normalize"):
            raise JnlpError(
                f"{folder} has a sentence-transformers module that jnlp does not run: {kind}",
                hint="jnlp runs Transformer, Pooling (mean or cls) and Normalize",
            )
    return pooling, prefixes


def _pooling(path: Path, has_prefixes: bool) -> Pooling:
    config = _read(path)
    stated = config.get("pooling_mode") or [mode for key, mode in _POOLINGS.items() if config.get(key)] or "mean"
    mode = "+".join(stated) if isinstance(stated, list) else str(stated)
    if mode not in ("mean", "cls"):
        raise JnlpError(f"{path} asks for {mode} pooling", hint="jnlp pools by mean or cls")
    if has_prefixes and config.get("include_prompt") is False:
        raise JnlpError(f"{path} leaves the prefix out of the pooling", hint="jnlp pools over the prefix too")
    return Pooling(mode)


def _prefixes(config: dict[str, Any]) -> dict[Purpose, str]:
    prompts = config.get("prompts")
    if not isinstance(prompts, dict):
        return {}
    named = {str(key).lower(): str(prompt) for key, prompt in prompts.items()}
    found = {p: next((named[key] for key in keys if key in named), "") for p, keys in _PROMPTS.items()}
    default = named.get(str(config.get("default_prompt_name")).lower(), "")
    prefixes = {purpose: prefix or default for purpose, prefix in found.items()}
    return prefixes if any(prefixes.values()) else {}


def _search(folder: Path) -> SearchScores | None:
    """Return how the model does in a search, where its folder says so."""
    found = _read(folder / SEARCH)
    if found.get("dense_weight") is None:
        return None
    hybrid, dense = (tuple(map(float, found.get(name) or ())) for name in ("hybrid", "dense"))
    return SearchScores(float(found["dense_weight"]), hybrid, dense, found.get("int8", False))


def _licence(folder: Path) -> str | None:
    """Return the licence in the front matter of README.md, in its SPDX form."""
    readme = folder / "README.md"
    if not readme.is_file():
        return None
    with readme.open(encoding="utf-8", errors="replace") as file:
        text = file.read(65_536)
    front = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    fields = (
        dict(re.findall(r"^(license(?:_name)?):[ \t]*[\"']?([^\s\"']+)", front.group(1), re.MULTILINE)) if front else {}
    )
    stated = str(fields.get("license_name") or fields.get("license") or "")
    return _SPDX.get(stated.lower(), stated.upper() if stated.lower().startswith("cc-") else stated) or None
