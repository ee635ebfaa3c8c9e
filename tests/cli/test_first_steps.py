"""What newcomers type first: the message says what to give, and nothing half-made is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jnlp.cli import build_cli
from jnlp.testing import make_model


@pytest.fixture
def jnlp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Call the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    cli = build_cli()

    def call(*arguments: str, **others: object) -> Result:
        return CliRunner().invoke(cli, arguments, prog_name="jnlp", catch_exceptions=False, **others)

    return call


@pytest.mark.parametrize(
    ("arguments", "hints"),
    [
        (["classify", "良い"], ["--labels", "--model", "jnlp train classifier"]),
        (["rerank", "良い"], ["--model", "jnlp train reranker", "--text-pair"]),
    ],
)
def test_without_a_model_with_the_head_the_hint_says_what_to_give(arguments: list[str], hints: list[str], jnlp) -> None:
    done = jnlp(*arguments)
    assert done.exit_code == 1
    error, hint = done.stderr.splitlines()
    assert "the built-in model tiny" in error
    assert "/builtin/" not in error
    assert [word for word in hints if word not in hint] == []


def test_a_folder_without_the_head_is_called_as_the_user_called_it(jnlp) -> None:
    make_model(Path("m"), layers=1, hidden=16)
    done = jnlp("classify", "良い", "--model", "./m")
    assert done.exit_code == 1
    assert "./m has no classifier" in done.stderr


@pytest.mark.parametrize("labels", [",", "、", " ", ",,"])
def test_labels_that_are_separators_are_a_wrong_call(labels: str, jnlp) -> None:
    done = jnlp("classify", "良い", "--labels", labels)
    assert done.exit_code == (1 if not labels.strip() else 2)
    assert "--labels" in done.stderr


def test_one_label_is_remarked_on(jnlp) -> None:
    done = jnlp("classify", "良い", "--labels", "経済")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["label"] == "経済"
    assert "one label" in done.stderr
    assert "one label" not in jnlp("classify", "良い", "--labels", "経済", "--quiet").stderr
    assert "one label" not in jnlp("classify", "良い", "--labels", "経済,芸能").stderr


@pytest.mark.parametrize("name", ["y.npy", "y.jsonl", "y.csv", "y.parquet"])
def test_a_run_whose_records_all_fail_leaves_no_output(name: str, jnlp) -> None:
    Path("a.csv").write_text("id,text\n1,\n2,\n", encoding="utf-8")
    done = jnlp("embed", "a.csv", "-o", name, "--rejects", "rejects.jsonl")
    assert done.exit_code == 1
    assert "2 failed" in done.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["a.csv", "rejects.jsonl"]
    assert len(Path("rejects.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    Path(name).write_bytes(b"earlier")
    assert jnlp("embed", "a.csv", "-o", name).exit_code == 1
    assert Path(name).read_bytes() == b"earlier"


def test_records_that_are_all_left_out_make_an_empty_file(jnlp) -> None:
    done = jnlp("toxicity", "消えろ、クズ。", "--rules-only", "--drop", "-o", "clean.jsonl")
    assert done.exit_code == 0
    assert Path("clean.jsonl").read_bytes() == b""


def test_empty_standard_input_says_how_to_give_texts(jnlp) -> None:
    done = jnlp("toxicity", "--rules-only", input="")
    assert done.exit_code == 1
    assert "standard input" in done.stderr
    assert "hint: jnlp toxicity TEXT" in done.stderr
    Path("empty.txt").touch()
    assert "hint" not in jnlp("toxicity", "--rules-only", "empty.txt").stderr


def test_a_pull_that_finds_no_network_says_when_to_try_again(jnlp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pulled = jnlp("models", "pull", "130m")
    assert pulled.exit_code == 1
    assert "130m" in pulled.stderr
    assert "again with a network connection" in pulled.stderr
    assert "copy its folder here and give --model FOLDER" in pulled.stderr
    asked = jnlp("embed", "良い", "--model", "130m").stderr
    assert "`jnlp models pull 130m` with a network connection" in asked


def test_a_message_and_its_hint_are_not_two_pairs_of_brackets(jnlp) -> None:
    Path("a.zip").write_bytes(b"PK\3\4" + bytes(40))
    done = jnlp("toxicity", "--rules-only", "a.zip")
    assert done.exit_code == 1
    assert "a.zip" in done.stderr
    assert ") (" not in done.stderr
