"""`make bench`: jnlp beside its peers on this machine; writes docs/benchmarks.md, its figures and its plot.

Results are saved as they come (docs/benchmarks.json); a run of some works or models replaces these alone, and
`--print` makes page and plot of what is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tests.benchmarks import cold, machine, models, report
from tests.benchmarks.contenders import BENCH_PYTHON, BUILD, CONTENDERS, ROOT, Contender
from tests.benchmarks.measure import Field
from tests.benchmarks.works import Work, equal, mixed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JSON, PLOT = ROOT / "docs" / "benchmarks.json", ROOT / "docs" / "benchmarks.svg"

# the longest first: its memory is measured while the processes are fresh
ALL = (equal(1, 8192), equal(4, 2048), equal(16, 512), equal(32, 128), mixed(256))
PLAN = {"30m": ALL, "130m": (equal(8, 512), mixed(64)), "tiny": (equal(16, 512), mixed(128))}
QUICK = (equal(1, 512), equal(2, 256), mixed(8))


def main() -> None:
    """Measure what is asked for, and print page and plot."""
    asked = _arguments()
    if asked.gpu:
        _gpu(asked)
        return
    trial = asked.quick or asked.contenders
    path = BUILD / "trial.json" if trial else JSON
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"models": {}}
    if not asked.print:
        began = time.perf_counter()
        _measure(asked, results, path)
        say(f"{(time.perf_counter() - began) / 60:.1f} minutes in all")
    if trial:
        for name in results["models"]:
            say(report.throughput(results, name))
        return
    report.PAGE.write_text(report.render(results, report.PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    if "30m" in results["models"]:
        subprocess.run([BENCH_PYTHON, "-m", "tests.benchmarks.plot", JSON, PLOT], cwd=ROOT, check=True)


def _gpu(asked: argparse.Namespace) -> None:
    """Measure on the GPU, and print its part of the page; where there is none, print what was measured."""
    from tests.benchmarks import gpu

    results: dict[str, Any] = json.loads(JSON.read_text(encoding="utf-8")) if JSON.is_file() else {"models": {}}

    def save() -> None:
        JSON.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    if not asked.print:
        gpu.measure(asked, results, save)
    if results.get("gpu"):
        made = report.between(report.PAGE.read_text(encoding="utf-8"), "gpu", gpu.page(results))
        report.PAGE.write_text(made, encoding="utf-8")


def say(line: str, /) -> None:
    """Report progress."""
    print(line, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="parts, commas between: cold, 30m, 30m:mixed, '30m:4 × 2048' …")
    parser.add_argument("--contenders", default="", help="parts of labels, commas between; the page is left alone")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--full", action="store_true", help="all works on 130m too")
    parser.add_argument("--quick", action="store_true", help="small works, one turn; the page is left alone")
    parser.add_argument("--print", action="store_true", help="measure nothing: print page and plot from the results")
    parser.add_argument("--gpu", action="store_true", help="jnlp beside its peers on a GPU: embeddings")
    return parser.parse_args()


def _measure(asked: argparse.Namespace, results: dict[str, Any], path: Path) -> None:
    """Run the plan, and save after each work."""

    def save() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    rounds = 1 if asked.quick else asked.rounds
    results["machine"] = machine.describe(BENCH_PYTHON)
    say("what the machine can do")
    results["peaks"] = machine.measured(0.2 if asked.quick else 1.0)
    save()
    for name, works in PLAN.items():
        chosen = QUICK if asked.quick else ALL if asked.full and name == "130m" else works
        if chosen := tuple(work for work in chosen if _wanted(asked.only, name, work.name)):
            _model(name, chosen, rounds, _contenders(asked.contenders), results, save)
    if _wanted(asked.only, "cold") and not asked.contenders:
        for case in cold.CASES:
            say(f"{case.name}")
            times = cold.measure(case, rounds)
            found = {**times, "name": case.name, "bar": case.bar, "runs": rounds}
            results.setdefault("cold", {})[case.key] = found
            save()


def _wanted(only: str, *names: str) -> bool:
    """Say if a model's work (`30m`, `mixed`), or `cold`, is among the parts asked for."""
    parts = [part.split(":") for part in only.split(",") if part]
    named = [name.replace(",", "") for name in names]
    return not parts or any(part == named[: len(part)] for part in parts)


def _contenders(asked: str) -> tuple[Contender, ...]:
    parts = [part for part in asked.split(",") if part]
    return tuple(c for c in CONTENDERS if not parts or any(part in c.label for part in parts))


def _model(
    name: str,
    works: tuple[Work, ...],
    rounds: int,
    contenders: tuple[Contender, ...],
    results: dict[str, Any],
    save: Callable[[], None],
) -> None:
    """Run one model's works, and put what was found into the results."""
    folder = models.folder(name)
    shape = models.shape(folder)
    say(f"{name}: {shape}")
    entry = results["models"].setdefault(name, {"works": {}})
    entry["shape"] = asdict(shape)
    field = Field(say)
    if problem := models.export(folder):
        field.missing |= {c.label: problem for c in contenders if c.name in ("onnxruntime", "openvino")}
    if problem := models.build_kernels():
        field.missing |= {c.label: problem for c in contenders if c.kernel}
    try:
        field.start([c for c in contenders if c.label not in field.missing], folder)
        for work in works:
            runs = field.time(work, rounds)
            about = {"commit": results["machine"]["commit"], "peaks": results["peaks"]}
            entry["works"][work.name] = {"lengths": list(work.lengths), "runs": runs, **about}
            entry["missing"] = field.missing
            save()
    finally:
        field.close()


if __name__ == "__main__":
    main()
