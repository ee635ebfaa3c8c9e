"""SIGKILL at random moments: `--resume` ends with the file of an undisturbed run, byte for byte."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jnlp.testing import make_model

LINES = 4_000
FORMATS = ("jsonl", "csv", "parquet", "npy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("kills")
    rng = random.Random(0)
    words = ["消えろ", "クズ", "ありがとう", "今日は晴れ", "契約の解約", "馬鹿正直な人", "映画を見た"]
    lines = ["、".join(rng.choices(words, k=rng.randint(1, 6))) + f"{n}。" for n in range(LINES)]
    (made / "in.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    make_model(made / "model", layers=1, hidden=16)
    return made


def command(folder: Path, out: Path) -> list[str]:
    embed = ["embed", "--model", str(folder / "model"), "--dtype", "fp32"]  # bf16 rounds in the third digit
    task = embed if out.suffix == ".npy" else ["toxicity", "--rules-only"]
    return [sys.executable, "-m", "jnlp", *task, str(folder / "in.txt"), "-o", str(out), "-q"]


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, tuple[float, dict[str, bytes]]]:
    """The seconds and the files of a whole run, by format."""
    found = {}
    for form in FORMATS:
        out = folder / "whole" / f"out.{form}"
        out.parent.mkdir(exist_ok=True)
        start = time.monotonic()
        subprocess.run(command(folder, out), check=True)
        found[form] = (time.monotonic() - start, {p.name: p.read_bytes() for p in out.parent.glob("out.*")})
        for path in out.parent.iterdir():
            path.unlink()
    return found


def killed_and_resumed(folder: Path, out: Path, seconds: float, rng: random.Random) -> dict[str, bytes]:
    """Kill a run up to three times, resume it each time, and return its files."""
    for _ in range(rng.randint(1, 3)):
        with subprocess.Popen([*command(folder, out), "--resume"]) as process:
            time.sleep(rng.uniform(0.2, 1.05) * seconds)
            process.kill()
    subprocess.run([*command(folder, out), "--resume"], check=True)
    return {path.name: path.read_bytes() for path in out.parent.iterdir()}


def check(form: str, trials: int, seed: int, folder: Path, whole: tuple[float, dict[str, bytes]], tmp: Path) -> None:
    rng = random.Random(f"{form} {seed}")
    for trial in range(trials):
        place = tmp / str(trial)
        place.mkdir()
        files = killed_and_resumed(folder, place / f"out.{form}", whole[0], rng)
        if form == "parquet":  # parts of other sizes make other row groups
            import pyarrow.parquet as pq

            (place / "whole.parquet").write_bytes(whole[1]["out.parquet"])
            assert list(files) == ["out.parquet"]
            assert pq.read_table(place / "out.parquet").equals(pq.read_table(place / "whole.parquet"))
        elif form == "npy":  # in another batch a vector may differ by rounding
            assert files["out.ids.txt"] == whole[1]["out.ids.txt"]
            ours, theirs = (np.load(io.BytesIO(made["out.npy"])) for made in (files, whole[1]))
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
            assert sorted(files) == sorted(whole[1])
        else:
            assert files == whole[1]


@pytest.mark.parametrize("form", FORMATS)
def test_a_killed_run_ends_as_an_undisturbed_one(form: str, folder: Path, undisturbed, tmp_path: Path) -> None:
    check(form, 1, 0, folder, undisturbed[form], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_many_killed_runs(form: str, folder: Path, undisturbed, tmp_path: Path) -> None:
    check(form, 3, 1, folder, undisturbed[form], tmp_path)
