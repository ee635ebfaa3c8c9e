from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jnlp.errors import JnlpError
from jnlp.training.splits import components, duplicate_key, split
from jnlp.types import Example

texts = st.text(alphabet="あいう ＡA１1", min_size=1, max_size=3)
examples = st.lists(
    st.builds(
        Example,
        texts,
        st.sampled_from(["良い", "悪い"]),
        st.one_of(st.none(), st.sampled_from([str(i) for i in range(40)])),
    ),
    min_size=60,
    max_size=120,
)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("ＡＢＣ　株式会社", "abc株式会社", True),
        ("ｶﾞｿﾘﾝ", "ガソリン", True),
        ("今日は\n晴れ", "今日は晴れ", True),
        ("がそりん", "ガソリン", False),
        (("猫", "犬"), ("猫", " 犬"), True),
        (("猫", "犬"), ("犬", "猫"), False),
        (("猫犬", ""), ("猫", "犬"), False),
    ],
)
def test_key_of_equal_texts(a, b, same):
    assert (duplicate_key(a) == duplicate_key(b)) is same


def test_components_link_texts_and_groups_transitively():
    rows = [
        Example("晴れ", "x", "1"),
        Example("雨", "x", "2"),
        Example("晴 れ", "y", "2"),
        Example("雪", "y"),
        Example("曇り", "y", "3"),
    ]
    assert components(rows) == [[0, 1, 2], [3], [4]]


@settings(max_examples=40, deadline=None)
@given(examples, st.integers(0, 5))
def test_nothing_straddles_and_nothing_is_lost(rows, seed):
    try:
        parts = split(rows, valid=0.2, test=0.2, seed=seed)
    except JnlpError:
        assert len(components(rows)) < 20  # too few separate texts to fill three sets
        return
    sets = {"train": parts.train, "valid": parts.valid, "test": parts.test}
    assert sorted(i for part in sets.values() for i in part) == list(range(len(rows)))
    for by in (lambda row: duplicate_key(row.text), lambda row: row.group):
        homes: dict[object, set[str]] = {}
        for name, part in sets.items():
            for i in part:
                if by(rows[i]) is not None:
                    homes.setdefault(by(rows[i]), set()).add(name)
        assert all(len(found) == 1 for found in homes.values())


def test_labels_keep_their_shares():
    rows = [Example(f"文{i}", "稀" if i % 10 == 0 else "普通") for i in range(1000)]
    parts = split(rows, valid=0.1, test=0.1, seed=3)
    for part, size in ((parts.train, 800), (parts.valid, 100), (parts.test, 100)):
        counts = Counter(rows[i].target for i in part)
        assert len(part) == pytest.approx(size, abs=2)
        assert counts["稀"] == pytest.approx(size / 10, abs=1)


def test_every_label_is_trained_on_even_the_only_one_of_its_kind():
    rows = [Example(f"文{i}", "a" if i % 2 else "b") for i in range(40)] + [Example("唯一の文", "c")]
    for seed in range(10):
        assert 40 in split(rows, seed=seed).train


def test_numbers_are_stratified():
    rows = [Example(f"文{i}", float(i)) for i in range(500)]
    part = split(rows, valid=0.2, test=0.0, seed=1)
    assert part.test == ()
    mean = sum(float(rows[i].target) for i in part.valid) / len(part.valid)  # type: ignore[arg-type]
    assert mean == pytest.approx(249.5, abs=15)


def test_the_seed_decides():
    rows = [Example(f"文{i}", "a" if i % 2 else "b") for i in range(100)]
    assert split(rows, seed=1) == split(rows, seed=1)
    assert split(rows, seed=1) != split(rows, seed=2)


def test_too_few_examples_are_an_error_with_the_number():
    with pytest.raises(JnlpError, match="3 examples are too few"):
        split([Example("あ", "a"), Example("い", "b"), Example("う", "b")])
    with pytest.raises(JnlpError, match="nothing to train on"):
        split([Example("あ", "a")], valid=0.6, test=0.5)
