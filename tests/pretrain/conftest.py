"""A small Japanese corpus with something to learn, and a recipe that learns it in seconds."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from jnlp_pretrain.corpus import Source
from jnlp_pretrain.recipe import Optimisation, Recipe, Shape, Span, Stage
from jnlp_pretrain.tokenizer_train import TokenizerRecipe

if TYPE_CHECKING:
    from pathlib import Path

PLACES = ("東京", "大阪", "京都", "札幌", "福岡", "名古屋", "仙台", "広島")
TIMES = ("今日", "明日", "昨日", "今朝", "週末")
WEATHER = ("晴れ", "曇り", "雨", "雪")
MEALS = (("パン", "食べ"), ("水", "飲み"), ("映画", "見"), ("音楽", "聞き"), ("本", "読み"))


def sentences() -> list[str]:
    """Return sentences whose words depend on each other: what is eaten, what is drunk."""
    weather = [f"{t}の{p}の天気は{w}です。" for t, p, w in itertools.product(TIMES, PLACES, WEATHER)]
    meals = [f"{t}は{p}で{thing}を{verb}ました。" for t, p, (thing, verb) in itertools.product(TIMES, PLACES, MEALS)]
    return [line for pair in itertools.zip_longest(weather, meals, fillvalue="") for line in pair if line]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two sources: documents of a few sentences, and lines."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = sentences()
    documents = ["\n".join(lines[i : i + 4]) for i in range(0, len(lines), 4)]
    rows = [json.dumps({"text": text}, ensure_ascii=False) for text in documents]
    (folder / "diary-000.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "unwanted.txt").write_text("この文は使われない。" * 50, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """A micro model, repeatable to the bit."""
    return Recipe(
        name="micro",
        shape=Shape(hidden=64, intermediate=64, layers=2, max_length=64),
        stages=(
            Stage(100_000, (Span(32, 0.8), Span(64, 0.2)), warmup=0.05, batch=1024, micro_batch=512),
            Stage(
                50_000,
                (Span(64),),
                packing="best-fit",
                mask=0.2,
                warmup_tokens=3_000,
                peak=0.5,
                batch=2048,
                micro_batch=512,
                global_theta=20_000.0,
                mix={"diary": 1.5},
            ),
        ),
        sources=(
            Source("diary", ("diary-*.jsonl",)),
            Source("lines", ("lines.txt",), unit="line", weight=2.0),
        ),
        tokenizer=TokenizerRecipe(vocabulary=340, characters=100_000, coverage=1.0),
        optimisation=Optimisation(lr=5e-3, matrix_lr=1e-2, dtype="fp32"),
        held_out=0.1,
    )
