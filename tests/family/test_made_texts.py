"""Texts that are made by rule for `tiny`, and token shards packed to be carried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from jnlp_evaluate.masked.cloze import read_items
from jnlp_family.masked_lm import shards
from jnlp_family.masked_lm.made_texts import cloze_sentences, near_cloze, small_talk, statement
from jnlp_pretrain.recipe_files import load_recipe

if TYPE_CHECKING:
    from pathlib import Path


def test_small_talk_says_what_the_weather_is_and_holds_no_item_of_the_cloze_test() -> None:
    texts = small_talk()
    assert len(set(texts)) > 10_000
    assert sum("の天気は晴れ" in text for text in texts) > 100
    items = read_items()
    assert not any(near_cloze(line, items) for text in texts for line in text.split("\n"))
    assert not any(sentence in text for sentence in cloze_sentences() for text in texts)
    assert not any("おはようございます、今日の天気は" in text for text in texts), "the card's example"


def test_the_same_seed_gives_the_same_texts() -> None:
    assert small_talk()[:100] == small_talk()[:100] != small_talk(1)[:100]


@pytest.mark.parametrize(
    ("question", "answer", "wanted"),
    [
        ("日本で一番大きい湖は?", "琵琶湖", "日本で一番大きい湖は琵琶湖である。"),
        ("絵本に書かれているものはどれ？", "物語", "絵本に書かれているものは物語である。"),
        ("これを何というでしょう？", "鏡", "これを何というでしょう?答えは鏡。"),
        ("山に登る人を何と呼ぶか?", "登山者", "山に登る人を何と呼ぶか?答えは登山者。"),
    ],
)
def test_a_question_and_its_answer_become_a_sentence(question: str, answer: str, wanted: str) -> None:
    assert statement(question, answer) == wanted


def test_packed_shards_come_back_the_same(tmp_path: Path) -> None:
    data, rng = tmp_path / "data", np.random.default_rng(0)
    (data / "shards").mkdir(parents=True)
    made = {}
    for name in ("one.train", "one.valid", "two.train"):
        tokens = rng.zipf(1.3, 5_000).clip(max=60_000).astype(np.uint16)
        tokens.tofile(data / "shards" / f"{name}.uint16")
        np.save(data / "shards" / f"{name}.ends.npy", np.arange(50, 5_001, 50))
        made[name] = tokens
    (data / "shards" / "summary.json").write_text("{}", encoding="utf-8")
    for name in ("recipe.json", "tokenizer.json"):
        (data / name).write_text(name, encoding="utf-8")
    assert shards.main(["pack", str(data), str(tmp_path / "packed")]) == 0
    assert shards.main(["unpack", str(tmp_path / "packed"), str(tmp_path / "back")]) == 0
    for name, tokens in made.items():
        assert (np.fromfile(tmp_path / "back" / "shards" / f"{name}.uint16", np.uint16) == tokens).all()
        assert (np.load(tmp_path / "back" / "shards" / f"{name}.ends.npy") == np.arange(50, 5_001, 50)).all()
    assert (tmp_path / "back" / "tokenizer.json").read_text(encoding="utf-8") == "tokenizer.json"
    (tmp_path / "packed" / "tokens.part-00").unlink()
    assert shards.main(["unpack", str(tmp_path / "packed"), str(tmp_path / "again")]) != 0


def test_the_recipe_for_a_gpu_is_valid() -> None:
    recipe = load_recipe(str(shards.RECIPE))
    assert [stage.rate(0.5) > 0 for stage in recipe.stages] == [True] * 3
    assert recipe.stages[-1].rate(1.0) == 0
