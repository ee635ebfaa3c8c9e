"""The character n-gram: it is a distribution, and equals a plain Kneser-Ney worked out with dictionaries."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp_family.masked_lm.ngram import ALPHABET, CharacterNGram

CORPUS = [
    "むかしむかし、あるところに、おじいさんとおばあさんが住んでいました。",
    "おじいさんは山へ柴刈りに。",
    "山",
] * 2


def test_the_alphabet_is_the_largest_that_fits() -> None:
    assert ALPHABET**5 < 2**64 <= (ALPHABET + 1) ** 5


@pytest.mark.parametrize("history", ["", "お", "おじい", "おじいさん", "見た事の無", "山へ柴"])
def test_probabilities_sum_to_one(history: str) -> None:
    model = CharacterNGram.train(CORPUS)
    symbols = sorted({*"".join(CORPUS), "\n", "鬱"})  # 鬱 was not seen: it stands for all such
    total = sum(model.probabilities([history + symbol])[0][-1] for symbol in symbols)
    assert total == pytest.approx(1.0, abs=1e-5)
    assert len(symbols) == model.size


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.text("あいう。\n", min_size=3, max_size=30), min_size=1, max_size=8), st.text("あいうえ", max_size=6)
)
def test_it_is_a_distribution_whatever_the_corpus(corpus: list[str], history: str) -> None:
    model = CharacterNGram.train(corpus, order=3)
    symbols = sorted({*"".join(corpus), "\n", "鬱"})
    probable = [model.probabilities([history + symbol])[0][-1] for symbol in symbols]
    assert min(probable) >= 0
    assert sum(probable) == pytest.approx(1.0, abs=1e-5)


def test_it_equals_plain_kneser_ney() -> None:
    corpus = ["ああいあいう", "いあいいう", "うああい"]
    model = CharacterNGram.train(corpus, order=3)
    plain = _Plain(corpus, 3)
    for text in ("あい", "いあう", "うううう", "あいえ", "ああいあい"):
        expected = [plain.probability(("\n" + text)[max(0, i - 1) : i + 1], text[i]) for i in range(len(text))]
        assert model.probabilities([text])[0] == pytest.approx(expected, rel=1e-5)


class _Plain:
    """Modified Kneser-Ney from the formulas, slowly; discounts as the fallback where the counts give none."""

    def __init__(self, corpus: list[str], order: int) -> None:
        stream = "\n" + "\n".join(corpus) + "\n"
        self.order = order
        self.symbols = len(set(stream)) + 1
        self.counts = {order: Counter(stream[i : i + order] for i in range(len(stream) - order + 1))}
        for length in range(order - 1, 0, -1):
            self.counts[length] = Counter(gram[1:] for gram in self.counts[length + 1])
        self.discounts = {length: self._discounts(list(counts.values())) for length, counts in self.counts.items()}
        self.follows: dict[str, dict[str, int]] = defaultdict(dict)
        for counts in self.counts.values():
            for gram, count in counts.items():
                self.follows[gram[:-1] + f"/{len(gram)}"][gram[-1]] = count

    @staticmethod
    def _discounts(counts: list[int]) -> tuple[float, float, float]:
        n1, n2, n3, n4 = (counts.count(times) for times in (1, 2, 3, 4))
        if not (n1 and n2 and n3 and n4):
            return (0.5, 1.0, 1.5)
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return found if all(0 <= value <= times for times, value in enumerate(found, 1)) else (0.5, 1.0, 1.5)

    def probability(self, history: str, symbol: str) -> float:
        history = history[-(self.order - 1) :]
        lower = self.probability(history[1:], symbol) if history else 1 / self.symbols
        follows = self.follows.get(history + f"/{len(history) + 1}", {})
        if not follows:
            return lower
        discounts = self.discounts[len(history) + 1]
        total = sum(follows.values())
        count = follows.get(symbol, 0)
        own = max(count - discounts[min(count, 3) - 1], 0) if count else 0.0
        return own / total + sum(discounts[min(c, 3) - 1] for c in follows.values()) / total * lower


def test_windows_count_from_where_they_are_told() -> None:
    model = CharacterNGram.train(CORPUS)
    whole = np.log(model.probabilities(["おじいさんは山"])[0])
    found = model.log_probability(["おじいさんは山", "んは山"], [5, 2])
    assert found[0] == pytest.approx(whole[5:].sum())
    assert found[1] < 0


def test_rare_characters_share_a_symbol() -> None:
    model = CharacterNGram.train(["ああああいいいううえ"], order=2, alphabet=5)
    assert model.size == 5
    first, second = model.probabilities(["え", "鬱"])
    assert first == second


def test_what_was_seen_is_less_of_a_surprise() -> None:
    model = CharacterNGram.train(CORPUS)
    assert model.perplexity(["おじいさんは山へ"]) < model.perplexity(["山さへんおじいは"]) < 10 * model.size
    assert model.characters == sum(map(len, CORPUS))
    assert not math.isnan(model.perplexity(["鬱鬱鬱"]))
