"""Streams of any length in bounded memory, and one very long line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jnlp.testing import make_model

HELLO = Path(__file__).resolve().parents[2] / "docs" / "examples" / "jnlp-hello"

CHILD = """
import os, sys
import jnlp
from jnlp.engine import Engine
from jnlp.plugins import import_candidate, load_plugins

task, count, model = sys.argv[1], int(sys.argv[2]), sys.argv[3]
page = os.sysconf("SC_PAGE_SIZE")
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * page / 1e6
engine = Engine(load_plugins([import_candidate("hello", "jnlp_hello")])).with_settings({"model": model or None})
texts = ("%d行目の文です。長さは%sいろいろです。" % (n, "とても" * (n % 7)) for n in range(count))
early, peak = None, 0.0
for number, _ in enumerate(engine.stream(task, texts), 1):
    if number == max(count // 100, 1500):
        early = resident()
    if number % (count // 50) == 0:
        peak = max(peak, resident())
print(number, peak - early)
"""


def growth(task: str, count: int, model: Path | str = "") -> float:
    """Return by how many MB a run over `count` lines grows after its first hundredth."""
    command = [sys.executable, "-c", CHILD, task, str(count), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(HELLO), "PATH": ""})
    assert done.returncode == 0, done.stderr
    number, grown = done.stdout.split()
    assert int(number) == count
    return float(grown)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("memory"), layers=2, hidden=32)


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system has no /proc")


@needs_proc
def test_200_000_lines_through_a_model_free_task() -> None:
    assert growth("hello", 200_000) < 30


@needs_proc
def test_5_000_lines_through_the_encoder(model: Path) -> None:
    assert growth("embed", 5_000, model) < 60


UNEVEN = """
import os, sys
import jnlp

page = os.sysconf("SC_PAGE_SIZE")
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * page / 1e6
nlp = jnlp.load(sys.argv[1])
pairs = int(sys.argv[2])
texts = (text for n in range(pairs) for text in ("猫", "長い一行の中の、ひとつの文です。" * 2_000 + str(n)))
early, peak = None, 0.0
for number, embedding in enumerate(nlp.stream("embed", texts), 1):
    assert len(embedding.vector) == 32
    if number == pairs // 2:
        early = resident()
    peak = max(peak, resident())
print(number, nlp.usage.tokens, peak - early)
"""


@needs_proc
@pytest.mark.slow
def test_lengths_that_go_from_one_character_to_all_the_model_takes_and_back(tmp_path: Path) -> None:
    pairs = 24
    model = make_model(tmp_path / "long", layers=2, hidden=32, positions=8192)
    command = [sys.executable, "-c", UNEVEN, str(model), str(pairs)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": ""})
    assert done.returncode == 0, done.stderr
    number, tokens, grown = done.stdout.split()
    assert int(number) == 2 * pairs
    assert int(tokens) > pairs * 8_192
    assert float(grown) < 60


@needs_proc
@pytest.mark.slow
def test_two_million_lines_through_a_model_free_task() -> None:
    assert growth("hello", 2_000_000) < 100


@needs_proc
@pytest.mark.slow
def test_100_000_lines_through_the_encoder(model: Path) -> None:
    assert growth("embed", 100_000, model) < 100


def test_one_line_of_50_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jnlp.batch import WriteOptions, run_batch
    from jnlp.engine import Engine
    from jnlp.plugins import import_candidate, load_plugins

    monkeypatch.syspath_prepend(HELLO)
    source, out = tmp_path / "long.txt", tmp_path / "out.jsonl"
    source.write_text("短い行。\n" + "長い一行の中の文。" * 1_850_000 + "\n最後の行。\n", encoding="utf-8")
    assert source.stat().st_size > 49_900_000
    engine = Engine(load_plugins([import_candidate("hello", "jnlp_hello")]))
    summary = run_batch(engine, "hello", [source], writing=WriteOptions(out=out))
    assert (summary.done, summary.failed) == (3, 0)
    with out.open(encoding="utf-8") as file:
        assert [json.loads(line)["sentences"] for line in file] == [1, 1_850_000, 1]


@pytest.mark.parametrize("megabytes", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_one_very_long_line_through_the_encoder(megabytes: int, tmp_path: Path, model: Path) -> None:
    import jnlp
    from jnlp.batch import WriteOptions, run_batch

    sentence = "長い一行の中の、ひとつの文です。"
    line = sentence * (megabytes * 1_000_000 // len(sentence.encode()))
    source, out = tmp_path / "long.txt", tmp_path / "out.npy"
    source.write_text(f"短い行。\n{line}\n最後の行。\n", encoding="utf-8")
    nlp = jnlp.load(str(model))
    summary = run_batch(nlp, "embed", [source], writing=WriteOptions(out=out))
    assert (summary.done, summary.failed) == (3, 0)
    assert nlp.usage.windowed == 1
    assert nlp.usage.cut == 0
    import numpy as np

    vectors = np.load(out)
    assert vectors.shape[0] == 3
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)
