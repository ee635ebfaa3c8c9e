"""Corpus, shards and rows: nothing lost, nothing leaked, the same every time."""

from __future__ import annotations

import json
import lzma
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.errors import JnlpError, UsageError
from jnlp.training.corpus import Source, assign, documents, files, fraction
from jnlp.training.pretraining import prepare
from jnlp.training.rows import plan_rows
from jnlp.training.shards import VALID, Shard, open_shards

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp.training.recipe import Recipe

BOS, EOS, STOP = 1, 2, 9


def _shard(sizes: list[int], weight: float = 1.0) -> Shard:
    tokens = np.arange(10, 10 + sum(sizes), dtype=np.uint32)
    tokens[4::9] = STOP
    return Shard("a", weight, tokens, np.cumsum(sizes))


@settings(deadline=None)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=30), st.sampled_from([32, 64]), st.integers(0, 5))
def test_rows_are_full_and_made_of_the_documents(sizes: list[int], length: int, seed: int) -> None:
    shard = _shard(sizes)
    rows = plan_rows([shard], length, [STOP], seed=seed)
    for number in range(len(rows)):
        ids, lengths = rows.batch(number, 1)
        assert len(ids) == lengths.sum() == length
        stops = np.cumsum(lengths)
        assert (ids[stops - 1] == EOS).all()
        assert (ids[stops - lengths] == BOS).all()
    for _, start, stop in rows.pieces.tolist():
        document = np.searchsorted(shard.ends, start, side="right")
        assert stop <= shard.ends[document]  # no piece crosses documents
        assert 0 < stop - start <= length - 2


@settings(deadline=None)
@given(st.integers(0, 5))
def test_most_tokens_are_used_and_few_twice(seed: int) -> None:
    shard = _shard([int(n) for n in np.random.default_rng(seed).integers(20, 300, size=60)])
    rows = plan_rows([shard], 64, [STOP], seed=seed)
    used = np.zeros(len(shard.tokens), int)
    for _, start, stop in rows.pieces.tolist():
        used[start:stop] += 1
    assert np.mean(used == 0) < 0.15
    assert np.mean(used > 1) < 0.1


def test_documents_are_cut_at_sentence_ends() -> None:
    shard = _shard([300])
    rows = plan_rows([shard], 64, [STOP], seed=0)
    cuts = {stop for _, start, stop in rows.pieces.tolist() if shard.tokens[stop - 1] == STOP}
    assert len(cuts) >= len(rows.pieces) // 3


def test_order_hangs_on_seed_and_pass_alone() -> None:
    shards = [_shard([50] * 20), _shard([70] * 5, weight=2.5)]
    first = plan_rows(shards, 32, [STOP], seed=3)
    assert np.array_equal(first.pieces, plan_rows(shards, 32, [STOP], seed=3).pieces)
    assert not np.array_equal(first.pieces, plan_rows(shards, 32, [STOP], seed=3, turn=1).pieces)
    assert not np.array_equal(first.pieces, plan_rows(shards, 32, [STOP], seed=4).pieces)


def test_a_weight_repeats_documents() -> None:
    once, often = (plan_rows([_shard([640] * 20, weight)], 64, [STOP], seed=0) for weight in (1.0, 2.5))
    assert len(often) / len(once) == pytest.approx(2.5, abs=0.2)


def test_shards_hold_documents_out_and_are_the_same_every_time(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    table = assign(recipe.sources, files([corpus]))
    bits = []
    for name in ("one", "two"):
        tokenizer, shards = prepare(recipe, recipe.sources, table, tmp_path / name)
        held = open_shards(tmp_path / name / "shards", recipe.sources, VALID)
        texts = [
            {tokenizer.decode(part.tolist()) for part in np.split(s.tokens, s.ends[:-1])} for s in (*shards, *held)
        ]
        bits.append([s.tokens.tobytes() for s in (*shards, *held)])
        assert [s.name for s in shards] == [s.name for s in held] == ["diary", "lines"]
        assert not texts[1] & texts[3]
        assert 0.05 < len(held[1].ends) / (len(held[1].ends) + len(shards[1].ends)) < 0.15
    assert bits[0] == bits[1]


def test_shards_are_built_once(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    table = assign(recipe.sources, files([corpus]))
    prepare(recipe, recipe.sources, table, tmp_path)
    told: list[str] = []
    prepare(recipe, recipe.sources, table, tmp_path, lambda phase, *_: told.append(phase))
    assert told == []


def test_a_newline_is_a_byte_piece_in_a_document(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    tokenizer, shards = prepare(recipe, recipe.sources, assign(recipe.sources, files([corpus])), tmp_path)
    newline = tokenizer.token_to_id("<0x0A>")
    assert newline in shards[0].tokens
    assert newline not in shards[1].tokens


def test_only_files_of_the_sources_are_read(recipe: Recipe, corpus: Path) -> None:
    table = assign(recipe.sources, files([corpus]))
    assert {name: [path.name for path in paths] for name, paths in table.items()} == {
        "diary": ["diary-000.jsonl"],
        "lines": ["lines.txt"],
    }
    with pytest.raises(UsageError, match="no file of the corpus belongs"):
        assign([Source("other", ("other.txt",))], files([corpus]))


def test_documents_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.xz"
    rows = [{"question": "これは？", "choices": ["犬", "猫"]}, {"question": " ", "choices": []}]
    with lzma.open(path, "wt", encoding="utf-8") as handle:
        handle.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    source = Source("rows", ("*.xz",), fields=("question", "choices"))
    assert [text for _, text in documents(source, [path])] == ["これは？", "犬", "猫"]
    with pytest.raises(JnlpError, match=r"rows\.jsonl\.xz:1: not a JSON row with the field text"):
        list(documents(Source("rows", ("*.xz",)), [path]))


def test_missing_and_empty_folders_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        files([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="no text under"):
        files([tmp_path])


@given(st.text(), st.text())
def test_fraction_is_a_share(key: str, salt: str) -> None:
    assert 0 <= fraction(key, salt) < 1
    assert fraction(key, salt) == fraction(key, salt)
