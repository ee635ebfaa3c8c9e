"""`python -m jnlp_family.classification` and the sentiment model: rows, table, and a trial run."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from jnlp.models.folder import read_folder
from jnlp_family.classification import __main__ as command
from jnlp_family.classification import sentiment
from jnlp_family.classification.products import PRODUCTS
from jnlp_family.classification.sets import SETS, Set, draw
from jnlp_family.classification.table import markdown

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not there")


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(lzma.compress(text.encode()) if path.suffix == ".xz" else text.encode())


@pytest.fixture
def data(tmp_path):
    good, bad = ("楽しい旅でした", "また来たい"), ("道が悪い", "もう来ない")
    rows = [{"text": f"{(bad, good)[n % 2][n % 4 // 2]}。{n}番", "label": n % 2} for n in range(80)]
    for name, part in (("train", rows), ("test", rows[:20])):
        write(tmp_path / f"tasks/small/{name}.jsonl", part)
    return tmp_path


def test_rows_are_drawn_by_the_seed_and_the_test_rows_stay(data):
    each = Set("small", "train.jsonl", "test.jsonl", "text", each=5)
    train, test = draw(data, each, 0)
    assert sorted(str(row.target) for row in train) == ["0"] * 5 + ["1"] * 5
    other, same = draw(data, each, 1)
    assert {row.text for row in other} != {row.text for row in train}
    assert same == test
    assert len(draw(data, Set("small", "train.jsonl", "test.jsonl", "text", rows=30), 0)[0]) == 30


def test_the_command_measures_what_is_lacking_and_the_table_has_it(data, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.setitem(SETS, "small", Set("small", "train.jsonl", "test.jsonl", "text", rows=60))
    out = data / "quality.json"
    arguments = [str(data), "--out", str(out), "--sets", "small", "--seeds", "2"]
    assert command._run([*arguments, "--methods", "TF-IDF", "linear"]) == 0
    assert command._run([*arguments, "--methods", "TF-IDF", "linear"]) == 0
    assert capsys.readouterr().err.count("small, seed") == 2
    known = json.loads(out.read_text("utf-8"))
    assert {name for runs in known["small"].values() for name in runs} == {"TF-IDF", "linear"}
    for runs in known["small"].values():
        runs["auto"] = runs["linear"] | {"kept": "linear"}
    out.write_text(json.dumps(known), encoding="utf-8")
    shown = markdown(out)
    assert "| small | accuracy |" in shown
    assert "Kept by `auto`: small: linear 2." in shown
    assert command._run([str(data / "none"), "--out", str(data / "x.json"), "--sets", "small"]) == 1


def test_a_table_without_runs_of_auto_says_nothing_of_them(tmp_path):
    one = {"TF-IDF": {"accuracy": 0.5, "macro_f1": 0.4}, "linear": {"accuracy": 0.6, "macro_f1": 0.3}}
    quality = tmp_path / "quality.json"
    quality.write_text(json.dumps({"jcola, 600": {"0": one, "1": one}}), encoding="utf-8")
    shown = markdown(quality)
    assert "| jcola, 600 | accuracy | 0.500 ± 0.000 (2 seeds) | **0.600** ± 0.000 (2 seeds) |" in shown
    assert "Kept by" not in shown


def test_equal_texts_of_visitors_are_one_row_in_one_part(tmp_path):
    said = [("楽しかった", 5), ("楽しかった ", 4), ("楽しかった", 1), ("半々", 1), ("半々", 5)]
    said += [(f"良い所{n}", n % 5 + 1) for n in range(200)]
    write(tmp_path / "tasks/satisfaction/train.jsonl.xz", [{"text": text, "label": label} for text, label in said])
    parts = sentiment.rows(tmp_path)
    texts = [row.text for part in parts.values() for row in part]
    assert len(texts) == len(set(texts)) == 201
    assert "半々" not in texts
    assert {row.target for part in parts.values() for row in part if row.text == "楽しかった"} == {"満足"}
    assert 5 < len(parts["test"]) < 40
    assert 5 < len(parts["valid"]) < 40


@needs_data
@pytest.mark.slow
def test_a_trial_makes_a_small_model_that_names_its_embedder(tmp_path):
    assert sentiment._run([str(SHARED), "--rows", "150", "--out", str(tmp_path / "tiny-sentiment")]) == 0
    model = read_folder(tmp_path / "tiny-sentiment")
    assert model.spec.labels == sentiment.LABELS
    assert not (model.folder / "embedder").exists()
    found = json.loads((model.folder / "scores.json").read_text("utf-8"))
    assert found["products"]["rows"] == len(PRODUCTS) == 30
    assert found["test"]["tiny-sentiment"]["metrics"]["macro_f1"] > 0.2


def test_what_ships_is_small_and_right_about_plain_sentences():
    folder = sentiment.BUILTIN / "tiny-sentiment"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 2_000_000
    import jnlp

    said = ["景色がきれいで最高でした。また来たいです。", "店員の態度が悪く、二度と行きません。"]
    found = jnlp.load().run("classify", said, model="tiny-sentiment")
    assert [one.label for one in found] == ["満足", "不満"]
