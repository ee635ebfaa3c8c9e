"""`--executor ray` gives what a local run gives, byte for byte, for each task and format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import jnlp
from jnlp.cli import build_cli
from jnlp.plugins import import_candidate, load_plugins
from jnlp.testing import make_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Nodes = Any  # of conftest

SAME = ("--device", "cpu", "--dtype", "fp32", "--threads", "1")


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    subjects = ("犬", "猫", "この店", "部長", "東京")
    rows = [f"{n},{subjects[n % 5]}は<mask>です。{n},お前はクズだ。電話は03-1234-56{n % 100:02}。" for n in range(90)]
    rows[7] = "7,マスクがない。,佐藤さん。"
    Path("a.csv").write_text("id,本文,返事\n" + "\n".join(rows) + "\n", encoding="utf-8")
    Path("b.txt").write_text("".join(f"{n}行目。消えろ、クズ。\n" for n in range(60)), encoding="cp932")
    return tmp_path


@pytest.mark.parametrize(
    ("task", "ending"),
    [
        (("fill-mask", "a.csv", "--text", "本文", "--rejects", "{out}.rejects.jsonl"), "csv"),
        (("embed", "a.csv", "--text", "返事"), "npy"),
        (("embed", "b.txt"), "parquet"),
        (("classify", "a.csv", "--text", "返事", "--labels", "良い,悪い"), "tsv"),
        (("toxicity", "b.txt"), "jsonl"),
        (("pii", "a.csv", "--text", "返事"), "jsonl"),
        (("rerank", "a.csv", "--text", "本文", "--text-pair", "返事", "--model", "reranker"), "jsonl"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value,
)
def test_a_task_gives_what_a_local_run_gives(
    nodes: Nodes, inputs: Path, jnlp_command: Callable[..., str], task: tuple[str, ...], ending: str
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    if "reranker" in task:
        make_model(Path("reranker"), labels=["relevance"], layers=2)
    said, made = [], []
    for where, flags in (("local", ()), ("ray", ("--executor", "ray", "--ray-address", nodes.address))):
        arguments = [part.replace("{out}", where) for part in task]
        said.append(jnlp_command(*arguments, "-o", f"{where}.{ending}", *SAME, *flags).replace(where, "X"))
        made.append({path.name[len(where) :]: path.read_bytes() for path in sorted(inputs.glob(f"{where}.*"))})
    assert made[0] == made[1]
    assert said[0] == said[1]


def test_the_library_streams_and_stops_where_it_is_told(nodes: Nodes) -> None:
    nlp = jnlp.load(executor="ray", ray_address=nodes.address, threads=1, device="cpu")
    local = jnlp.load(threads=1, device="cpu")
    endless = (f"{n}番目の文。" for n in iter(int, 1))
    stream = nlp.stream("toxicity", endless, rules_only=True)
    assert [next(stream).toxic for _ in range(100)] == [False] * 100
    stream.close()
    texts = [f"{n}番目、消えろ、クズ。" for n in range(200)]
    assert nlp.run("toxicity", texts, rules_only=True) == local.run("toxicity", texts, rules_only=True)
    assert nlp.usage.texts >= 200
    assert len(nlp.usage.workers) > 0


def test_without_ray_one_line_names_the_extra(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    monkeypatch.setitem(sys.modules, "ray", None)
    cli = build_cli(load_plugins([import_candidate("toxicity", "jnlp_toxicity"), import_candidate("ray", "jnlp_ray")]))
    done = CliRunner().invoke(cli, ["toxicity", "今日は。", "--rules-only", "--executor", "ray"])
    assert done.exit_code == 1
    assert "--executor ray needs the extra 'ray'" in done.stderr
    assert "pip install 'jnlp[ray]'" in done.stderr


def test_an_address_without_a_cluster_is_one_line(nodes: Nodes, inputs: Path, jnlp_command: Callable[..., str]) -> None:
    said = jnlp_command(
        "toxicity", "今日は。", "--rules-only", "--executor", "ray", "--ray-address", "127.0.0.1:1", code=1
    )
    assert "no Ray cluster can be used at 127.0.0.1:1" in said
    assert "--ray-address HOST:6379" in said


def test_a_gpu_that_no_node_has_is_one_line(nodes: Nodes, inputs: Path, jnlp_command: Callable[..., str]) -> None:
    flags = ("--executor", "ray", "--ray-address", nodes.address, "--device", "cuda")
    assert "no node of the Ray cluster has a GPU" in jnlp_command("embed", "今日は。", *flags, code=1)


def test_the_plugin_is_light() -> None:
    code = "import sys, jnlp_ray; sys.exit(any(name in sys.modules for name in ('ray', 'torch', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
