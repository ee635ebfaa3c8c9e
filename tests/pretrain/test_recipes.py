"""Recipes: the shipped ones hold, and a wrong one is refused in one line."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from jnlp.errors import JnlpError, UsageError
from jnlp_pretrain.recipe import Recipe, Span, Stage
from jnlp_pretrain.recipe_files import bundled_recipes, load_recipe

if TYPE_CHECKING:
    from pathlib import Path

SMALLEST = 'name = "x"\nstages = [{ tokens = 10 }]\n'


@pytest.mark.parametrize("name", bundled_recipes())
def test_every_shipped_recipe_loads_under_its_own_name(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert max(span.length for stage in recipe.stages for span in stage.rows) <= recipe.shape.max_length


@pytest.mark.parametrize(
    ("name", "shape"),
    [("30m", (256, 1024, 10)), ("70m", (384, 1536, 13)), ("130m", (512, 2048, 19)), ("310m", (768, 3072, 25))],
)
def test_the_large_recipes_say_what_the_model_card_says(name: str, shape: tuple[int, int, int]) -> None:
    recipe = load_recipe(name)
    assert (recipe.shape.hidden, recipe.shape.intermediate, recipe.shape.layers) == shape
    assert recipe.tokenizer.vocabulary == 102_400
    assert [(s.tokens, s.rows[0].length, s.packing, s.mask) for s in recipe.stages] == [
        (3_510_000_000_000, 1024, "naive", 0.3),
        (430_000_000_000, 8192, "best-fit", 0.3),
        (450_000_000_000, 8192, "none", 0.15),
    ]
    assert (recipe.stages[-1].global_theta, recipe.stages[-1].local_theta) == (160_000, 10_000)


@pytest.mark.parametrize("name", ["30m", "70m", "130m", "310m"])
def test_what_the_card_does_not_give_is_marked(name: str) -> None:
    from importlib import resources

    text = (resources.files("jnlp_pretrain") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    given = {"name", "hidden", "intermediate", "layers", "max_length", "vocabulary"}
    given |= {"tokens", "rows", "packing", "mask"}
    finished = {"global_theta", "local_theta"}  # those of the finished model, so of the last stage alone
    before, last = text.rsplit("[[stages]]", 1)
    for part, known in ((before, given), (last, given | finished)):
        for line in part.splitlines():
            if "=" in line and not line.startswith("#") and line.split(" ")[0] not in known:
                assert "# our choice" in line


def test_tiny_leaves_out_what_may_not_train_a_shipped_model() -> None:
    patterns = [pattern for source in load_recipe("tiny").sources for pattern in source.match]
    assert not [p for p in patterns if "livedoor" in p or "jsick" in p or "valid" in p or "test" in p]


def test_defaults_fill_a_short_recipe(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text(SMALLEST, encoding="utf-8")
    assert load_recipe(str(path)) == Recipe("x", (Stage(10),))


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ("colour = 1", "colour is not a key of a recipe"),
        ("[shape]\nlayer = 3", "shape.layer is not a key of a recipe (did you mean layers?)"),
        ("[shape]\nhidden = 'wide'", "shape.hidden is 'wide', not a whole number"),
        (
            "[[stages]]\ntokens = 9\nrows = 128\nmasks = 1",
            "stages.0.masks is not a key of a recipe (did you mean mask?)",
        ),
        ("[[stages]]\ntokens = 9\nrows = 128", "stages.0.rows is 128, not a list, for rows [{ length = 128 }]"),
        ("[[stages]]\nmask = 0.3", "stages.0.tokens is missing"),
        ("[shape]\nmax_length = 512", "stages.0: rows of 1024 are longer than shape.max_length, 512"),
        ("[shape]\nhidden = 100", "hidden 100 is not a multiple of 64"),
        ("embeddings = 'word2vec'", "embeddings is 'word2vec', not one of cooccurrence, random"),
        ("[optimisation]\nname = 'sgd'", "optimisation.name is 'sgd', not one of muon, adamw"),
        ("= broken", "is not TOML"),
        ("stages = []", "it has no stage"),
        ("[[stages]]\ntokens = 0", "stages.0: 0 tokens are none"),
        ("[[stages]]\ntokens = 9\nrows = [{length = 128, share = 0.5}]", "the shares of its rows do not sum to 1"),
        ("[[stages]]\ntokens = 9\nrows = [{length = 100}]", "rows of 100 do not fill a micro-batch of 4096"),
        ("[[stages]]\ntokens = 9\nrows = [{length = 4}]", "rows of 4 tokens are too short"),
        ("[[stages]]\ntokens = 9\npacking = 'tight'", "stages.0.packing is 'tight', not one of naive, best-fit, none"),
        ("[[stages]]\ntokens = 9\nmicro_batch = 0", "stages.0.micro_batch is 0, and has to be 1 at least"),
        ("[[stages]]\ntokens = 9\nbatch = -4096", "stages.0.batch is -4096, and has to be 1 at least"),
        ("[[stages]]\ntokens = 9\nmask = 30", "stages.0.mask is 30, not between 0 and 1"),
        ("[[stages]]\ntokens = 9\nmask = 0", "stages.0.mask is 0: nothing would be predicted"),
        ("[[stages]]\ntokens = 9\ndecay = 1.5", "stages.0.decay is 1.5, not between 0 and 1"),
        ("[[stages]]\ntokens = 9\nwarmup_tokens = 18", "stages.0.warmup_tokens / tokens is 2, not between 0 and 1"),
        ("[[stages]]\ntokens = 9\npeak = 0", "stages.0.peak is 0, not over 0"),
        ("[shape]\nlayers = 0", "shape.layers is 0, and has to be 1 at least"),
        ("[shape]\nhidden = 0", "shape.hidden is 0, and has to be 1 at least"),
        ("[tokenizer]\nvocabulary = 100", "tokenizer.vocabulary is 100, and has to be 264 at least"),
        ("[optimisation]\nlr = nan", "optimisation.lr is nan, not over 0"),
        ("[[sources]]\nname = 'a'\nmatch = ['*']\nweight = -1", "sources.a.weight is -1, and has to be 0 at least"),
        ("[[sources]]\nname = 'a/b'\nmatch = ['*']", "'a/b' is not a valid source name"),
        ("[[sources]]\nname = 'a'\nmatch = ['x']\n" * 2, "two sources are called 'a'"),
        ("[[stages]]\ntokens = 9\nmix = {web = 1.0}", "stages.0: its mix names web, which is not a source"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path: Path, addition: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    start = 'name = "x"\n' if "stages" in addition else SMALLEST
    path.write_text(start + addition, encoding="utf-8")
    with pytest.raises(JnlpError) as caught:
        load_recipe(str(path))
    assert message in caught.value.message
    assert "wrong.toml" in caught.value.message or "recipe x" in caught.value.message


def test_a_recipe_is_utf_8_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f"# 私の\n{SMALLEST}", encoding="utf-8-sig")
    assert load_recipe(str(path)).name == "x"
    path.write_text(f"# 私の\n{SMALLEST}", encoding="cp932")
    with pytest.raises(JnlpError, match=r"r\.toml: byte 2 is not UTF-8"):
        load_recipe(str(path))


def test_a_file_that_is_not_there_is_told_as_one() -> None:
    with pytest.raises(UsageError, match=r"mine\.toml does not exist"):
        load_recipe("mine.toml")


def test_the_recipe_of_the_docs_is_one(root: Path, tmp_path: Path) -> None:
    page = (root / "docs/training.md").read_text(encoding="utf-8")
    (text,) = re.findall(r'```toml\n(name = "mine".*?)```', page, re.DOTALL)
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    assert load_recipe(str(tmp_path / "mine.toml")).shape.layers == 6


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
    recipe = Recipe("x", (Stage(700), Stage(200), Stage(100)))
    assert [recipe.stage(p)[0] for p in (0, 0.69, 0.7, 0.89, 0.9, 1)] == [0, 0, 1, 1, 2, 2]
    assert [recipe.stage(p)[1] for p in (0, 0.35, 0.8, 1)] == pytest.approx([0, 0.5, 0.5, 1])


def test_each_stage_has_its_own_rate_and_lengths() -> None:
    first = Stage(1000, (Span(128, 0.9), Span(512, 0.1)), warmup=0.1, decay=0.0)
    second = Stage(1000, warmup_tokens=200, decay=0.5, peak=0.5)
    recipe = Recipe("x", (first, second))
    rates = [recipe.rate(p) for p in (0, 0.025, 0.05, 0.49, 0.5, 0.55, 0.6, 0.7, 1)]
    assert rates == pytest.approx([0, 0.5, 1, 1, 0, 0.25, 0.5, 0.5, 0])
    assert [first.length(done) for done in (0, 0.89, 0.9, 1)] == [128, 128, 512, 512]


def test_tiny_ends_each_stage_in_long_rows_within_its_decay() -> None:
    stages = load_recipe("tiny").stages
    assert all([span.length for span in stage.rows] == [128, 512] for stage in stages)
    # of the decay; from the third stage on they decay for longer, and have as many long rows
    assert [stage.rows[1].share / stage.decay for stage in stages] == pytest.approx(
        [0.2286, 0.2286, 0.16, 0.16, 0.16], abs=1e-3
    )
