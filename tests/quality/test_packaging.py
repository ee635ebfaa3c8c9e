"""The wheel, and the example plugin, in environments of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest


def run(*command: str | Path, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "JNLP_CONFIG")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, encoding="utf-8", env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, root)
    (made,) = out.glob("jnlp-*.whl")
    return made


def make_environment(folder: Path) -> Path:
    """Make a clean environment that sees this one's dependencies, but not the project itself."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    here = Path(sysconfig.get_path("purelib"))
    links = site / "dependencies"
    links.mkdir()
    for entry in here.iterdir():
        if "jnlp" not in entry.name and not entry.name.startswith("__"):
            (links / entry.name).symlink_to(entry)
    (site / "dependencies.pth").write_text(f"{links}\n")
    return python


def test_the_wheel_holds_the_core_the_plugins_and_the_weights(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for expected in (
        "jnlp/types/__init__.py",
        "jnlp/py.typed",
        "jnlp_fill_mask/__init__.py",
        "jnlp_search/__init__.py",
        "jnlp_toxicity/words.txt",
        "jnlp_pretrain/recipes/tiny.toml",
        "jnlp/models/builtin/tiny/model.safetensors",
        "jnlp/models/builtin/tiny-toxicity/model.safetensors",
    ):
        assert expected in names, expected
    assert not [name for name in names if name.startswith(("plugins/", "tests/", "docs/", "jnlp_family"))]
    for package in ("jnlp", "jnlp_fill_mask", "jnlp_classify", "jnlp_toxicity", "jnlp_search", "jnlp_pretrain"):
        assert f"{package}/py.typed" in names
    assert wheel.stat().st_size < 95e6


def test_a_third_party_s_plugin_works_beside_the_wheel(root: Path, wheel: Path, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "env")
    hello = root / "docs" / "examples" / "jnlp-hello"
    run(python, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet", wheel, hello, cwd=tmp_path)
    jnlp = python.with_name("jnlp")
    out = run(jnlp, "hello", "今日は晴れ。明日は雨。", "--greeting", "やあ", cwd=tmp_path)
    assert json.loads(out) == {"id": "arg:1", "text": "今日は晴れ。明日は雨。", "greeting": "やあ", "sentences": 2}
    assert "--greeting" in run(jnlp, "hello", "--help", cwd=tmp_path)
    plugins = {
        info["name"]: info for info in map(json.loads, run(jnlp, "plugins", "--json", cwd=tmp_path).splitlines())
    }
    assert plugins["hello"]["brings"] == ["task hello"]
    assert plugins["hello"]["package"] == "jnlp-hello"
    assert all(info["reason"] is None for info in plugins.values())
    code = "import jnlp; print(jnlp.load().run('hello', ['一。二。三。'])[0].sentences)"
    assert run(python, "-c", code, cwd=tmp_path).strip() == "3"


@pytest.mark.slow
def test_a_full_install_resolves(root: Path, wheel: Path, tmp_path: Path) -> None:
    """What a user does: pip resolves everything, the wheel and the plugin together."""
    venv.create(tmp_path / "env", with_pip=True, symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    hello = root / "docs" / "examples" / "jnlp-hello"
    run(python, "-m", "pip", "install", "--quiet", "torch==2.13.0")
    run(python, "-m", "pip", "install", "--quiet", "-c", root / "constraints.txt", wheel, hello)
    run(python, "-m", "pip", "check")
    out = run(python.with_name("jnlp"), "fill-mask", "日本の首都は<mask>です。", cwd=tmp_path)
    assert len(json.loads(out)["fills"]) == 5
