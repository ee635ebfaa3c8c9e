"""Recipes: the shipped ones hold, and a wrong one is refused in one line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from jnlp.errors import JnlpError, UsageError
from jnlp.training.recipe import Recipe, Stage
from jnlp_pretrain.recipe import load_recipe, shipped

if TYPE_CHECKING:
    from pathlib import Path

SMALLEST = 'name = "x"\ntokens = 10\n'


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_loads_under_its_own_name(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert sum(stage.share for stage in recipe.stages) == pytest.approx(1)
    assert recipe.sources
    assert max(stage.length for stage in recipe.stages) <= recipe.shape.max_length


def test_tiny_leaves_out_what_may_not_train_a_shipped_model() -> None:
    patterns = [pattern for source in load_recipe("tiny").sources for pattern in source.match]
    assert not [p for p in patterns if "livedoor" in p or "jsick" in p or "valid" in p or "test" in p]


def test_defaults_fill_a_short_recipe(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text(SMALLEST, encoding="utf-8")
    assert load_recipe(str(path)) == Recipe(name="x", tokens=10)


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ("colour = 1", "colour: Unexpected keyword argument"),
        ("[shape]\nwidth = 3", "shape.width: Unexpected keyword argument"),
        ("[shape]\nhidden = 'wide'", "shape.hidden: Input should be a valid integer"),
        ("[shape]\nhidden = 100", "hidden 100 is not a multiple of 64"),
        ("embeddings = 'word2vec'", "embeddings is 'word2vec', not one of cooccurrence, random"),
        ("[[stages]]\nlength = 128\nshare = 0.5", "the shares of the stages are not 1 together"),
        ("[[stages]]\nlength = 100\nshare = 1.0", "rows of 100 do not fill a micro-batch of 4096"),
        ("[optimisation]\nname = 'sgd'", "optimisation.name is 'sgd', not one of muon, adamw"),
        ("= broken", "is not TOML"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path: Path, addition: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(SMALLEST + addition, encoding="utf-8")
    with pytest.raises(JnlpError) as caught:
        load_recipe(str(path))
    assert message in caught.value.message
    assert "wrong.toml" in caught.value.message or "recipe x" in caught.value.message


def test_an_unknown_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(UsageError, match="no recipe gigantic") as caught:
        load_recipe("gigantic")
    assert "tiny" in str(caught.value.hint)


def test_the_digest_changes_with_anything_in_the_recipe() -> None:
    recipe = load_recipe("tiny")
    assert recipe.digest() == load_recipe("tiny").digest()
    assert replace(recipe, seed=1).digest() != recipe.digest()
    assert replace(recipe, shape=replace(recipe.shape, layers=7)).digest() != recipe.digest()


def test_stages_follow_progress() -> None:
    recipe = Recipe("x", 10, stages=(Stage(512, 0.7), Stage(1024, 0.2), Stage(2048, 0.1)))
    assert [recipe.stage(p) for p in (0, 0.69, 0.7, 0.89, 0.9, 1)] == [0, 0, 1, 1, 2, 2]
