"""Repeated sentences, excluded lines, batches made ahead, and training from prepared data alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from jnlp.testing import make_model
from jnlp.training.schedule import Clock
from jnlp_pretrain.clean import Clean, Cleaner
from jnlp_pretrain.feeding import Ahead, Reader, batch_of
from jnlp_pretrain.masking import mask
from jnlp_pretrain.prepared import main, open_data, read_recipe, save_recipe
from jnlp_pretrain.repeats import ASKED, FREE, KEPT, LEAST, repeat
from jnlp_pretrain.shards import Shard
from jnlp_pretrain.tokenizer_train import BOS, EOS, FIRST_PIECE, MASK, PAD

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp_pretrain.recipe import Recipe

END, VOCABULARY = FIRST_PIECE, FIRST_PIECE + 5_000


def _sequence(size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    rng = np.random.default_rng(size)
    ids = rng.integers(FIRST_PIECE + 1, VOCABULARY, size)
    ids[0], ids[-1], ids[10:-1:20] = BOS, EOS, END
    return ids


def test_what_is_asked_for_stands_elsewhere_too() -> None:
    sequences = [_sequence(size) for size in (LEAST, 200, 900)]
    before = np.concatenate(sequences)
    asked = 0
    for seed in range(20):
        said = repeat(sequences, 1.0, [END], VOCABULARY, np.random.default_rng(seed))
        assert len(said.ids) == len(before)
        assert (said.ids[np.isin(before, (BOS, EOS))] == before[np.isin(before, (BOS, EOS))]).all()
        assert (said.ids[said.marks == FREE] == before[said.marks == FREE]).all(), "free tokens are as they were"
        at = 0
        for sequence in sequences:
            ids, marks = said.ids[at : at + len(sequence)], said.marks[at : at + len(sequence)]
            at += len(sequence)
            for place in np.flatnonzero(marks == ASKED):
                elsewhere = np.flatnonzero((ids == ids[place]) & (marks == KEPT))
                assert len(elsewhere), "only another place tells what is asked for"
                asked += 1
    assert asked >= 20 * (1 + 3 + 9), "about one for each 64 tokens"


def test_a_repeated_span_is_the_same_in_both_places() -> None:
    ids = np.concatenate(([BOS], np.arange(FIRST_PIECE + 1, FIRST_PIECE + 301), [EOS]))
    said = repeat([ids], 1.0, [], VOCABULARY, np.random.default_rng(3))
    (place, *_) = np.flatnonzero(said.marks == ASKED)
    (other,) = np.flatnonzero((said.ids == said.ids[place]) & (np.arange(len(ids)) != place))
    same = [step for step in (-1, 1) if said.ids[place + step] == said.ids[other + step]]
    assert same, "a neighbour stands in both places"
    assert said.marks[other] == KEPT


def test_names_are_replaced_wherever_they_stand() -> None:
    name = FIRST_PIECE + 3_000
    ids = np.arange(FIRST_PIECE + 1, FIRST_PIECE + 1 + LEAST)
    ids[[0, 5, 20, 40, -1]] = (BOS, name, name, name, EOS)
    changed = 0
    for seed in range(30):
        said = repeat([ids], 1.0, [], VOCABULARY, np.random.default_rng(seed))
        left = said.ids[[5, 20, 40]][said.marks[[5, 20, 40]] != FREE]
        changed += len(left) == 3 and len(set(left.tolist())) == 1 and left[0] != name
    assert changed > 0


def test_marked_tokens_are_always_or_never_masked() -> None:
    ids = np.arange(FIRST_PIECE, FIRST_PIECE + 1_000)
    marks = np.full(len(ids), FREE, np.int8)
    marks[100:400], marks[400:450] = KEPT, ASKED
    masked = mask(ids, 0.3, VOCABULARY, np.random.default_rng(0), marks)
    chosen = np.isin(np.arange(len(ids)), masked.at)
    assert not chosen[100:400].any()
    assert chosen[400:450].all()
    assert (masked.ids[400:450] == MASK).all(), "never noise, never the token itself"
    assert 0.2 < chosen[marks == FREE].mean() < 0.4


def test_short_sequences_padding_and_a_share_of_zero_stay() -> None:
    short, long = _sequence(LEAST - 1), _sequence(LEAST)
    padding = np.full(LEAST, PAD, np.int64)
    rng = np.random.default_rng(0)
    for sequence, share in ((short, 1.0), (padding, 1.0), (long, 0.0)):
        said = repeat([sequence], share, [END], VOCABULARY, rng)
        assert (said.ids == sequence).all()
        assert not said.marks.any()


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
    recipe: Recipe,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
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
    other = make_model(tmp_path / "other", layers=2, hidden=64, texts=["猫"])
    started = [str(data), str(tmp_path / "more"), "--minutes", "0.01", "--device", "cpu", "--start", str(other)]
    assert main(started) == 1
    assert re.search(r"other has \d+ pieces, but the data has \d+", capsys.readouterr().err)


def test_an_error_is_printed_and_gives_a_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), str(tmp_path / "out"), "--minutes", "0.01"]) == 1
    assert "recipe.json" in capsys.readouterr().err
