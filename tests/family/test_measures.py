"""What measures the models gives known numbers for models that are known: uniform ones, copiers, fixed rankings."""

from __future__ import annotations

import hashlib
from collections import Counter
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jnlp.encoder.load import load_tokenizer
from jnlp.models.resolve import BUILTIN
from jnlp.training.retrieval import ndcg_at
from jnlp.types import Overflow
from jnlp_evaluate.direct import dense_ranks
from jnlp_evaluate.masked import cloze
from jnlp_evaluate.masked.needle import needle
from jnlp_evaluate.masked.passages import cut
from jnlp_evaluate.masked.scores import masked_scores
from jnlp_family.masked_lm import guesses
from jnlp_family.search.jaquad import Retrieval
from jnlp_family.search.measure import choose_weight, fused_ranks, lexical_ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jnlp.types import FloatArray, IntArray, Tokenizer

TEXTS = ["吾輩は猫である。名前はまだ無い。", "どこで生れたかとんと見当がつかぬ。"]


class Known:
    """A masked LM whose logits at a position are a function of the sequence."""

    max_length = 512
    overflow = Overflow.WINDOW

    def __init__(self, tokenizer: Tokenizer, logits: Callable[[IntArray, int], FloatArray]) -> None:
        self.tokenizer, self.logits = tokenizer, logits

    def count(self, windows: int, cut: int, /) -> None:
        """Nothing is counted."""

    def at_masks(self, ids: Sequence[IntArray], positions: Sequence[IntArray], /) -> FloatArray:
        """Return the function's logits, once all asked for is a mask."""
        assert all((row[at] == self.tokenizer.mask_id).all() for row, at in zip(ids, positions, strict=True))
        return np.stack([self.logits(row, int(p)) for row, at in zip(ids, positions, strict=True) for p in at])


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(BUILTIN / "tiny")


@pytest.mark.parametrize("every", [1, 3, 7, 1000])
def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary(tokenizer: Tokenizer, every: int) -> None:
    uniform = Known(tokenizer, lambda _row, _at: np.zeros(tokenizer.vocabulary, np.float32))
    found = masked_scores(uniform, TEXTS, every=every)
    tokens = sum(len(tokenizer.pieces(text)) for text in TEXTS)
    assert (found.tokens, found.characters) == (tokens, sum(map(len, TEXTS)))
    assert (found.accuracy, found.top5) == (0, 0)  # ties count against it
    assert found.perplexity == pytest.approx(tokenizer.vocabulary ** (tokens / found.characters))


def test_a_model_that_knows_the_text_is_right_each_time(tokenizer: Tokenizer) -> None:
    (encoded,) = tokenizer.encode(TEXTS[:1])

    def knows(_row: IntArray, at: int) -> FloatArray:
        return np.log(np.where(np.arange(tokenizer.vocabulary) == encoded.ids[at], 0.5, 1e-9)).astype(np.float32)

    found = masked_scores(Known(tokenizer, knows), TEXTS[:1], every=4)
    assert (found.accuracy, found.top5) == (1, 1)
    share = 0.5 / (0.5 + 1e-9 * (tokenizer.vocabulary - 1))
    assert found.perplexity == pytest.approx(share ** (-found.tokens / found.characters))


def test_the_cloze_set_is_the_one_that_was_fixed() -> None:
    items = cloze.read_items()
    assert Counter(item.kind for item in items) == dict.fromkeys(("fact", "particle", "daily", "technical", "verb"), 12)
    assert sum(item.content for item in items) >= 30
    assert all(item.text.count("<mask>") == 1 and item.answers for item in items)
    data = (resources.files("jnlp_evaluate.masked") / "cloze.jsonl").read_bytes()
    assert hashlib.sha256(data).hexdigest() == "1cd6f75d9ab96e638a0c23a7fca666a3db91e32279210f7ef6e492e1ec3d8d49"


@pytest.mark.parametrize(("place", "top1", "top5"), [(1, 1.0, 1.0), (3, 0.0, 1.0), (5, 0.0, 1.0), (6, 0.0, 0.0)])
def test_cloze_counts_the_place_of_the_right_word(tokenizer: Tokenizer, place: int, top1: float, top5: float) -> None:
    words = cloze.pieces(tokenizer)
    items = [item for item in cloze.read_items() if set(item.answers) & set(words)][:6]
    at = {item.text: words.index(next(a for a in item.answers if a in words)) for item in items}
    number = iter(items)

    def ranked(_row: IntArray, _at: int) -> FloatArray:
        item = next(number)
        right = {words.index(answer) for answer in item.answers if answer in words}
        logits = np.zeros(tokenizer.vocabulary, np.float32)
        wrong = [n for n in range(1000, 1100) if n not in right][: place - 1]
        logits[wrong], logits[at[item.text]] = 2, 1
        return logits

    found = cloze.table(cloze.by_model(Known(tokenizer, ranked), items))["all"]
    assert found == {"items": 6, "top1": top1, "top5": top5}


def test_frequency_guesses_the_commonest_of_the_script(tokenizer: Tokenizer) -> None:
    words = cloze.pieces(tokenizer)
    counts = np.zeros(tokenizer.vocabulary, np.int64)
    counts[words.index("は")], counts[words.index("雨")] = 9, 5
    items = [cloze.Item("daily", True, "今日は<mask>です。", ("雨",))]
    plain, scripted = (guesses.by_frequency(counts, tokenizer, items, scripts=s)[0] for s in (False, True))
    assert (plain.rank, plain.five[0]) == (2, "は")
    assert (scripted.rank, scripted.five[0]) == (1, "雨")


def test_a_copier_finds_the_needle_and_only_where_it_was_said(tokenizer: Tokenizer) -> None:
    (opening,) = tokenizer.pieces("「")

    def copies(row: IntArray, at: int) -> FloatArray:
        logits = np.zeros(tokenizer.vocabulary, np.float32)
        logits[row[np.flatnonzero(row[:at] == opening) + 1]] += 1
        logits[tokenizer.mask_id] = -1
        return logits

    found = needle(Known(tokenizer, copies), ["吾輩は猫である。名前はまだ無い。" * 80], trials=7)
    assert list(found) == ["128", "512"]  # 2,048 is beyond what it reads
    for row in found.values():
        assert (row["top1"], row["top5"], row["unsaid_top1"], row["unsaid_top5"]) == (1, 1, 0, 0)


@given(st.lists(st.text("あいう。\n", min_size=1, max_size=90), max_size=12).map("".join), st.integers(60, 200))
def test_passages_are_parts_in_order_and_no_longer_than_asked(text: str, longest: int) -> None:
    start = 0
    for passage in cut(text, longest):
        assert 50 <= len(passage) <= longest
        start = text.index(passage, start) + len(passage)


def test_fusion_ranks_by_both_legs_and_the_weight_is_the_best_of_them() -> None:
    task = Retrieval(tuple(f"p{n}" for n in range(4)), ("q1", "q2"), (0, 3))
    lexical = [{0: 2.0, 1: 4.0}, {3: 5.0, 2: 1.0}]  # the second question is the words' own
    cosines = np.array([[0.9, 0.1, 0.0, 0.2], [0.9, 0.2, 0.1, 0.8]], np.float32)
    assert lexical_ranks(lexical, task).tolist() == [2, 1]
    assert dense_ranks(cosines, task.relevant).tolist() == [1, 2]
    assert fused_ranks(lexical, cosines, task, 0.0).tolist() == [2, 1]
    assert fused_ranks(lexical, cosines, task, 1.0).tolist() == [1, 2]
    weights = choose_weight(lexical, cosines, task)
    best = next(iter(weights))
    assert fused_ranks(lexical, cosines, task, best).tolist() == [1, 1]
    assert weights[best] == 1.0
    assert weights[0.0] == pytest.approx(float(ndcg_at(np.array([2, 1]), 10).mean()))
