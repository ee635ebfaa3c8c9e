"""The files of a model folder are read once for one answer."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import jnlp
from jnlp.batch import WriteOptions, run_batch
from jnlp.encoder.load import load_embedder, load_head
from jnlp.encoder.runtime import Runtime
from jnlp.models.folder import ModelFolder, inspect, read_folder
from jnlp.testing import make_model
from jnlp.types import Head

if TYPE_CHECKING:
    from pathlib import Path

COUNT = """
import collections, os, sys
opened = collections.Counter()
def count(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        opened[os.path.relpath(os.fspath(arguments[0]), sys.argv[1])] += 1
sys.addaudithook(count)
import jnlp
nlp = jnlp.load(sys.argv[1], device="cpu")
nlp.run(TASK, [TEXT])
names = [name for name in sorted(opened) if name.endswith(".json") and "/" not in name]
sys.stdout.write(" ".join(f"{name}={opened[name]}" for name in names))
"""


@pytest.mark.parametrize(("task", "text"), [("fill-mask", "日本の首都は<mask>です。"), ("embed", "日本")])
def test_each_json_file_is_opened_once(task: str, text: str, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", layers=1, hidden=16)
    code = COUNT.replace("TASK", repr(task)).replace("TEXT", repr(text))
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    opened = dict(pair.split("=") for pair in done.stdout.split())
    assert opened.items() >= {"config.json": "1", "tokenizer.json": "1", "tokenizer_config.json": "1"}.items()
    assert set(opened.values()) == {"1"}


def test_a_folder_that_was_read_gives_the_same_head(tmp_path: Path) -> None:
    folder, runtime = make_model(tmp_path / "model", layers=1, hidden=16), Runtime(device="cpu", dtype="fp32")
    model = read_folder(folder)
    assert model.spec == inspect(folder)
    assert (model.folder, model.is_modernbert, model.temperature) == (folder, True, 1.0)
    by_path, by_value = (load_embedder(given, runtime=runtime) for given in (folder, model))
    assert by_path.fingerprint == by_value.fingerprint
    assert (by_path.embed(["文"]).vectors == by_value.embed(["文"]).vectors).all()


def test_the_temperature_is_the_head_s(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", layers=1, hidden=16, labels=("清", "毒"))
    model = read_folder(folder)
    halved = ModelFolder(folder, model.spec, {**model.config, "jnlp_temperature": 2.0}, model.special)
    runtime = Runtime(device="cpu", dtype="fp32")
    one, half = (load_head(Head.CLASSIFIER, given, runtime=runtime).logits(["文"]).values for given in (model, halved))
    assert (one / 2 == half).all()


def test_a_table_with_a_column_for_each_label_reads_the_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model(tmp_path / "model", layers=1, hidden=16, labels=("清", "毒"))
    reads = []

    def count(*given: object) -> ModelFolder:
        reads.append(given)
        return read_folder(*given)

    monkeypatch.setattr("jnlp.models.resolve.read_folder", count)
    out = tmp_path / "out.csv"
    run_batch(jnlp.load(), "classify", ["文"], writing=WriteOptions(out=out), model=str(folder))
    assert "scores.清" in out.read_text(encoding="utf-8")
    assert len(reads) == 1
