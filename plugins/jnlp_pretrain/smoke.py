"""Scales a recipe down to a trial run of a minute, whose model is useless."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jnlp_pretrain.recipe import Shape, Span

if TYPE_CHECKING:
    from jnlp_pretrain.recipe import Recipe

SOURCES = ("personachat", "jaquad", "tanaka")
"""Small sources of two kinds of text that are measured."""


def smoke(recipe: Recipe, /) -> Recipe:
    """Return a small version of a recipe: the same stages with a few steps, two layers, and some of its sources."""
    stages = tuple(
        replace(stage, tokens=16_384, rows=(Span(64),), batch=4096, micro_batch=4096, warmup_tokens=0, mix={})
        for stage in recipe.stages
    )
    chosen = tuple(source for source in recipe.sources if source.name in SOURCES) or recipe.sources
    return replace(
        recipe,
        name=f"{recipe.name}-smoke",
        stages=stages,
        shape=Shape(hidden=64, intermediate=64, layers=2, max_length=recipe.shape.max_length),
        sources=tuple(replace(source, keep=0.05) for source in chosen),
        tokenizer=replace(recipe.tokenizer, vocabulary=4_000, characters=300_000, words=False),
        held_out=0.05,
    )
