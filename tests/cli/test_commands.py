"""`jnlp models`, `plugins`, `config`, `doctor`, `train`: what is printed, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from jnlp.cli import build_cli
from jnlp.plugins import installed, load_plugins
from jnlp.testing import make_model


def jnlp(*arguments: object) -> Result:
    return CliRunner().invoke(build_cli(), [str(argument) for argument in arguments])


def test_models_lists_every_model_with_its_state() -> None:
    lines = jnlp("models").stdout.splitlines()
    assert lines[0].startswith("* tiny ")
    assert "builtin" in lines[0]
    (line,) = [line for line in lines if line.split()[0] == "130m"]
    assert line.split()[1:5] == ["absent", "528", "MB", "MIT"]
    records = [json.loads(line) for line in jnlp("models", "--json").stdout.splitlines()]
    assert {"tiny", "tiny-toxicity", "30m", "70m", "130m", "310m", "ruri-v3-130m"} <= {r["name"] for r in records}
    tiny = records[0]
    assert tiny["licence"]
    assert tiny["parameters"] > 1_000_000
    assert set(tiny["heads"]) == {"embedding", "masked-lm"}


def test_models_path_show_and_use(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine", layers=2, hidden=32, labels=("良い", "悪い"))
    assert Path(jnlp("models", "path", "tiny").stdout.strip()).joinpath("model.safetensors").is_file()
    shown = jnlp("models", "show", folder).stdout
    assert "labels        良い, 悪い" in shown
    card = jnlp("models", "show", "tiny").stdout
    assert "licence" in card
    assert len(card.splitlines()) > 30
    absent = jnlp("models", "show", "130m").stdout
    assert "not on this machine (jnlp models pull 130m)" in absent
    assert "parameters    about 132,000,000" in absent
    assert "about" not in jnlp("models", "show", folder).stdout.partition("parameters")[2].splitlines()[0]
    assert "problem type  single_label_classification" in shown
    assert jnlp("models", "use", folder).exit_code == 0
    config = jnlp("config").stdout
    assert str(folder) in config
    assert jnlp("config", "unset", "model").stdout.endswith(": model removed\n")
    assert str(folder) not in jnlp("config").stdout
    assert jnlp("config", "unset", "model").stdout.endswith(": model was not set\n")
    assert jnlp("config", "unset", "fill-mask.top").stdout.endswith(": fill-mask.top was not set\n")


def test_a_default_that_is_absent_is_told() -> None:
    absent = jnlp("models", "use", "130m")
    assert absent.exit_code == 0
    assert absent.stderr.startswith("jnlp: 130m ")
    assert absent.stderr.endswith(": jnlp models pull 130m\n")
    assert jnlp("models", "use", "tiny").stderr == ""


@pytest.mark.parametrize("command", ["pull", "path"])
def test_a_model_that_is_absent_offline_is_one_line(command: str) -> None:
    result = jnlp("models", command, "130m")
    assert result.exit_code == 1
    error, hint = result.stderr.splitlines()
    assert error.startswith(
        "jnlp: error: the model 130m (sbintuitions/modernbert-ja-130m, about 528 MB) is not on this"
    )
    assert "jnlp models pull 130m" in hint
    assert "--model FOLDER" in hint


def test_config_shows_where_each_value_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jnlp("config", "set", "fill-mask.top", "7").exit_code == 0
    assert jnlp("config", "set", "threads", "1").exit_code == 0
    monkeypatch.setenv("JNLP_DTYPE", "fp32")
    lines = [line.split() for line in jnlp("config").stdout.splitlines()]
    assert ["threads", "1", "config"] in lines
    assert ["dtype", "fp32", "JNLP_DTYPE"] in lines
    assert ["fill-mask.top", "=", "7", "config"] in lines
    assert json.loads(jnlp("config", "--json").stdout)["tasks"] == {"fill-mask": {"top": 7}}
    keys = {key["key"]: key for key in json.loads(jnlp("config", "--json").stdout)["keys"]}
    found = [(keys[key]["value"], keys[key]["default"], keys[key]["source"]) for key in ("fill-mask.top", "threads")]
    assert found == [(7, 5, "config"), (1, None, "config")]
    assert Path(jnlp("config", "path").stdout.strip()).is_file()
    record = json.loads(jnlp("fill-mask", "日本の首都は<mask>です。", "-q").stdout)
    assert len(record["fills"]) == 7


def test_config_lists_every_key_with_its_default() -> None:
    file = Path(jnlp("config", "path").stdout.strip())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('threads = 2\n[tasks.fill-mask]\ntop = 7\n[tasks.gone]\nx_y = [1, "a"]\n', encoding="utf-8")
    lines = jnlp("config").stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("threads"))
    assert (lines[at].split(), lines[at + 1]) == (["threads", "2", "config"], "  default: auto")
    assert lines[lines.index("fill-mask.top = 7  config") + 1] == "  default: 5"
    assert "gone.x-y = 1,a  config" in lines
    for line in (
        "fill-mask.independent = false  default",
        "classifier.epochs = 10  default",
        "search.top = 10  default",
    ):
        assert line in lines
    assert "index.chunk-tokens" in {line.split(" ")[0] for line in lines}
    assert ["batch-tokens", "auto", "default"] in [line.split() for line in lines]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("config", "set", "modle", "tiny"), ["setting", "'modle'", "model"]),
        (("config", "set", "threads", "0"), ["threads", "'0'", "≥ 1"]),
        (("config", "set", "model", "tniy"), ["model", "'tniy'", "tiny"]),
        (("config", "set", "fill-mask.tpo", "7"), ["fill-mask: ", "'tpo'", "top"]),
        (("config", "set", "fill-mask.top", "0"), ["fill-mask: ", "top", "'0'", "≥ 1"]),
        (("models", "show", "130n"), ["model", "'130n'", "130m"]),
    ],
)
def test_a_wrong_call_is_one_clear_line(arguments: tuple[str, ...], named: list[str]) -> None:
    result = jnlp(*arguments)
    assert result.exit_code == 2
    error, hint = result.stderr.splitlines()
    assert error.startswith("jnlp: error: ")
    assert [word for word in named if word not in error + hint] == []


def test_plugins_lists_what_each_brings() -> None:
    records = {r["name"]: r for r in map(json.loads, jnlp("plugins", "--json").stdout.splitlines())}
    assert "task embed" in records["core"]["brings"]
    assert "task fill-mask" in records["fill-mask"]["brings"]
    assert all(record["reason"] is None for record in records.values())
    assert "  tasks: fill-mask" in jnlp("plugins").stdout


def test_doctor_finds_nothing_to_mend_here() -> None:
    result = jnlp("doctor", "--json")
    assert result.exit_code == 0, result.output
    findings = {f["subject"]: f for f in map(json.loads, result.stdout.splitlines())}
    assert findings["faiss"]["level"] == "ok"
    assert findings["device"]["level"] == "ok"
    assert "tiny" in findings["models"]["text"]
    lines = jnlp("doctor").stdout.splitlines()
    assert any(line.startswith("  torch ") for line in lines)


def test_train_makes_a_model_that_classify_uses(root: Path, tmp_path: Path) -> None:
    base = make_model(tmp_path / "base", layers=2, hidden=32)
    rows = "\n".join(
        f"{'とても良い品です。' if n % 2 else 'すぐに壊れた。'}{n}番,{'良い' if n % 2 else '悪い'}" for n in range(60)
    )
    train = tmp_path / "train.csv"
    train.write_bytes(f"本文,評価\n{rows}\n".encode("cp932"))
    out = tmp_path / "model"
    flags = ["--text", "本文", "--label", "評価", "--epochs", "3", "--seed", "1", "--threads", "1", "--device", "cpu"]
    flags += ["--class-weights", "balanced", "--dropout", "0", "--valid-share", "0.2", "--test-share", "0.2"]
    result = jnlp("train", "classifier", train, "-o", out, "--model", base, *flags)
    assert result.exit_code == 0, result.output
    assert "rows     train 36, valid 12, test 12" in result.stdout
    record = json.loads(jnlp("classify", "とても良い品です。", "--model", out, "-q").stdout)
    assert set(record["scores"]) == {"良い", "悪い"}
    assert record["score"] == pytest.approx(max(record["scores"].values()))


@pytest.mark.parametrize(
    ("flags", "code", "named"),
    [
        ([], 2, "--label"),
        (["--label", "評化"], 2, "'評化'"),
        (["--label", "空"], 1, "train.csv"),
    ],
)
def test_training_rows_without_labels_are_one_line(flags: list[str], code: int, named: str, tmp_path: Path) -> None:
    train = tmp_path / "train.csv"
    train.write_text("本文,評価,空\nあ,良い,\n", encoding="utf-8")
    result = jnlp("train", "classifier", train, "-o", tmp_path / "m", "--text", "本文", *flags)
    assert result.exit_code == code
    assert result.stderr.startswith("jnlp: error: ")
    assert named in result.stderr
    assert not (tmp_path / "m").exists()


def test_people_see_progress_and_a_table_and_pipes_see_neither(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", layers=2, hidden=32)
    source = tmp_path / "in.txt"
    source.write_text("文です。\n" * 3000, encoding="utf-8")
    code = "from jnlp.cli import main; main()"
    command = [sys.executable, "-c", code, "embed", str(source), "-o", str(tmp_path / "o.npy"), "--model", str(model)]
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    child = subprocess.Popen(command, stderr=slave, stdout=slave, stdin=subprocess.DEVNULL, env=environment)
    os.close(slave)
    seen = b""
    while select.select([master], [], [], 60)[0]:
        try:
            block = os.read(master, 65536)
        except OSError:  # the child has closed its end
            break
        if not block:
            break
        seen += block
    assert child.wait(timeout=60) == 0
    os.close(master)
    shown = seen.decode("utf-8", "replace")
    assert "/3000" in shown
    assert "/s" in shown
    assert "o.npy: 3,000 written" in shown
    piped = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "/3000" not in piped.stderr
    assert piped.stdout == ""


def test_every_option_is_tried_by_a_test(root: Path) -> None:
    """A flag that no test names is a flag that may not work."""
    own = [candidate for candidate in installed() if candidate.distribution == "jnlp"]
    cli = build_cli(load_plugins(own))
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (root / "tests").rglob("*.py"))
    context = click.Context(cli, info_name="jnlp", obj=load_plugins(own))
    untried = []

    def visit(command: click.Command, path: str) -> None:
        for param in command.params:
            names = [*param.opts, *param.secondary_opts, param.name or ""]
            if isinstance(param, click.Option) and not any(f'"{n}"' in sources or f"{n}=" in sources for n in names):
                untried.append(f"{path} {param.opts[0]}")
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                visit(found, f"{path} {name}")

    visit(cli, "jnlp")
    assert not untried


def test_version() -> None:
    from jnlp import __version__

    assert jnlp("--version").stdout == f"jnlp, version {__version__}\n"


def test_what_the_built_in_embedder_did_is_said_in_fitting_words(tmp_path: Path) -> None:
    (tmp_path / "猫.txt").write_text("吾輩は猫である。\n", encoding="utf-8")
    index = str(tmp_path / "my.idx")
    for words, did in (
        (("index", str(tmp_path / "猫.txt"), "--index", index), "indexed with"),
        (("search", index, "猫"), "answered by"),
    ):
        (line,) = jnlp(*words).stderr.splitlines()
        assert line.startswith(f"jnlp: {did} ")
        for part in ("tiny-search", "jnlp models pull ruri-v3-130m", "--model ruri-v3-130m --rebuild"):
            assert part in line
    assert jnlp("index", str(tmp_path / "猫.txt"), "--index", index).stderr == ""  # nothing to do
    long = jnlp("index", str(tmp_path / "猫.txt"), "--index", str(tmp_path / "other.idx"), "--chunk-tokens", "5000")
    assert long.exit_code == 2
    for part in ("--chunk-tokens 5,000", "512", "tiny-search"):
        assert part in long.stderr


def test_the_built_in_model_says_that_it_answered_unless_told_not_to() -> None:
    text = "日本の首都は<mask>です。"
    line = (
        "jnlp: answered by the small built-in model tiny; for better answers: jnlp models pull 130m, then --model 130m"
    )
    assert jnlp("fill-mask", text).stderr.splitlines() == [line]
    assert jnlp("fill-mask", text, "--quiet").stderr == ""
    assert jnlp("fill-mask", text, "--model", "tiny").stderr == ""
    assert jnlp("config", "set", "hints", "false").exit_code == 0
    assert jnlp("fill-mask", text, "--executor", "local").stderr == ""


def test_an_executor_that_does_not_exist_is_one_line() -> None:
    result = jnlp("fill-mask", "日本の首都は<mask>です。", "--executor", "cluster")
    assert result.exit_code == 2
    assert result.stderr.startswith("jnlp: error: ")
    assert "executor" in result.stderr
    assert "'cluster'" in result.stderr
