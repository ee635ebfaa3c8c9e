"""The example of MTEB runs a model of jnlp unchanged on a small local task; skipped where mteb is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from scipy.stats import spearmanr

import jnlp

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "mteb_local.py"


def test_mteb_gives_the_score_of_the_model_s_own_vectors(tmp_path: Path) -> None:
    pytest.importorskip("mteb", reason="pip install mteb")
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "tiny-search"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    name, score = done.stdout.split()
    namespace: dict[str, object] = {"__name__": "example"}
    exec(compile(EXAMPLE.read_text("utf-8"), str(EXAMPLE), "exec", dont_inherit=True), namespace)
    pairs: list[tuple[str, str, float]] = namespace["PAIRS"]  # type: ignore[assignment]
    model = jnlp.sentence_transformer("tiny-search")
    first, second = (model.encode([pair[n] for pair in pairs], normalize_embeddings=True) for n in range(2))
    expected = spearmanr((first * second).sum(axis=1), [pair[2] for pair in pairs]).statistic
    assert name == "LocalPairs"
    assert float(score) == pytest.approx(expected, abs=1e-4)
