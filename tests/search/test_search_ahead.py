"""What an index computes ahead: the order, the errors, and the index that comes of it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import jnlp
from jnlp.testing import make_model
from jnlp_search import builder
from jnlp_search.ahead import Ahead
from jnlp_search.analyse import analyser


def test_two_never_compute_at_once() -> None:
    order: list[str] = []
    gate = threading.Event()

    def first() -> str:
        gate.wait(10)
        order.append("first")
        return "一"

    one = Ahead(first)
    two = Ahead(lambda: order.append("second") or "二", one)
    gate.set()
    assert (two.result(), one.result()) == ("二", "一")
    assert order == ["first", "second"]


def test_an_error_is_raised_for_its_caller_and_ends_what_follows() -> None:
    ran: list[int] = []

    def fails() -> None:
        raise ValueError("壊れた")

    one = Ahead(fails)
    two = Ahead(lambda: ran.append(2), one)
    with pytest.raises(ValueError, match="壊れた"):
        one.result()
    with pytest.raises(RuntimeError, match="before has failed"):
        two.result()
    assert ran == []


def test_what_is_stopped_computes_nothing_more() -> None:
    gate = threading.Event()
    one = Ahead(lambda: gate.wait(10))
    two = Ahead(lambda: 2, one)
    two.stop()
    gate.set()
    two.join()
    with pytest.raises(RuntimeError):
        two.result()


def test_many_small_batches_make_the_same_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = str(make_model(tmp_path / "model", layers=1, hidden=32))
    texts = [f"文書{n}は、{'休暇' if n % 3 else '旅費'}の{n}番目の規程である。" * (1 + n % 4) for n in range(40)]
    found = []
    for name, chunks in (("one", 10_000), ("many", 3)):
        monkeypatch.setattr(builder, "BATCH_CHUNKS", chunks)
        index = jnlp.load(model, device="cpu", dtype="fp32").index(str(tmp_path / name))
        commits: list[int] = []
        report = index.add(
            (jnlp.Record(str(n), text) for n, text in enumerate(texts)),
            progress=lambda seen, commits=commits: commits.append(seen.added),
        )
        assert (report.added, report.chunks) == (40, report.embedded)
        assert (len(commits) > 5) == (chunks == 3)
        assert commits[-1] == 40
        found.append([(hit.document, hit.start, round(hit.score, 5)) for hit in index.search("旅費の規程", top=20)])
        assert index.verify().problems == ()
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["sudachi", "bigram"])
def test_the_forms_are_those_of_the_words(name: str) -> None:
    text = "打合せの日程を、ＣＯＮＴＲＯＬで\n変更しました。C++ とコンピュータ🙂。"
    assert list(analyser(name).forms(text)) == [word.form for word in analyser(name).words(text)]
