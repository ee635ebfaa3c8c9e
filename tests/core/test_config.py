from __future__ import annotations

import errno
from pathlib import Path

import pytest

from jnlp import config
from jnlp.embed import EmbedOptions
from jnlp.errors import JnlpError, UsageError
from jnlp.types import Overflow, Purpose


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "設定.toml"
    monkeypatch.setenv("JNLP_CONFIG", str(path))
    return path


def test_without_a_file_everything_is_default(file: Path) -> None:
    loaded = config.load_config()
    assert loaded.settings == config.Settings()
    assert set(loaded.origins.values()) == {"default"}


def test_environment_wins_over_file_over_default(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(
        'model = "130m"\nthreads = 2\non-overflow = "error"\n[tasks.fill-mask]\ntop = 10\n', encoding="utf-8"
    )
    monkeypatch.setenv("JNLP_THREADS", "3")
    loaded = config.load_config()
    assert (loaded.settings.model, loaded.settings.threads, loaded.settings.dtype) == ("130m", 3, "auto")
    assert loaded.settings.on_overflow is Overflow.ERROR
    assert {key: loaded.origins[key] for key in ("model", "threads", "dtype")} == {
        "model": "config",
        "threads": "JNLP_THREADS",
        "dtype": "default",
    }
    assert loaded.tasks == {"fill-mask": {"top": 10}}


BAD = [
    ("model = ", JnlpError, "is not valid TOML"),
    ("modell = 'x'", UsageError, "no option is called 'modell'"),
    ("threads = 0", UsageError, "threads cannot be 0"),
    ("dtype = 'fp8'", UsageError, "dtype cannot be 'fp8'"),
    ("tasks = 3", UsageError, "[tasks] must have one table per task"),
]


@pytest.mark.parametrize(("text", "error", "message"), BAD)
def test_a_bad_file_is_one_line_that_names_it(file: Path, text: str, error: type[JnlpError], message: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(error) as caught:
        config.load_config()
    assert message in caught.value.message
    assert str(file) in caught.value.message


def test_a_bad_variable_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JNLP_THREADS", "たくさん")
    with pytest.raises(UsageError, match="JNLP_THREADS: threads cannot be 'たくさん'"):
        config.load_config()


def test_set_keeps_comments_and_other_lines(file: Path) -> None:
    file.write_text('# 注釈\nmodel = "tiny"\n\n[tasks.toxicity]\nthreshold = 0.5 # half\n', encoding="utf-8")
    config.set_value("model", "130m")
    config.set_value("threads", "2")
    config.set_value("toxicity.threshold", "0.7")
    config.set_value("fill-mask.top", "3")
    assert file.read_text(encoding="utf-8") == (
        '# 注釈\nmodel = "130m"\nthreads = 2\n\n'
        "[tasks.toxicity]\nthreshold = 0.7 # half\n\n[tasks.fill-mask]\ntop = 3\n"
    )
    config.set_value("model", None)
    assert "model" not in file.read_text(encoding="utf-8")
    assert config.load_config().tasks == {"toxicity": {"threshold": 0.7}, "fill-mask": {"top": 3}}


def test_a_task_s_option_in_the_file_that_is_wrong_is_named_with_the_file(file: Path) -> None:
    file.write_text('[tasks.embed]\npurpose = "query"\ndimension = 0\n', encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        config.task_options(config.load_config(), "embed", EmbedOptions, {"dimension": 5})
    assert caught.value.message == f"{file}: [tasks.embed]: dimension cannot be 0"
    file.write_text('[tasks.embed]\npurpose = "query"\ndimension = 3\n', encoding="utf-8")
    made = config.task_options(config.load_config(), "embed", EmbedOptions, {"dimension": "5"})
    assert made == EmbedOptions(purpose=Purpose.QUERY, dimension=5)
    with pytest.raises(UsageError, match=r"^embed: dimension cannot be -1"):
        config.task_options(config.load_config(), "embed", EmbedOptions, {"dimension": -1})


def test_set_refuses_what_load_would(file: Path) -> None:
    with pytest.raises(UsageError):
        config.set_value("threads", "0")
    with pytest.raises(UsageError):
        config.set_value("nonsense", "1")
    assert not file.exists()


@pytest.mark.parametrize(
    "value", ["007", "+1", "1.10", "１３０", "130", "1.5", "0", "-0.25", 'a"b\\c', "\x7f", "モデル"]
)
def test_what_is_set_is_what_is_read(file: Path, value: str) -> None:
    config.set_value("model", value)
    assert config.load_config().settings.model == value


@pytest.mark.parametrize(
    "text",
    [
        '# mine\n[tasks."fill-mask"]\ntop = 3 # three\n',
        "[tasks.fill-mask] # mine\n# three\ntop = 3\n[tasks.z]\na = 1\n",
        "[tasks]\nfill-mask = {top = 3} # mine, three\n",
        "tasks.fill-mask.top = 3 # mine, three\n",
        "[tasks.z]\na = 1\n[other]\n[tasks.fill-mask]\ntop = 3\n# mine\n# three\n",
        "# mine\r\n[tasks.fill-mask]\r\ntop = 3 # three\r\n",
    ],
)
def test_set_and_unset_work_in_any_layout_and_keep_comments(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="")
    config.set_value("fill-mask.top", "5")
    assert config.read_table(file)["tasks"]["fill-mask"] == {"top": 5}
    changed = file.read_bytes().decode()
    assert changed == text.replace("top = 3", "top = 5").replace("top = 3", "top = 5")
    assert config.unset_value("fill-mask.top") == (file, True)
    assert "top" not in config.read_table(file).get("tasks", {}).get("fill-mask", {})
    assert config.unset_value("fill-mask.top") == (file, False)


def test_the_file_is_replaced_in_one_step(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('model = "30m"\n', encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(JnlpError) as caught:
            config.set_value("model", "130m")
    assert str(file) in caught.value.message
    assert config.load_config().settings.model == "30m"
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(file.name)] == [file.name]


def test_a_linked_file_stays_linked(file: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target = tmp_path / "dotfiles" / "jnlp.toml"
    target.write_text("# mine\n", encoding="utf-8")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(target)
    config.set_value("model", "130m")
    assert file.is_symlink()
    assert target.read_text(encoding="utf-8") == '# mine\nmodel = "130m"\n'


def test_an_option_has_one_line_however_it_is_written(file: Path) -> None:
    config.set_value("search.dense-weight", "0.5")
    config.set_value("search.dense_weight", "0.25")
    config.set_value("on_overflow", "error")
    assert config.read_table(file) == {"on-overflow": "error", "tasks": {"search": {"dense-weight": 0.25}}}
    assert file.read_text(encoding="utf-8").count("weight") == 1


def test_a_config_file_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for path, message in ((tmp_path / "file" / "c.toml", "cannot be"), (Path("/dev/null"), "/dev/null is not a file")):
        monkeypatch.setenv("JNLP_CONFIG", str(path))
        with pytest.raises(JnlpError, match=message):
            config.set_value("model", "130m")
    assert not Path("/dev/null").is_file()
