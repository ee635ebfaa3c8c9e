"""Calls that click refuses: each is told as jnlp's own errors are, in one line with a hint, and ends with status 2."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.cli.wrong_calls import usage_error


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            "search --fromat x my.idx 解約",
            "search: no option is called '--fromat'",
            "did you mean --format or --input-format? jnlp search --help lists all",
        ),
        ("search --猫 my.idx 解約", "search: no option is called '--猫'", "jnlp search --help lists all"),
        (
            "search --legz x my.idx 解約",  # not --legs: it is hidden
            "search: no option is called '--legz'",
            "did you mean --merge? jnlp search --help lists all",
        ),
        (
            "search --format tabel my.idx 解約",
            "search: --format cannot be 'tabel'",
            "did you mean table? it is one of table, jsonl, csv, tsv, parquet",
        ),
        (
            "embed 猫 --dtype fp23",
            "embed: --dtype cannot be 'fp23'",
            "did you mean fp32? it is one of auto, fp32, bf16, int8",
        ),
        ("search my.idx 解約 --top many", "search: --top cannot be 'many'", "it is a whole number ≥ 1 and ≤ 10000"),
        ("search my.idx 解約 --top", "search: --top needs a value", "--top N"),
        ("embed 猫 --quiet=3", "embed: --quiet takes no value", "jnlp embed --help"),
        (
            "index watch a --index my.idx --debounce x",
            "index watch: --debounce cannot be 'x'",
            "jnlp index watch --help",
        ),
        (
            "index watch a --index my.idx --debounce 0",
            "index watch: --debounce: 0.0 is not in the range 0.05<=x<=3600",
            "jnlp index watch --help",
        ),
        ("index verify", "index verify: DIR is missing", "jnlp index verify [OPTIONS] DIR"),
        (
            "index verify a b",
            "index verify: got unexpected extra argument (b)",
            "jnlp index verify [OPTIONS] DIR",
        ),
        ("index a", "index: --index is missing", "jnlp index [OPTIONS] [PATH…] --index DIR"),
        (
            "classify a.csv --text 本文 --text 題",
            "classify: --text: one column is wanted, not 2: 本文, 題",
            "jnlp classify --help",
        ),
        ("embd 猫", "no command is called 'embd'", "did you mean embed? jnlp --help lists all"),
        ("猫", "no command is called '猫'", "jnlp --help lists all"),
        (
            "train classifer a.csv",
            "no command is called 'train classifer'",
            "did you mean classifier? jnlp train --help lists all",
        ),
        (
            "index verfy my.idx",
            "no command is called 'index verfy'",
            "did you mean verify? jnlp index --help lists all",
        ),
        ("models shw", "no command is called 'models shw'", "did you mean show? jnlp models --help lists all"),
        (
            "config sett",
            "no command is called 'config sett'",
            "did you mean set or unset? jnlp config --help lists all",
        ),
        ("plugins nwe", "no command is called 'plugins nwe'", "did you mean new? jnlp plugins --help lists all"),
        ("--versoin", "no option is called '--versoin'", "did you mean --version? jnlp --help lists all"),
    ],
)
def test_a_call_that_click_refuses_is_told_as_any_other(words: str, message: str, hint: str) -> None:
    result = CliRunner().invoke(build_cli(), words.split(), prog_name="jnlp")
    assert result.stderr.splitlines() == [f"jnlp: error: {message}", f"      hint: {hint}"]
    assert (result.stdout, result.exit_code) == ("", 2)


@pytest.mark.parametrize("words", [[], ["train"]])
def test_a_group_without_a_command_still_prints_its_help(words: list[str]) -> None:
    assert "Usage: jnlp" in CliRunner().invoke(build_cli(), words, prog_name="jnlp").output


def test_an_error_of_no_command_is_told_too() -> None:
    told = usage_error(click.UsageError("Something is wrong."))
    assert (told.message, told.hint) == ("something is wrong", "jnlp --help")
