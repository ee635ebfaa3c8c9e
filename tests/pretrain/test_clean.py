"""What is left out of a corpus, and why: real lines, and copies that differ a little."""

from __future__ import annotations

import random

import numpy as np
import pytest

from jnlp_pretrain.clean import Clean, Cleaner, Seen, bands, repetition, shingle_hashes

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


@pytest.mark.parametrize(
    ("resemblance", "low", "high"), [(1.0, 1.0, 1.0), (0.9, 0.95, 1.0), (0.8, 0.65, 0.9), (0.5, 0.0, 0.1)]
)
def test_what_resembles_shares_a_band_as_often_as_is_said(resemblance: float, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    shared = round(400 * resemblance)
    found = 0
    for _ in range(200):
        drawn = rng.integers(0, 1 << 63, 400, dtype=np.uint64)
        both, rest = drawn[:shared], drawn[shared:]
        one, two = (np.concatenate((both, part)) for part in np.array_split(rest, 2))  # |one ∩ two| / |one ∪ two|
        found += bool(np.isin(bands(one), bands(two)).any())
    assert low <= found / 200 <= high


def test_shingles_ignore_case_width_digits_and_punctuation() -> None:
    one, two = shingle_hashes("ＡＢＣ通信は2024年、設立。"), shingle_hashes("abc通信は1999年設立")
    assert np.array_equal(one, two)


def test_repetition() -> None:
    assert repetition("あいうえお") == 0
    assert repetition("ああああああ") == pytest.approx(2 / 3)
    assert repetition("短い") == 0
