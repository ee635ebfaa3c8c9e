"""Reads recipes from TOML: bundled ones by name, others by path."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jnlp.errors import JnlpError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from jnlp_pretrain.recipe import Recipe, Stage


def bundled_recipes() -> list[str]:
    """Return the names of the bundled recipes, smallest model first."""
    folder = resources.files("jnlp_pretrain") / "recipes"
    names = (entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return sorted(names, key=lambda name: (name[0].isdigit(), len(name), name))


def load_recipe(name: str, /) -> Recipe:
    """Return a bundled recipe by name, or a recipe by the path of a TOML file.

    Raises:
        UsageError: There is no such recipe.
        JnlpError: The file is not TOML in UTF-8, or not a recipe: unknown keys, wrong types, values out of range.
    """
    from pydantic import TypeAdapter, ValidationError

    from jnlp_pretrain.recipe import Recipe

    text = _read(name)
    try:
        return TypeAdapter(Recipe).validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise JnlpError(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        found = error.errors()
        # a key that does not exist is a likelier slip than a type
        first = next((e for e in found if e["type"] == _UNKNOWN), found[0])
        raise JnlpError(f"{name}: {_describe(first)}", hint=_SEE) from error


_UNKNOWN = "unexpected_keyword_argument"
_SEE = "`jnlp pretrain --show tiny` prints a recipe"
_WANTED = {
    "tuple_type": "a list, for rows [{ length = 128 }]",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a table",
    "dataclass_type": "a table",
}


def _describe(problem: Mapping[str, Any]) -> str:
    """Return one of pydantic's errors as a sentence; stages count from 0, as in all errors about recipes."""
    *path, last = (str(part) for part in problem["loc"]) if problem["loc"] else ("recipe",)
    where = ".".join((*path, last))
    if problem["type"] == _UNKNOWN:
        close = difflib.get_close_matches(last, _keys(), n=1)
        guess = f" (did you mean {close[0]}?)" if close else ""
        return f"{where} is not a key of a recipe{guess}"
    if problem["type"] in ("missing", "missing_argument"):
        return f"{where} is missing"
    wanted = _WANTED.get(problem["type"])
    return f"{where} is {problem['input']!r}, not {wanted}" if wanted else f"{where}: {problem['msg']}"


def _keys() -> set[str]:
    from jnlp_pretrain.clean import Clean
    from jnlp_pretrain.corpus import Source
    from jnlp_pretrain.recipe import Optimisation, Recipe, Shape, Span, Stage
    from jnlp_pretrain.tokenizer_train import TokenizerRecipe

    kinds = (Clean, Source, Optimisation, Recipe, Shape, Span, Stage, TokenizerRecipe)
    return {field.name for kind in kinds for field in fields(kind)}


def text_of(name: str, /) -> str:
    """Return the TOML of a recipe, as `load_recipe` finds it; UsageError if there is none."""
    return _read(name)


def for_corpus(recipe: Recipe, files: Sequence[Path], /) -> Recipe:
    """Return a recipe with equal weights for all files if none of its sources matches; else the same recipe."""
    from jnlp_pretrain.corpus import assign

    if not recipe.sources:
        return recipe
    try:
        assign(recipe.sources, files)
    except UsageError:
        return replace(recipe, sources=(), stages=tuple(replace(stage, mix={}) for stage in recipe.stages))
    return recipe


def _read(name: str) -> str:
    if name in bundled_recipes():
        return (resources.files("jnlp_pretrain") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    path = Path(name)
    if not path.is_file():
        what = f"{name} does not exist" if name.endswith(".toml") else f"no recipe {name}"
        raise UsageError(what, hint=f"a TOML file, or one of: {', '.join(bundled_recipes())}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise JnlpError(f"{name}: byte {error.start} is not UTF-8", hint="TOML is UTF-8: convert the file") from error


def table(names: Iterable[str] | None = None) -> str:
    """Return the shapes and stages of recipes as a table; default: the bundled recipes."""
    head = ("recipe", "hidden/inner/layers", "vocabulary", "stage", "tokens", "rows", "packing", "masked", "thetas")
    rows: list[tuple[str, ...]] = [head]
    for name in bundled_recipes() if names is None else names:
        recipe = load_recipe(name)
        shape = recipe.shape
        cells = (name, f"{shape.hidden}/{shape.intermediate}/{shape.layers}", f"{recipe.tokenizer.vocabulary:,}")
        for number, stage in enumerate(recipe.stages, 1):
            rows.append((*(cells if number == 1 else ("", "", "")), *_stage_cells(number, stage)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _stage_cells(number: int, stage: Stage) -> Iterator[str]:
    yield str(number)
    yield _short(stage.tokens)
    yield ", ".join(f"{span.length:,}" for span in stage.rows)
    yield stage.packing
    yield f"{stage.mask:.0%}"
    yield f"{_short(stage.global_theta)}, {_short(stage.local_theta)}"


def _short(number: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:g}"
