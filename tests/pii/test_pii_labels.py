"""Labels for personal data, their map, and the exact way back."""

from __future__ import annotations

import csv
import json
import os
import stat
from contextlib import suppress

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import jnlp
from jnlp.cli.app import build_cli
from jnlp.errors import JnlpError
from jnlp.plugins import load_plugins
from jnlp_pii.detector import Detector
from jnlp_pii.labels import Labels, keeping, read_map, restore
from jnlp_pii.restoring import restore_file
from jnlp_pii.spec import PiiOptions, Style

ALL = Detector(PiiOptions())
PARTS = st.sampled_from(
    [
        "山田さん",
        "山田太郎様",
        "０９０－１２３４－５６７８",
        "090-1234-5678",
        "a.b@gmail.com",
        "［氏名1］",
        "［氏名",
        "1］",
        "<NAME_1>",
        "<NAME_",
        "［文字列1］",
        "[",
        "＜",
        "。",
        "\n",
        "\r\n",
        ",",
        '"',
        "東京都港区芝1-2-3",
        "［電話番号1-2］",
        "-2］",
    ]
)
TEXTS = st.lists(PARTS | st.text(max_size=4), max_size=12).map("".join)


def call(*arguments, ok=0, **kwargs):
    done = CliRunner().invoke(build_cli(), ["pii", *map(str, arguments)], **kwargs)
    assert done.exit_code == ok, (done.stderr, done.exception)
    return done


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(TEXTS, max_size=4), style=st.sampled_from(Style))
def test_every_text_is_restored_exactly(texts, style):
    labels = Labels(style)
    hidden = [labels.rewrite(text, ALL.spans(text))[0] for text in texts]
    assert [restore(text, labels.texts) for text in hidden] == texts
    again = Labels(style, labels.texts)
    assert [again.rewrite(text, ALL.spans(text))[0] for text in texts] == hidden


def test_the_same_value_has_the_same_label():
    labels = Labels()
    texts = ["山田さん、090-1234-5678", "０９０－１２３４－５６７８の山田さん", "佐藤さん", "［氏名1］とは？"]
    assert [labels.rewrite(text, ALL.spans(text))[0] for text in texts] == [
        "［氏名1］さん、［電話番号1］",
        "［電話番号1-2］の［氏名1］さん",
        "［氏名2］さん",
        "［文字列1］とは？",
    ]
    token = Labels(Style.TOKEN)
    assert token.rewrite("山田さん", ALL.spans("山田さん"))[0] == "<NAME_1>さん"


def test_a_run_with_a_map_and_the_way_back(tmp_path):
    source, out, keys = tmp_path / "顧客.csv", tmp_path / "out.csv", tmp_path / "map.json"
    rows = [
        ["氏名", "電話", "本文", "点"],
        ["山田太郎", "0312345678", '山田さんから電話、"至急"。', "3"],
        ["佐藤花子", "090-1111-2222", "佐藤さん\n０３－１２３４－５６７８", "4"],
    ]
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    done = call(source, "--text", "本文", "--pseudonymise", "--map", keys, "-o", out)
    assert "2 of 2 texts have personal data" in done.stderr
    hidden = out.read_text("utf-8")
    assert not any(value in hidden for row in rows[1:] for value in row[:2])
    assert "［氏名1］さんから電話" in hidden
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600 or os.name == "nt"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.json", "out.csv", "顧客.csv"]
    back = tmp_path / "back.csv"
    call("restore", out, "--map", keys, "-o", back)
    with back.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [[row[name] for name in ("氏名", "電話", "text", "点")] for row in found] == rows[1:]
    assert stat.S_IMODE(back.stat().st_mode) == 0o600 or os.name == "nt"


def test_a_second_run_continues_the_map(tmp_path):
    keys = tmp_path / "map.json"
    flags = ("--pseudonymise", "--map", keys, "--format", "jsonl", "-q")
    first = json.loads(call("山田さん", *flags).stdout)
    second = json.loads(call("佐藤さんと山田さん", *flags).stdout)
    assert (first["text"], second["text"]) == ("［氏名1］さん", "［氏名2］さんと［氏名1］さん")
    assert second["spans"][0] == {"start": 0, "end": 2, "category": "name", "text": "［氏名2］"}
    path = tmp_path / "返事.txt"
    path.write_bytes("［氏名2］様\r\n［氏名9］様".encode())
    done = call("restore", path, "--map", keys)
    assert done.stdout_bytes == "佐藤様\r\n［氏名9］様".encode()
    assert "1 labels are not in" in done.stderr


def test_what_a_killed_run_has_left_is_used(tmp_path):
    keys = tmp_path / "map.json"
    journal = tmp_path / "map.json.journal"
    journal.write_bytes('["［氏名1］", "山田"]\n["［氏名2］", "佐'.encode())
    assert read_map(keys) == {"［氏名1］": "山田"}
    with keeping(keys, Style.LABEL) as labels:
        assert labels.label("name", "鈴木") == "［氏名2］"
        assert "鈴木" in journal.read_text("utf-8", "replace")
        assert stat.S_IMODE(journal.stat().st_mode) == 0o600 or os.name == "nt"
    assert not journal.exists()
    assert read_map(keys) == {"［氏名1］": "山田", "［氏名2］": "鈴木"}


def test_an_error_in_a_run_keeps_its_map(tmp_path):
    keys = tmp_path / "map.json"
    with suppress(KeyError), keeping(keys, Style.LABEL) as labels:
        labels.label("name", "山田")
        raise KeyError
    assert read_map(keys) == {"［氏名1］": "山田"}


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"format": "x", "labels": {}}', b'{"format": "jnlp pii map 1", "labels": {"a": 1}}'],
)
def test_a_file_that_is_no_map_is_refused(tmp_path, content):
    keys = tmp_path / "map.json"
    keys.write_bytes(content)
    with pytest.raises(JnlpError, match="no map"):
        read_map(keys)
    assert "no map" in call("山田さん", "--pseudonymise", "--map", keys, ok=1).stderr
    assert keys.read_bytes() == content


def test_masks():
    text = "山田さん、090-1234-5678"
    flags = ("--format", "jsonl", "-q", "--mask")
    assert json.loads(call(text, *flags).stdout)["text"] == "［氏名］さん、［電話番号］"
    assert json.loads(call(text, *flags, "--mask-with", "＊").stdout)["text"] == "＊＊さん、＊＊＊＊＊＊＊＊＊＊＊＊＊"
    assert json.loads(call(text, *flags, "--mask-with", "[削除]").stdout)["text"] == "[削除]さん、[削除]"


def test_columns_with_lists_are_masked(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "はい", "連絡先": ["a@gmail.com", {"電話": "0312345678"}], "n": 1}\n', "utf-8")
    row = json.loads(call(path, "--mask", "--format", "jsonl", "-q").stdout)
    assert row["連絡先"] == ["［メールアドレス］", {"電話": "［電話番号］"}]
    assert row["n"] == 1


def test_the_table_and_the_library():
    done = call("山田さんです", "--format", "table")
    assert "山田" in done.stdout
    assert "name" in done.stdout
    assert "山田" not in call("山田さんです", "--format", "table", "--mask").stdout
    [result] = jnlp.Engine(load_plugins()).run("pii", ["山田さん"], pseudonymise=True)
    assert (result.text, result.spans[0].text) == ("［氏名1］さん", "［氏名1］")


@pytest.mark.parametrize(
    "flags",
    [
        ("--mask", "--pseudonymise"),
        ("--map", "m.json"),
        ("--mask", "--mask-with", ""),
        ("--categories", "うそ"),
        ("--style", "x"),
        ("--without", "name,x"),
    ],
)
def test_options_that_cannot_be_are_refused(flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call("山田さん", *flags, ok=2)
    assert not list(tmp_path.iterdir())


def test_files_that_cannot_be_restored(tmp_path):
    for ending, content in ((".parquet", b"x"), (".txt", b"\x83\xff"), (".jsonl", b"{")):
        with pytest.raises(JnlpError):
            restore_file(content, ending, {})
    assert (
        restore_file('{"a": ["［氏名1］"]}'.encode(), ".json", {"［氏名1］": '"'})[0] == b'{\n "a": [\n  "\\""\n ]\n}\n'
    )
    call("restore", tmp_path / "ない.txt", "--map", tmp_path / "m.json", ok=1)


def test_the_function_of_a_job_alone_pseudonymises_too():
    nlp = jnlp.Engine(load_plugins())
    (result,) = nlp.prepare(nlp.job("pii", pseudonymise=True))(["山田さん"])
    assert result.text == "［氏名1］さん"
