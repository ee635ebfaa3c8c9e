"""Repeated sentences, excluded lines, batches made ahead, and training from prepared data alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from jnlp.training.schedule import Clock
from jnlp_pretrain.clean import Clean, Cleaner
from jnlp_pretrain.feeding import Ahead, Reader, batch_of
from jnlp_pretrain.prepared import main, open_data, read_recipe, save_recipe
from jnlp_pretrain.repeats import LEAST, repeat_sentences
from jnlp_pretrain.shards import Shard
from jnlp_pretrain.tokenizer_train import BOS, EOS, FIRST_PIECE

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp_pretrain.recipe import Recipe

END, VOCABULARY = FIRST_PIECE, FIRST_PIECE + 5_000


def _sequence(size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    rng = np.random.default_rng(size)
    ids = rng.integers(FIRST_PIECE + 1, VOCABULARY, size)
    ids[0], ids[-1], ids[10:-1:20] = BOS, EOS, END
    return ids


def test_a_repeated_sentence_stands_twice_with_one_new_token() -> None:
    ids = _sequence(LEAST)
    (found,) = repeat_sentences([ids], 1.0, [END], VOCABULARY, np.random.default_rng(0))
    changed = np.flatnonzero(found != ids)
    assert len(found) == len(ids)
    assert (found[[0, -1]] == (BOS, EOS)).all()
    early = changed[changed < LEAST // 2 + 60]
    span = next(size for size in range(40, 7, -1) if _stands_twice(found, size))
    assert span >= 8
    assert len(early) <= 1 or (changed >= len(ids) - 1 - span).sum() >= len(changed) - 1


def _stands_twice(ids: np.ndarray[tuple[int], np.dtype[np.int64]], size: int) -> bool:
    tail = ids[-1 - size : -1].tobytes()
    return any(ids[start : start + size].tobytes() == tail for start in range(1, len(ids) - 1 - 2 * size))


def test_short_sequences_and_a_share_of_zero_stay() -> None:
    short, long = _sequence(LEAST - 1), _sequence(LEAST)
    rng = np.random.default_rng(0)
    assert repeat_sentences([short], 1.0, [END], VOCABULARY, rng)[0] is short
    assert repeat_sentences([long], 0.0, [END], VOCABULARY, rng)[0] is long
    assert repeat_sentences([long], 1.0, [], VOCABULARY, rng)[0] is long, "no sentence ends"


def test_lines_with_an_excluded_sentence_are_removed() -> None:
    cleaner = Cleaner(Clean(exclude=("窓を開けてください", "1時です")))
    assert cleaner("暑いね。\n窓を開けてください。\n(窓)") == "暑いね。\n(窓)"
    assert cleaner("いま１時です。") is None, "compared after NFKC"
    assert cleaner("窓を開けた。") == "窓を開けた。"
    assert cleaner.dropped == {"excluded": 2}


def test_a_process_makes_the_same_batches(recipe: Recipe) -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(FIRST_PIECE, VOCABULARY, 20_000).astype(np.uint16)
    shards = [Shard("text", 1.0, tokens, np.arange(100, 20_001, 100))]
    stage = recipe.stages[0]

    def reader() -> Reader:
        return Reader(recipe, shards, [END], stage, 32)

    ahead = Ahead(reader(), VOCABULARY, 0.9)
    try:
        here, turn, row = reader(), 0, 0
        for _ in range(3):
            wanted = batch_of(here, VOCABULARY, np.random.default_rng((recipe.seed, 32, turn, row)), dense=0.9)
            made, turn, row = ahead.next()
            assert (made.ids == wanted.ids).all()
            assert (made.at == wanted.at).all()
            assert made.lengths == wanted.lengths
            assert (turn, row) == (here.turn, here.row)
    finally:
        ahead.close()


def test_training_needs_only_prepared_data(
    recipe: Recipe, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jnlp_pretrain.prepared.Clock", lambda _tokens, _seconds: Clock(10_000))  # of tokens, not time
    from jnlp_pretrain import corpus as corpora
    from jnlp_pretrain.corpus_data import make_data

    files = corpora.files([corpus])
    sources = recipe.sources or corpora.own_sources(files)
    recipe = replace(recipe, sources=sources)
    data, out = tmp_path / "data", tmp_path / "out"
    made = make_data(recipe, sources, corpora.assign(sources, files), data)
    save_recipe(recipe, data)
    assert read_recipe(data / "recipe.json") == recipe
    assert [s.name for s in open_data(recipe, data).train] == [s.name for s in made.train]
    assert main([str(data), str(out), "--minutes", "0.01", "--device", "cpu"]) == 0
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[-1]["tokens"] > 0
    assert "accuracy" in rows[-1]
    assert (out / "model" / "model.safetensors").stat().st_size > 0
    assert torch.load(out / "checkpoint.pt", weights_only=True)["tokens"] == rows[-1]["tokens"]


def test_an_error_is_printed_and_gives_a_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), str(tmp_path / "out"), "--minutes", "0.01"]) == 1
    assert "recipe.json" in capsys.readouterr().err
