"""The quick tests of word lists let through every text that a word or a pattern has."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from jnlp_toxicity.lexicon import SHIPPED, Entry, load
from jnlp_toxicity.matcher import find
from jnlp_toxicity.screens import Patterns, Words, needs, pairs

SOURCES = [entry.word for _, entry in load().patterns]


@pytest.mark.parametrize("source", SOURCES)
def test_a_pattern_that_ships_compiles_and_needs_something(source: str) -> None:
    compiled = re.compile(source)
    assert not compiled.match("")
    assert needs(source), f"{SHIPPED}: nothing rules a text out, so that it is tried on every one"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("馬鹿", [["馬鹿"]]),
        ("馬鹿?", [["馬"]]),
        ("馬(?:鹿|車){1,3}", [["馬"], ["車", "鹿"]]),
        ("馬(?:鹿|車){0,3}", [["馬"]]),
        ("馬{,3}鹿{2}", [["鹿"]]),
        ("馬{}", [["{}", "馬{"]]),
        ("馬|鹿|猪肉", [["猪肉", "馬", "鹿"]]),
        ("馬|", []),
        ("(?<!一)馬(?=車)", [["馬"]]),
        ("馬(?!車)鹿$", [["馬鹿"]]),
        (r"馬\.\d", [["馬."]]),
        ("[馬鹿]か[^あ]", [["馬", "鹿"], ["か"]]),
        (r"[あ-う\-\]]", [["-", "]", "あ", "ぃ", "い", "ぅ", "う"]]),
        (r"[]あ]", [["]", "あ"]]),
        (r"[\w]", []),
        ("[一-龥]馬", [["馬"]]),
        ("(馬)+鹿", [["馬"], ["鹿"]]),
        (r"(?P<a>馬)(?P=a)", []),
        ("(?i)wara", []),
        ("(?>馬鹿)", []),
        ("馬.鹿+?車", [["馬"], ["鹿"], ["車"]]),
    ],
)
def test_what_a_pattern_needs(source: str, expected: list[list[str]]) -> None:
    found = [sorted(some) for some in needs(source)]
    if source == "馬{}":  # pairs, when there are some
        assert found == [["馬{"], ["{}"]]
    else:
        assert found == expected


def test_a_text_that_matches_is_let_through() -> None:
    rng = random.Random(5)
    letters = "馬鹿車あいう死ね4タヒ·●かすごみ殺すぞ"
    sources = [
        "馬(?:鹿|車)?あ",
        "死[●·]?ね(?!い)",
        "(?:かす|ごみ)(?:ども|が)?",
        "[あ-う]{2}",
        "(?:4|死)ね|殺す",
        *SOURCES,
    ]
    patterns = Patterns(sources)
    compiled = [re.compile(source) for source in sources]
    for _ in range(2_000):
        text = "".join(rng.choices(letters, k=rng.randint(1, 9)))
        matching = [number for number, pattern in enumerate(compiled) if pattern.search(text)]
        assert set(matching) <= set(patterns.of(text, pairs(text))), text


class _Nothing(Patterns):
    """Rules no pattern out."""

    def of(self, text: str, beside: set[str], /) -> list[int]:
        del text, beside
        return list(range(len(self._wanted)))


def test_a_text_has_the_same_matches_whether_patterns_are_ruled_out_or_tried() -> None:
    rng = random.Random(7)
    lexicon = load()
    every = replace(lexicon, screen=_Nothing([entry.word for _, entry in lexicon.patterns]))
    words = rng.sample(sorted({entry.word for entry in lexicon.words}), 60)
    texts = ["今日は天気がいいですね。", "wwwwそれな", "", "頭がおかしいんじゃないの", "4ね。消えろよ", "二度と来るな"]
    for word in words:
        hidden = "".join(letter + rng.choice(["", "ー", "・", "🙂"]) for letter in word)
        texts += [f"お前は{word}だな", f"この{hidden}野郎め"]
    found = [find(text, lexicon) for text in texts]
    assert found == [find(text, every) for text in texts]
    assert sum(map(bool, found)) > 60


def test_words_are_found_as_a_plain_search_finds_them() -> None:
    rng = random.Random(6)
    listed = sorted({"".join(rng.choices("あいう", k=rng.randint(1, 4))) for _ in range(40)})
    words = Words()
    for word in listed:
        words.add(word, Entry(word, "custom", 0.9))
    for _ in range(500):
        text = "".join(rng.choices("あいうえ", k=rng.randint(0, 12)))
        low = rng.randint(0, 3)
        high = rng.choice([None, rng.randint(low, 12)])
        naive = [
            (start, start + len(word), word)
            for start in range(low, min(len(text), len(text) if high is None else high))
            for word in sorted(listed, key=len)
            if text.startswith(word, start)
        ]
        assert [(start, end, entry.word) for start, end, entry in words.find(text, pairs(text), low, high)] == naive


def test_two_entries_of_one_spelling_are_both_found() -> None:
    words = Words()
    for category in ("insult", "custom", "insult"):
        words.add("ぶた", Entry("ぶた", category, 0.5))
    assert [entry.category for _, _, entry in words.find("ぶた", {"ぶた"})] == ["insult", "custom"]
    assert sorted(entry.category for entry in words) == ["custom", "insult"]
