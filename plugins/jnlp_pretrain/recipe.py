"""Recipes from TOML: shipped ones by name, others by path."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jnlp.training.recipe import Recipe, Stage


def shipped() -> list[str]:
    """Return the names of the shipped recipes, smallest model first."""
    folder = resources.files("jnlp_pretrain") / "recipes"
    names = (entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return sorted(names, key=lambda name: (name[0].isdigit(), len(name), name))


def load_recipe(name: str, /) -> Recipe:
    """Return a recipe by shipped name or path of a TOML file.

    Raises:
        UsageError: There is no such recipe.
        JnlpError: The file is not TOML in UTF-8, or not a recipe: unknown keys, wrong types, values out of range.
    """
    from pydantic import TypeAdapter, ValidationError

    from jnlp.training.recipe import Recipe

    text = _read(name)
    try:
        return TypeAdapter(Recipe).validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise JnlpError(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "recipe"
        raise JnlpError(f"{name}: {where}: {first['msg']}", hint="see the shipped recipe 'tiny'") from error


def for_corpus(recipe: Recipe, files: Sequence[Path], /) -> Recipe:
    """Return a recipe for text that none of its sources knows: every file counts alike; else the recipe as it is."""
    from jnlp.training.corpus import assign

    if not recipe.sources:
        return recipe
    try:
        assign(recipe.sources, files)
    except UsageError:
        return replace(recipe, sources=(), stages=tuple(replace(stage, mix={}) for stage in recipe.stages))
    return recipe


def _read(name: str) -> str:
    if name in shipped():
        return (resources.files("jnlp_pretrain") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"no recipe {name}", hint=f"a TOML file, or one of: {', '.join(shipped())}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise JnlpError(f"{name}: byte {error.start} is not UTF-8", hint="TOML is UTF-8: convert the file") from error


def table(names: Iterable[str] | None = None) -> str:
    """Return the shapes and stages of recipes as a table: by default of the shipped ones."""
    head = ("recipe", "hidden/inner/layers", "vocabulary", "stage", "tokens", "rows", "packing", "masked", "thetas")
    rows: list[tuple[str, ...]] = [head]
    for name in shipped() if names is None else names:
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
