from __future__ import annotations

import json

import pytest

from jnlp import load
from jnlp.errors import JnlpError, UsageError
from jnlp.examples import read_examples
from jnlp.io.options import ReadOptions
from jnlp.testing import make_model


def written(path):
    rows = [
        {"問い": f"第{n}章は何の話?", "答え": f"第{n}章は{n}月の話です。", "誤り": ["違う話です。", ""], "本": n // 2}
        for n in range(24)
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_pairs_are_read_with_negatives_and_groups(tmp_path):
    path = written(tmp_path / "pairs.jsonl")
    options = ReadOptions(text="問い", text_pair="答え")
    found, failed = read_examples([path], options, pairs=True, negatives="誤り", group="本")
    assert not failed
    assert found[3].text == ("第3章は何の話?", "第3章は3月の話です。")
    assert (found[3].target, found[3].negatives, found[3].group) == ("", ("違う話です。",), "1")
    with pytest.raises(UsageError, match="no column is called '謝り'"):
        read_examples([path], options, pairs=True, negatives="謝り")
    with pytest.raises(UsageError, match="no column of second texts is named"):
        read_examples([path], ReadOptions(text="問い"), pairs=True)


def test_an_empty_file_is_one_clear_line(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"q": "", "d": ""}\n', "utf-8")
    with pytest.raises(JnlpError, match="no pair in"):
        read_examples([path], ReadOptions(text="q", text_pair="d"), pairs=True)


def test_the_engine_trains_an_embedder_from_a_file(tmp_path):
    base = make_model(tmp_path / "base", layers=2, hidden=32, texts=["第1章は何の話?", "違う話です。"])
    report = load(device="cpu").train(
        "embedder",
        [written(tmp_path / "pairs.jsonl")],
        tmp_path / "out",
        model=str(base),
        read={"text": "問い", "text_pair": "答え"},
        negatives="誤り",
        group="本",
        epochs=1,
        batch_size=8,
        max_length=32,
    )
    assert report.rows["valid"] == 2
    assert {"recall@10", "ndcg@10", "mrr@10"} <= report.metrics.keys()
    assert (report.folder / "modules.json").is_file()
