"""Each hook of `jnlp.hookspecs` is used: a plugin registers something, and a command or the library works with it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from jnlp import hookspecs
from jnlp.cli import build_cli
from jnlp.engine import Engine
from jnlp.errors import JnlpError
from jnlp.plugins import import_candidate, installed, load_plugins
from jnlp.registry import Kind
from jnlp.testing import make_model
from jnlp.types import Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jnlp.plugins import Plugins

BUNDLED = ("evaluate", "fill-mask", "search", "toxicity")


@dataclass(frozen=True, slots=True)
class User:
    """One who has the bundled plugins and, perhaps, the plugin of a test, and works in an empty folder."""

    plugins: Plugins
    folder: Path

    def jnlp(self, *arguments: str) -> str:
        """Run a command that must succeed, and return its standard output."""
        done = CliRunner().invoke(build_cli(self.plugins), list(arguments))
        assert done.exit_code == 0, done.stderr
        return done.stdout

    def rows(self, *arguments: str) -> list[dict]:
        """Run a command that prints JSON lines."""
        return [json.loads(line) for line in self.jnlp(*arguments).splitlines()]

    def write(self, name: str, text: str) -> str:
        """Write a file and return its name."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return name


@dataclass(frozen=True, slots=True)
class Use:
    """How a hook is used.

    Args:
        source: The plugin's module, without the line that imports jnlp.
        see: What a user does with what is registered; returns what comes out.
        expected: What must come out.
    """

    source: str
    see: Callable[[User], object]
    expected: object


USES: dict[str, Use] = {}
"""By hook. `test_every_hook_is_used` names the hooks that are missing."""


def use(source: str, expected: object) -> Callable[[Callable[[User], object]], None]:
    """Add a use; the function has the name of the hook."""

    def add(see: Callable[[User], object]) -> None:
        USES[see.__name__] = Use(source, see, expected)

    return add


@use(
    """
from dataclasses import dataclass
from typing import Annotated

@dataclass(frozen=True, slots=True)
class Options:
    times: Annotated[int, jnlp.Option(help="Times.", ge=1)] = 1

@dataclass(frozen=True, slots=True)
class Count:
    characters: int

def make(models, options):
    return lambda texts: [Count(len(text) * options.times) for text in texts]

COUNT = jnlp.TaskSpec("count", "Count characters.", Options, "mine:make", Count)

@jnlp.hookimpl
def register_tasks(register):
    register("count", "mine:COUNT", summary="Count characters.")
""",
    ([6], [2], True),
)
def register_tasks(user: User) -> object:
    rows = user.rows("count", "今日は", "--times", "2", "--format", "jsonl")
    results = Engine(user.plugins).run("count", ["今日"])
    return [row["characters"] for row in rows], [r.characters for r in results], "Count characters." in user.jnlp("-h")


@use(
    """
@jnlp.hookimpl
def register_commands(register):
    register("greet", "mine:greet", summary="Greet.")

import click

@click.command(help="Greet.")
@click.argument("name")
def greet(name):
    click.echo(f"こんにちは、{name}さん。")
""",
    ("こんにちは、花子さん。\n", True),
)
def register_commands(user: User) -> object:
    return user.jnlp("greet", "花子"), "Greet." in user.jnlp("-h")


@use(
    """
SMALL = jnlp.ModelSpec(
    "small", "A small model.", "someone/small", "main", heads=(jnlp.Head.MASKED_LM,), max_length=64, licence="MIT"
)

@jnlp.hookimpl
def register_models(register):
    register("small", "mine:SMALL", summary="A small model.")
""",
    (True, 64, True),
)
def register_models(user: User) -> object:
    cache = user.folder / "huggingface" / "hub" / "models--someone--small"
    folder = make_model(cache / "snapshots" / ("0" * 40))
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0" * 40)
    by_name, by_folder = (
        user.rows("fill-mask", "今日は<mask>です。", "--model", model, "--format", "jsonl")[0]["fills"]
        for model in ("small", str(folder))
    )
    return by_name == by_folder, Engine(user.plugins).resolve("small").spec.max_length, "small" in user.jnlp("models")


@use(
    """
def read_poems(source, options):
    from jnlp.io.reading.decoded import whole

    for number, poem in enumerate(whole(source, options).text.split("＊"), 1):
        yield jnlp.Record(f"{source.name}:{number}", poem.strip(), {"number": number}, jnlp.Source(source.name, number))

@jnlp.hookimpl
def register_readers(register):
    register("poems", "mine:read_poems", summary="Poems.", extensions=(".poems",))
""",
    ([("古池や蛙飛びこむ水の音", 1), ("消えろ、クズ。", 2)], [("歌.poems:1", "古池や蛙飛びこむ水の音")]),
)
def register_readers(user: User) -> object:
    user.write("歌.poems", "古池や蛙飛びこむ水の音\n＊\n消えろ、クズ。\n")
    rows = user.rows("toxicity", "歌.poems", "--rules-only", "--format", "jsonl")
    user.jnlp("index", "歌.poems", "--index", "my.idx")
    hits = user.rows("search", "my.idx", "古池", "--retriever", "lexical", "--format", "jsonl")
    return [(row["text"], row.get("number")) for row in rows], [(hit["document"], hit["text"]) for hit in hits]


@use(
    """
from os import replace

class Ruled:
    '''Lines between rules.'''

    chunk, seconds = 1, 0.0

    def __init__(self, target):
        self.start, self._out = {}, target.out
        self._file = target.stream or target.part.open("wb")

    def prepare(self, rows):
        data = "".join(f"＝{row['text']}＝\\n" for row in rows).encode()
        return data, len(data)

    def append(self, prepared, position):
        self._file.write(b"".join(prepared))
        return position

    def sync(self): ...
    def close(self): ...

    def finish(self, position):
        self._file.flush()
        if self._out is not None:
            self._file.close()
            replace(self._file.name, self._out)
    def discard(self): ...

@jnlp.hookimpl
def register_writers(register):
    register("ruled", "mine:Ruled", summary="Lines between rules.", extensions=(".ruled",))
""",
    ("＝今日は。＝\n", "＝今日は。＝\n"),
)
def register_writers(user: User) -> object:
    printed = user.jnlp("toxicity", "今日は。", "--rules-only", "--format", "ruled")
    user.jnlp("toxicity", "今日は。", "--rules-only", "-o", "x.ruled")
    return printed, (user.folder / "x.ruled").read_text(encoding="utf-8")


@use(
    """
from dataclasses import replace

def modern(text):
    from jnlp.text import identity

    return replace(identity(text), text=text.replace("舊", "旧"))

@jnlp.hookimpl
def register_normalizers(register):
    register("modern", "mine:modern", summary="New forms of characters.")
""",
    (True, "舊"),
)
def register_normalizers(user: User) -> object:
    old, new = user.rows("embed", "舊", "旧", "--normalize", "modern", "--format", "jsonl")
    return old["vector"] == new["vector"], old["text"]


@use(
    """
def threes(text, tokenizer, budget, overlap, outline):
    from jnlp.types import Chunk

    for start in range(0, len(text), 3):
        yield Chunk(start, min(start + 3, len(text)), 3)

@jnlp.hookimpl
def register_chunkers(register):
    register("threes", lambda: threes, summary="Three characters each.")
""",
    ["猫であ"],
)
def register_chunkers(user: User) -> object:
    user.write("猫.txt", "吾輩は猫である。")
    user.jnlp("index", "猫.txt", "--index", "my.idx", "--chunker", "threes")
    hits = user.rows("search", "my.idx", "猫", "--retriever", "lexical", "--format", "jsonl")
    return [hit["text"] for hit in hits]


@use(
    """
class Memory:
    '''An index that is forgotten.'''

    def __init__(self, path=None):
        self.path, self.records = path, []

    def open(self, path, engine, /, *, create=False):
        return Memory(path)

    def add(self, documents, /, **options):
        self.records += documents

    def search(self, query, /, **options):
        return [record.id for record in self.records if query in record.text]

@jnlp.hookimpl
def register_stores(register):
    register("memory", Memory, summary="In memory.")
""",
    ("my.idx", ["猫"], "open.idx"),
)
def register_stores(user: User) -> object:
    nlp = Engine(user.plugins)
    index = nlp.index("my.idx", store="memory")
    index.add([Record("猫", "吾輩は猫である。"), Record("雪", "雪国であった。")])
    opened = nlp.open_index("open.idx", store="memory")
    return str(index.path), index.search("吾輩"), str(opened.path)  # type: ignore[attr-defined]


@use(
    """
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

@dataclass(frozen=True, slots=True)
class Options:
    least: Annotated[int, jnlp.Option(help="Least count.", ge=0)] = 0

class Majority:
    def fit(self, train, valid, options, out, /, **_):
        [(label, count)] = Counter(example.target for example in train).most_common(1)
        out.mkdir()
        (out / "label.txt").write_text(f"{label} {count} {options.least}", encoding="utf-8")
        return jnlp.TrainReport(out, {"accuracy": 0.5}, {"train": len(train)}, {})

MAJORITY = jnlp.TrainerSpec("majority", "Learn the most frequent label.", Options, "mine:Majority")

@jnlp.hookimpl
def register_trainers(register):
    register("majority", "mine:MAJORITY", summary="Learn the most frequent label.")
""",
    ("良い 2 3", True),
)
def register_trainers(user: User) -> object:
    user.write("rows.csv", "本文,評価\n速い,良い\n遅い,悪い\n安い,良い\n")
    user.jnlp("train", "majority", "rows.csv", "--text", "本文", "--label", "評価", "--least", "3", "-o", "out")
    label = (user.folder / "out" / "label.txt").read_text(encoding="utf-8")
    return label, "Learn the most frequent label." in user.jnlp("train", "-h")


@use(
    """
from dataclasses import replace

class OneByOne:
    def __init__(self, prepare):
        self._prepare = prepare

    def map(self, job, records):
        apply = self._prepare(job)
        for record in records:
            [result] = apply([record.text])
            by = f"{job.task.name} {job.options.rules_only} {job.settings.executor}"
            yield jnlp.Done(replace(record, fields={"by": by}), result)

@jnlp.hookimpl
def register_executors(register):
    register("one-by-one", "mine:OneByOne", summary="One record at a time.")
""",
    [("toxicity True one-by-one", True), ("toxicity True one-by-one", False)],
)
def register_executors(user: User) -> object:
    call = ("toxicity", "消えろ、クズ。", "今日は。", "--rules-only", "--executor", "one-by-one", "--format", "jsonl")
    return [(row["by"], row["toxic"]) for row in user.rows(*call)]


@use(
    """
import json

def read(folder):
    rows = [json.loads(line) for line in (folder / "stars.jsonl").read_text("utf-8").splitlines()]
    return {"test": [jnlp.Example(row["text"], row["stars"]) for row in rows]}

def measure(models, examples, limit):
    return {"long": sum(len(example.text) > 3 for example in examples) / len(examples)}

STARS = jnlp.Evaluation(
    "stars", "How many reviews are long.", "long", jnlp.Measured.DIRECT,
    jnlp.DataSource("https://example.org/stars", "CC0", "花子"), "mine:read", measure="mine:measure",
)

@jnlp.hookimpl
def register_evaluations(register):
    register("stars", "mine:STARS", summary="How many reviews are long.")
""",
    [("stars", 0.5)],
)
def register_evaluations(user: User) -> object:
    user.write("stars.jsonl", '{"text": "良い", "stars": "5"}\n{"text": "とても良い", "stars": "5"}\n')
    said = user.jnlp("evaluate", "stars", "--data", ".", "-o", "out", "-q")
    return [(row["task"], row["score"]) for row in map(json.loads, said.splitlines())]


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., User]:
    """Return a user in an empty folder, with a plugin of that source or without one."""
    monkeypatch.syspath_prepend(tmp_path / "path")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)

    def make(source: str | None = None) -> User:
        candidates = [candidate for candidate in installed() if candidate.name in BUNDLED]
        if source is not None:
            (tmp_path / "path").mkdir()
            (tmp_path / "path" / "mine.py").write_text(f"import jnlp\n{source}", encoding="utf-8")
            candidates.append(import_candidate("mine", "mine"))
        plugins = load_plugins(candidates)
        assert [info.reason for info in plugins.infos] == [None] * len(plugins.infos)
        return User(plugins, tmp_path)

    yield make
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("hook", USES)
def test_what_a_hook_registers_is_used(user: Callable[..., User], hook: str) -> None:
    own = user(USES[hook].source)
    registered = {f"register_{entry.kind.value}" for entry in own.plugins.infos[-1].registrations}
    assert registered == {hook}
    assert USES[hook].see(own) == USES[hook].expected


@pytest.mark.parametrize("hook", USES)
def test_without_the_plugin_it_is_not_there(user: Callable[..., User], hook: str) -> None:
    with pytest.raises((AssertionError, JnlpError, click.ClickException)):
        assert USES[hook].see(user()) == USES[hook].expected


def test_every_hook_is_used() -> None:
    hooks = {name for name, value in vars(hookspecs).items() if hasattr(value, "jnlp_spec")}
    assert hooks == {f"register_{kind.value}" for kind in Kind}
    assert hooks == set(USES)
