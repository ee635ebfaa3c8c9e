"""Corpus, shards and rows: nothing lost, nothing leaked, the same every time."""

from __future__ import annotations

import json
import lzma
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.errors import JnlpError, UsageError
from jnlp_pretrain.corpus import Source, assign, documents, files, fraction, own_sources
from jnlp_pretrain.corpus_data import data_digest, make_data
from jnlp_pretrain.packing import best_fit
from jnlp_pretrain.packs import PACKINGS, plan_packs
from jnlp_pretrain.shards import Shard, _pieces

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp_pretrain.recipe import Recipe

BOS, EOS, STOP = 1, 2, 9


def _shard(sizes: list[int], weight: float = 1.0) -> Shard:
    tokens = np.arange(10, 10 + sum(sizes), dtype=np.uint32)
    tokens[4::9] = STOP
    return Shard("a", weight, tokens, np.cumsum(sizes))


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 200), min_size=1, max_size=30),
    st.sampled_from([32, 64]),
    st.integers(0, 5),
    st.sampled_from(sorted(PACKINGS)),
)
def test_rows_hold_every_token_once_and_no_more_than_they_may(
    sizes: list[int], length: int, seed: int, packing: str
) -> None:
    shard = _shard(sizes)
    rows = plan_packs([shard], length, [STOP], seed=seed, packing=packing)
    for number in range(len(rows)):
        (row,) = rows.batch(number, 1)
        assert sum(map(len, row)) == rows.size(number) <= length
        assert all(sequence[0] == BOS and sequence[-1] == EOS for sequence in row)
    used = np.zeros(len(shard.tokens), int)
    for _, start, stop in rows.pieces.tolist():
        assert stop <= shard.ends[np.searchsorted(shard.ends, start, side="right")]  # no piece crosses documents
        used[start:stop] += 1
    assert (used == 1).all()


def test_naive_rows_are_full_but_for_gaps_too_small_for_a_piece() -> None:
    shard = _shard([int(n) for n in np.random.default_rng(0).integers(20, 300, size=60)])
    rows = plan_packs([shard], 64, [STOP], seed=0)
    sizes = [rows.size(number) for number in range(len(rows))]
    assert min(sizes[:-1]) > 64 - 10
    assert np.mean(sizes[:-1]) > 62


def test_best_fit_wastes_little_and_cuts_nothing_that_fits() -> None:
    sizes = [int(n) for n in np.random.default_rng(0).integers(3, 126, size=2_000)]
    rows = plan_packs([_shard(sizes)], 128, [STOP], seed=0, packing="best-fit")
    assert sorted((rows.pieces[:, 2] - rows.pieces[:, 1]).tolist()) == sorted(sizes)
    assert (sum(sizes) + 2 * len(sizes)) / (128 * len(rows)) > 0.97


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=60))
def test_best_fit_takes_the_fullest_row_with_room(sizes: list[int]) -> None:
    stops = np.cumsum(sizes)
    pieces = np.column_stack((np.zeros(len(sizes), np.int64), stops - sizes, stops))
    packed, first = best_fit(pieces, 32)
    rooms: list[int] = []
    expected: list[list[int]] = []
    for size in sorted((n + 2 for n in sizes), reverse=True):  # the definition, row by row
        fitting = [row for row, room in enumerate(rooms) if room >= size]
        if fitting:
            row = min(fitting, key=lambda row: rooms[row])
        else:
            row = len(rooms)
            rooms.append(32)
            expected.append([])
        rooms[row] -= size
        expected[row].append(size)
    found = [(packed[a:b, 2] - packed[a:b, 1] + 2).tolist() for a, b in pairwise(first.tolist())]
    assert sorted(map(sum, found)) == sorted(map(sum, expected))


def test_without_packing_a_row_is_a_piece() -> None:
    rows = plan_packs([_shard([5, 300, 7])], 64, [STOP], seed=0, packing="none")
    assert len(rows) == len(rows.pieces)


def test_documents_are_cut_at_sentence_ends() -> None:
    shard = _shard([300])
    rows = plan_packs([shard], 64, [STOP], seed=0)
    cuts = {stop for _, start, stop in rows.pieces.tolist() if shard.tokens[stop - 1] == STOP}
    assert len(cuts) >= len(rows.pieces) // 3


def test_order_hangs_on_seed_and_pass_alone() -> None:
    shards = [_shard([50] * 20), _shard([70] * 5, weight=2.5)]
    first = plan_packs(shards, 32, [STOP], seed=3)
    assert np.array_equal(first.pieces, plan_packs(shards, 32, [STOP], seed=3).pieces)
    assert not np.array_equal(first.pieces, plan_packs(shards, 32, [STOP], seed=3, turn=1).pieces)
    assert not np.array_equal(first.pieces, plan_packs(shards, 32, [STOP], seed=4).pieces)


@pytest.mark.parametrize("weight", [0.09, 0.5, 2.5])
def test_a_weight_draws_and_repeats_documents(weight: float) -> None:
    once, often = (plan_packs([_shard([100] * 2_000, w)], 64, [STOP], seed=0) for w in (1.0, weight))
    assert len(often) / len(once) == pytest.approx(weight, rel=0.15)
    other = plan_packs([_shard([100] * 2_000)], 64, [STOP], seed=0, weights={"a": weight})
    assert np.array_equal(other.pieces, often.pieces)


def test_each_pass_draws_other_documents() -> None:
    seen: set[int] = set()
    for turn in range(20):
        seen |= set(plan_packs([_shard([20] * 100, 0.2)], 64, [STOP], seed=0, turn=turn).pieces[:, 1].tolist())
    assert len(seen) > 90


def test_a_large_pass_is_planned_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    shards = [_shard([50] * 40), _shard([70] * 30, weight=2.0)]
    monkeypatch.setattr("jnlp_pretrain.packs.PORTION", 2_000)
    used: list[tuple[int, int, int]] = []
    for turn in range(3):
        used += map(tuple, plan_packs(shards, 128, [STOP], seed=0, turn=turn, packing="none").pieces.tolist())
    assert sorted(n for shard, n, _ in used if shard == 0) == list(range(0, 2_000, 50))
    assert sorted(n for shard, n, _ in used if shard == 1) == sorted(2 * list(range(0, 2_100, 70)))


def test_shards_hold_documents_out_and_are_the_same_every_time(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    table = assign(recipe.sources, files([corpus]))
    bits = []
    for name in ("one", "two"):
        data = make_data(recipe, recipe.sources, table, tmp_path / name)
        tokenizer, shards, held = data.tokenizer, data.train, data.valid
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
    first = make_data(recipe, recipe.sources, table, tmp_path)
    told: list[str] = []
    again = make_data(recipe, recipe.sources, table, tmp_path, progress=lambda phase, *_: told.append(phase))
    assert told == []
    assert again.summary == first.summary


def test_a_newline_is_a_byte_piece_in_a_document(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    data = make_data(recipe, recipe.sources, assign(recipe.sources, files([corpus])), tmp_path)
    tokenizer, shards = data.tokenizer, data.train
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


def test_weights_do_not_change_the_data_and_all_else_does(recipe: Recipe, corpus: Path) -> None:
    paths = files([corpus])
    first = data_digest(recipe, paths, None)
    heavier = replace(recipe, sources=tuple(replace(source, weight=3.0) for source in recipe.sources))
    assert data_digest(heavier, paths, None) == first
    less = replace(recipe, sources=tuple(replace(source, keep=0.5) for source in recipe.sources))
    assert len({first, data_digest(less, paths, None), data_digest(replace(recipe, held_out=0.2), paths, None)}) == 3


def test_keep_bounds_a_source_by_hash(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    table = assign(recipe.sources, files([corpus]))
    half = replace(recipe, sources=tuple(replace(source, keep=0.5) for source in recipe.sources))
    whole = make_data(recipe, recipe.sources, table, tmp_path / "whole").summary["lines"].documents
    kept = make_data(half, half.sources, table, tmp_path / "half").summary["lines"].documents
    assert kept["valid"] == whole["valid"]
    assert 0.4 < kept["train"] / whole["train"] < 0.6


def test_any_text_that_jnlp_reads_is_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "sjis.txt").write_bytes("吾輩は猫である。\r\n名前はまだ無い。\r\n".encode("cp932"))
    (tmp_path / "page.html").write_text("<p>東京の天気は晴れです。</p>", encoding="utf-8")
    (tmp_path / "rows.csv").write_text("id,text\n1,明日は雨です。\n", encoding="utf-8")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    found = files([tmp_path])
    texts = [
        "\n".join(text for _, text in documents(source, [path]))
        for source, path in zip(own_sources(found), found, strict=True)
    ]
    assert [path.name for path in found] == ["page.html", "rows.csv", "sjis.txt"]
    assert texts[0].strip() == "東京の天気は晴れです。"
    assert texts[1] == "明日は雨です。"
    assert texts[2].split() == ["吾輩は猫である。", "名前はまだ無い。"]


def test_files_with_brackets_are_read_and_null_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "第[1]巻").mkdir()
    (tmp_path / "第[1]巻" / "小説[上].txt").write_text("晴れ。\n", encoding="utf-8")
    (tmp_path / "行.jsonl").write_text('{"text": null}\n{"text": ["雨。", null]}\n', encoding="utf-8")
    found = files([tmp_path])
    sources = own_sources(found)
    table = assign(sources, found)
    assert [table[source.name] for source in sources] == [[path] for path in found]
    texts = [text for source in sources for _, text in documents(source, table[source.name])]
    assert sorted(text.strip() for text in texts) == ["晴れ。", "雨。"]


def test_many_files_are_one_source(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"日記{number}.txt").write_text("晴れ。\n", encoding="utf-8")
    found = files([tmp_path])
    assert assign(own_sources(found), found) == {"corpus": found}


def test_a_large_text_file_is_read_in_documents_cut_at_blank_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jnlp_pretrain.corpus._WHOLE", 1_000)
    monkeypatch.setattr("jnlp_pretrain.corpus._BLOCK", 200)
    text = "".join(f"{n}行目の文です。\n" + ("\n" if n % 7 == 0 else "") for n in range(200))
    path = tmp_path / "large.txt"
    path.write_text(text, encoding="utf-8")
    parts = [part for _, part in documents(Source("large", ("large.txt",)), [path])]
    assert "".join(parts) == text
    assert max(map(len, parts)) < 400
    assert all(part.endswith("\n\n") for part in parts[:-1])


@given(st.lists(st.text("あい\n", max_size=30), max_size=8).map("\n".join))
def test_long_documents_reach_the_tokenizer_in_pieces(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jnlp_pretrain.shards._PIECE", 10)
        pieces = list(_pieces(text))
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 10


def test_pieces_do_not_change_the_tokens(
    recipe: Recipe, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = assign(recipe.sources, files([corpus]))
    whole = make_data(recipe, recipe.sources, table, tmp_path / "whole")
    monkeypatch.setattr("jnlp_pretrain.shards._PIECE", 40)
    cut = make_data(recipe, recipe.sources, table, tmp_path / "cut")
    assert [shard.tokens.tolist() for shard in cut.train] == [shard.tokens.tolist() for shard in whole.train]


@given(st.text(), st.text())
def test_fraction_is_a_share(key: str, salt: str) -> None:
    assert 0 <= fraction(key, salt) < 1
    assert fraction(key, salt) == fraction(key, salt)
