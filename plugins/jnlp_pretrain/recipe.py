"""Recipes from TOML: shipped ones by name, others by path."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.errors import JnlpError, UsageError

if TYPE_CHECKING:
    from jnlp.training.recipe import Recipe


def shipped() -> list[str]:
    """Return the names of the shipped recipes."""
    folder = resources.files("jnlp_pretrain") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name: str, /) -> Recipe:
    """Return a recipe by shipped name or path of a TOML file.

    Raises:
        UsageError: There is no such recipe.
        JnlpError: The file is not TOML, or not a recipe: unknown keys, wrong types, values out of range.
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


def _read(name: str) -> str:
    if name in shipped():
        return (resources.files("jnlp_pretrain") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"no recipe {name}", hint=f"a TOML file, or one of: {', '.join(shipped())}")
    return path.read_text(encoding="utf-8")
