"""The examples run: every Python block of the guides, the example plugins, and what `jnlp plugins new` writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from jnlp.cli import build_cli
from jnlp.plugins import import_candidate, load_plugins

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PRINTED = re.compile(r"^<!-- print: .*?^<!-- end -->", re.DOTALL | re.MULTILINE)


def blocks() -> list[tuple[str, int, str]]:
    """Return (page, line, code) of each block that is not printed by the code itself."""
    found = []
    for name in ("plugins.md", "library.md", "training.md", "getting-started.md", "models.md", "evaluation.md"):
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        text = PRINTED.sub(lambda match: "\n" * match[0].count("\n"), text)
        found += [(name, text.count("\n", 0, m.start()) + 1, m[1]) for m in BLOCK.finditer(text)]
    return found


@pytest.mark.parametrize(
    ("page", "line", "code"), blocks(), ids=lambda value: value if isinstance(value, str) else None
)
def test_a_block_of_a_page_runs(
    page: str, line: int, code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES / "jnlp-hello"))
    monkeypatch.chdir(EXAMPLES)
    namespace: dict[str, object] = {"__name__": "example", "index_path": tmp_path / "my.idx"}
    monkeypatch.setitem(sys.modules, "example", type(sys)("example"))
    exec(compile("\n" * line + code, page, "exec", dont_inherit=True), namespace)
    for name, value in namespace.items():
        if name.startswith("test_") and callable(value):
            value()


def test_the_command_of_the_page_counts_texts(tmp_path: Path) -> None:
    (code,) = [code for page, _, code in blocks() if page == "plugins.md" and "@command" in code]
    namespace: dict[str, object] = {"__name__": "example"}
    exec(compile(code, "plugins.md", "exec", dont_inherit=True), namespace)
    (tmp_path / "a.txt").write_text("一つ目。\n二つ目です。\n", encoding="cp932")
    done = CliRunner().invoke(namespace["report"], [str(tmp_path), "--least", "5", "-q"], obj=load_plugins([]))  # type: ignore[arg-type]
    assert (done.exit_code, done.stdout) == (0, "1\n")


def test_the_example_reader_reads_subtitles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES / "jnlp-srt"))
    first = "1\r\n00:00:01,000 --> 00:00:02,500\r\n消えろ、クズ。\r\n\r\n"
    subtitles = first + "2\r\n00:00:03,000 --> 00:00:04,000\r\nありがとう。\r\n"
    (tmp_path / "映画.srt").write_bytes(subtitles.encode("cp932"))
    cli = build_cli(load_plugins([import_candidate("srt", "jnlp_srt"), import_candidate("toxicity", "jnlp_toxicity")]))
    done = CliRunner().invoke(cli, ["toxicity", str(tmp_path), "--rules-only", "--format", "jsonl"])
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["text"], row["toxic"], row["start"]) for row in rows] == [
        ("消えろ、クズ。", True, "00:00:01,000"),
        ("ありがとう。", False, "00:00:03,000"),
    ]


def test_a_new_plugin_passes_its_own_test(tmp_path: Path) -> None:
    done = CliRunner().invoke(build_cli(), ["plugins", "new", "jnlp-haiku-counter", "--dir", str(tmp_path)])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "jnlp-haiku-counter"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "jnlp_haiku_counter.py", "pyproject.toml", "test_jnlp_haiku_counter.py",
    ]  # fmt: skip
    paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        capture_output=True, text=True, cwd=folder, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout


@pytest.mark.parametrize(
    ("name", "code"),
    [("", 2), ("Haiku", 2), ("俳句", 2), ("a b", 2), ("../x", 2),
     ("class", 2), ("json", 2), ("jnlp", 2), ("-x", 2), ("a--b", 2), ("taken", 1)],
)  # fmt: skip
def test_names_that_a_plugin_cannot_have(name: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    done = CliRunner().invoke(build_cli(), ["plugins", "new", "--dir", str(tmp_path), "--", name])
    assert done.exit_code == code, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
