"""The wheel, and the example plugin, in environments of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from jnlp.encoder.forms import kernels


def run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "JNLP_CONFIG")}
    environment = kept | variables
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, encoding="utf-8", env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build_wheel(root, out, "native")
    (made,) = out.glob("jnlp-*.whl")
    return made


def build_wheel(root: Path, out: Path, kernels: str) -> None:
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, root)
    run(*build, JNLP_BUILD_KERNELS=kernels)


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
    for package in (
        "jnlp",
        "jnlp_fill_mask",
        "jnlp_classify",
        "jnlp_toxicity",
        "jnlp_pii",
        "jnlp_evaluate",
        "jnlp_search",
        "jnlp_pretrain",
        "jnlp_serve",
        "jnlp_ray",
    ):
        assert f"{package}/py.typed" in names
    assert wheel.stat().st_size < 95e6


def test_the_wheel_holds_kernels_for_this_platform_or_fits_all(root: Path, wheel: Path, tmp_path: Path) -> None:
    if not kernels.kinds() or kernels.compiler() is None:
        pytest.skip("needs a processor with AVX2 or NEON, and a C++ compiler")
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")
    held = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    assert held == [f"jnlp/encoder/forms/kernels/built/{kernels.library_path(kernels.kinds()[0]).name}"]
    build_wheel(root, tmp_path, "off")
    (pure,) = tmp_path.glob("*.whl")
    assert pure.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(pure).namelist() if name.endswith(".so")]


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


USER_SCRIPT = """
import jnlp
from jnlp_classify.spec import CLASSIFY
from jnlp_fill_mask import FILL_MASK
from jnlp_search import Index
from jnlp_search.tasks import RERANK, SEARCH
from jnlp_toxicity.spec import TOXICITY

nlp = jnlp.load("tiny", device="cpu")
filled = nlp.run(FILL_MASK, ["日本の首都は<mask>です。"], top=3)
reveal_type(filled)  # list[jnlp_fill_mask.spec.Filled]
reveal_type(filled[0].fills)  # tuple[jnlp_fill_mask.spec.Fill, ...]
by_name = nlp.run("fill-mask", ["今日は<mask>です。"])
reveal_type(by_name)  # list[Any]
for toxic in nlp.stream(TOXICITY, ("ありがとう。" for _ in range(3))):
    reveal_type(toxic.score)  # float
for result in nlp.stream("toxicity", ["ありがとう。"]):
    reveal_type(result)  # Any
for outcome in nlp.outcomes(CLASSIFY, [jnlp.Record("1", "速い。")], labels=("良い", "悪い")):
    if isinstance(outcome, jnlp.Done):
        reveal_type(outcome.result.scores)  # typing.Mapping[str, float]
    else:
        reveal_type(outcome.error)  # Exception
reveal_type(nlp.run(RERANK, [("猫", "吾輩は猫である。")])[0].score)  # float
reveal_type(nlp.run(SEARCH, ["猫"], index="my.idx")[0].hits)  # tuple[jnlp.types.search.Hit, ...]
with nlp.index("my.idx") as index:
    reveal_type(index.add(["docs/"]).added)  # int
    hits = index.search("契約", top=5)
    reveal_type(hits)  # list[jnlp.types.search.Hit]
with Index.open("my.idx", nlp) as opened:
    reveal_type(opened.search("契約")[0].text)  # str
reveal_type(jnlp.to_json(hits))  # str
vectors = nlp.models().embedder().embed(["猫"], purpose=jnlp.Purpose.QUERY).vectors
reveal_type(vectors.shape)  # tuple[Any, ...]
reveal_type(nlp.train("classifier", ["rows.csv"], "out").metrics)  # typing.Mapping[str, float]
reveal_type(nlp.job(FILL_MASK).settings.device)  # str
nlp.run(FILL_MASK, [3])  # error: list-item
filled[0].filled  # error: attr-defined
"""

AUTHOR_SCRIPT = """
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import jnlp
import jnlp.io
from jnlp.hookspecs import Register
from jnlp.types import Apply, Outcome


@dataclass(frozen=True, slots=True)
class Options:
    times: Annotated[int, jnlp.Option(help="Times.", ge=1)] = 1


@dataclass(frozen=True, slots=True)
class Count:
    characters: int


def make(models: jnlp.Models, options: Options) -> Apply[Count]:
    reveal_type(models.classifier().logits(["文"]).labels)  # tuple[str, ...]
    return lambda texts: [Count(sum(map(len, text)) * options.times) for text in texts]


COUNT = jnlp.TaskSpec("count", "Count.", Options, "mine:make", Count)
reveal_type(COUNT)  # jnlp.types.tasks.TaskSpec[mine.Options, mine.Count]


class OneByOne:
    def map(self, job: jnlp.Job, records: Iterable[jnlp.Record | jnlp.Failed], /) -> Iterator[Outcome[Any]]:
        reveal_type(job.to_json())  # str
        reveal_type(jnlp.prepare(job)(["文"]))  # typing.Sequence[Any]
        yield from ()


def read(source: jnlp.io.Input, options: jnlp.io.ReadOptions) -> Iterator[jnlp.Record]:
    yield jnlp.Record(source.name, "文")


reader: jnlp.io.Reader = read


@jnlp.hookimpl
def register_tasks(register: Register) -> None:
    register("count", "mine:COUNT", summary="Count.")
"""


@pytest.mark.slow
def test_scripts_against_the_installed_wheel_are_typed(wheel: Path, tmp_path: Path) -> None:
    """The comment of a line is the type or the error that `mypy --strict` finds there; there are no others."""
    python = make_environment(tmp_path / "env")
    run(python, "-m", "pip", "install", "--no-deps", "--quiet", wheel, cwd=tmp_path)
    expected = []
    for name, script in (("user.py", USER_SCRIPT), ("mine.py", AUTHOR_SCRIPT)):
        (tmp_path / name).write_text(script, encoding="utf-8")
        found = ((number, line.partition("  # ")[2]) for number, line in enumerate(script.splitlines(), 1))
        expected += [f"{name}:{number}: {comment}" for number, comment in found if comment]
    command = [python, "-m", "mypy", "--strict", "--no-pretty", "--no-error-summary", "user.py", "mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    revealed = re.sub(r'note: Revealed type is "(.*)"', r"\1", done.stdout)
    assert sorted(re.sub(r"error: .*\[(.*)\]", r"error: \1", revealed).splitlines()) == sorted(expected)


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


def test_each_slow_step_of_the_set_up_says_what_it_does(root: Path, tmp_path: Path) -> None:
    command = ["make", "-n", "demo", f"VENV={tmp_path / 'venv'}"]
    shown = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    steps = re.findall(r'echo "([^"]+)"|(-m venv|pip install|demo\.py)', shown)
    said = [text or f"<{work}>" for text, work in steps]
    assert [line for line in said if line.startswith("<")] == [
        "<-m venv>",
        "<pip install>",
        "<pip install>",
        "<demo.py>",
    ]
    for at, line in enumerate(said):
        if line.startswith("<"):
            assert re.match(r"set-up \d of 3: |demo: ", said[at - 1]), said
            assert re.search(r"\((seconds|some minutes|minutes;|about a minute)", said[at - 1]), said
