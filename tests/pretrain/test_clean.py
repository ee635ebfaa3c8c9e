"""What is left out of a corpus, and why: real lines, and copies that differ a little."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jnlp.training.clean import Clean, Cleaner, Seen, bands, repetition, shingle_hashes

TEXT = (
    "契約を途中で解約するときは、三十日前までに書面で知らせなければなりません。違約金は残りの月数に応じて決まり、"
    "引っ越しや病気などやむを得ない事情があるときは免除されます。解約の手続きは窓口のほか、郵送でもできます。"
)
RULES = Clean(min_characters=10, min_japanese=0.5, max_symbols=0.2, max_repetition=0.5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("今日はとても天気がいいですね。", None),
        ("PythonでJSONファイルを読み込んで、一覧にして表示します。", None),
        ("「はい、そうです」と、彼女は静かに答えた。", None),
        ("はい。", "short"),
        ("Copyright 2020 All rights reserved, contact us", "foreign"),
        ("1234 5678 9012 3456", "foreign"),
        ("★★★☆☆ とても良い!!! →→→ (^^)/~~~", "symbols"),
        ("いいね" * 20, "repetitive"),
    ],
)
def test_quality(text: str, reason: str | None) -> None:
    assert RULES.flaw(text) == reason


def test_by_default_nothing_is_left_out() -> None:
    cleaner = Cleaner(Clean())
    for text in ("", "!", "いいね" * 20, TEXT, TEXT):
        assert cleaner(text) == text
    assert not cleaner.dropped


def test_reasons_are_counted() -> None:
    cleaner = Cleaner(Clean(min_characters=10, near_duplicates=True))
    assert [cleaner(text) for text in (TEXT, "短い。", TEXT + "以上。")] == [TEXT, None, None]
    assert dict(cleaner.dropped) == {"short": 1, "near-duplicate": 1}


def test_lines_are_judged_for_themselves() -> None:
    cleaner = Cleaner(Clean(unit="line", min_characters=10, near_duplicates=True))
    other = "札幌の冬は雪が深く、朝の気温は氷点下十度を下回る日が続きます。"
    assert cleaner(f"{TEXT}\n目次\n{other}") == f"{TEXT}\n{other}"
    assert cleaner(f"{other}\n戻る") is None
    assert dict(cleaner.dropped) == {"short": 2, "near-duplicate": 1}


@pytest.mark.parametrize(
    "copy",
    [
        TEXT,
        TEXT.replace("三十日", "六十日"),
        f"　{TEXT}　",
        TEXT.replace("、", "，").replace("。", "."),
        TEXT.replace("書面", "ﾒｰﾙ"),
    ],
)
def test_a_copy_that_differs_a_little_is_a_duplicate(copy: str) -> None:
    seen = Seen(1 << 20)
    assert not seen.add(TEXT)
    assert seen.add(copy)


def test_different_text_is_no_duplicate() -> None:
    seen = Seen(1 << 22)
    rng = random.Random(0)
    kana = [chr(c) for c in range(0x3042, 0x3093)]
    assert sum(seen.add("".join(rng.choices(kana, k=80))) for _ in range(2_000)) == 0


def test_short_text_is_never_a_duplicate() -> None:
    seen = Seen(1 << 20)
    assert [seen.add("そうですね。") for _ in range(3)] == [False] * 3


def test_memory_is_bounded_and_forgetting_calls_nothing_a_duplicate() -> None:
    seen = Seen(64)  # eight places
    texts = ["".join(chr(0x4E00 + (7 * i * j) % 5_000) for j in range(1, 60)) for i in range(1, 40)]
    assert sum(seen.add(text) for text in texts) == 0


@given(st.integers(0, 400))
def test_the_share_of_equal_minima_estimates_resemblance(cut: int) -> None:
    one = np.unique(np.random.default_rng(cut).integers(0, 1 << 63, 1_000, dtype=np.uint64))
    assert np.array_equal(bands(one), bands(one))
    assert not np.isin(bands(one), bands(one + np.uint64(1))).any()


def test_shingles_ignore_case_width_digits_and_punctuation() -> None:
    one, two = shingle_hashes("ＡＢＣ通信は2024年、設立。"), shingle_hashes("abc通信は1999年設立")
    assert np.array_equal(one, two)


def test_repetition() -> None:
    assert repetition("あいうえお") == 0
    assert repetition("ああああああ") == pytest.approx(2 / 3)
    assert repetition("短い") == 0
