"""Patterns that are compiled at their first use."""

from __future__ import annotations

import copy
import re

import pytest

from jnlp.patterns import deferred


def test_a_deferred_pattern_answers_as_a_compiled_one() -> None:
    late, now = deferred(r"(\d+)年", re.ASCII), re.compile(r"(\d+)年", re.ASCII)
    assert late.sub("", "2026年5月") == now.sub("", "2026年5月")
    assert (late.pattern, late.flags, late.groups) == (now.pattern, now.flags, now.groups)
    found = late.search("2026年")
    assert found is not None
    assert found[1] == "2026"


def test_it_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    late = deferred("[あ-ん]+")
    calls: list[str] = []
    compiled = re.compile

    def counted(source: str, flags: int = 0) -> re.Pattern[str]:
        calls.append(source)
        return compiled(source, flags)

    monkeypatch.setattr(re, "compile", counted)
    assert calls == []
    assert [late.findall("かな漢字かな") for _ in range(3)] == [["かな", "かな"]] * 3
    assert calls == ["[あ-ん]+"]


def test_bytes_and_copies() -> None:
    late = copy.deepcopy(deferred(rb"\r\n?"))
    assert late.sub(b"\n", b"a\r\nb") == b"a\nb"


def test_a_wrong_pattern_raises_when_it_is_used() -> None:
    wrong = deferred("(")
    with pytest.raises(re.error, match="missing"):
        wrong.search("")
