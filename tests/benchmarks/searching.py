"""`python -m tests.benchmarks.searching`: search in a large index, beside hnswlib, usearch, LanceDB and SQLite FTS5.

Every step is a process of its own, on one thread. With `--write`, the tables go into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders import BENCH_PYTHON, BUILD, ROOT
from tests.benchmarks.report import PAGE, between

if TYPE_CHECKING:
    from collections.abc import Callable

PEERS = ("hnswlib", "usearch", "lancedb", "fts5")
RESULTS = BUILD / "search" / "results.json"
ONE = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKIO_WORKER_THREADS": "1", "LANCE_CPU_THREADS": "1"}


def main() -> None:
    """Measure what is asked for, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.searching", description=__doc__)
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--peers", default=",".join(PEERS), help="commas between; an empty text for none")
    parser.add_argument("--cpu", action="store_true", help="count seconds of the processor: for a shared machine")
    parser.add_argument("--longest", type=float, default=480, help="seconds after which a peer is given up")
    parser.add_argument("--place", help="an index that a run before has kept: it is not built again")
    parser.add_argument("--phases", action="store_true", help="also where the time of indexing goes")
    parser.add_argument("--write", action="store_true", help="write all that was measured into docs/benchmarks.md")
    asked = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    if asked.passages:
        entry = results.setdefault(f"{asked.passages} × {asked.dimension}", {})
        if asked.cpu:
            os.environ["BENCH_CLOCK"] = entry["clock"] = "cpu"
        kept = Path(asked.place) if asked.place else None
        peers = [name for name in asked.peers.split(",") if name]

        def save() -> None:
            RESULTS.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

        _measure(asked.passages, asked.dimension, peers, entry, kept, longest=asked.longest, save=save)
    if asked.phases:
        phases = [sys.executable, "-m", "tests.benchmarks.search_phases"]
        results["phases"] = [_run([*phases, name]) for name in ("tiny-search", "30m")]
    RESULTS.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    tables = render(results)
    print(tables)
    if asked.write:
        PAGE.write_text(between(PAGE.read_text(encoding="utf-8"), "searching", tables), encoding="utf-8")


def _measure(
    passages: int,
    dimension: int,
    peers: list[str],
    entry: dict[str, Any],
    kept: Path | None,
    *,
    longest: float,
    save: Callable[[], None],
) -> None:
    """Measure jnlp and its peers, and save after each; a peer that fails or takes too long is left out."""
    from tests.benchmarks.search_data import folder

    data, place = folder(passages, dimension), BUILD / "search" / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    entry["load"] = [round(os.getloadavg()[0], 1)]
    entry["date"] = time.strftime("%Y-%m-%d")
    ours = [str(passages), str(dimension), str(kept or place / "jnlp")]
    for work in ("update", "ask") if kept else ("build", "update", "ask"):
        found = _run([sys.executable, "-m", "tests.benchmarks.search_ours", work, *ours])
        entry.setdefault("jnlp", {}).update(found)
        print(work, json.dumps(found), flush=True)
        save()
    for name in peers:
        files = _words(Path(ours[2]), place) if name == "fts5" else []
        script = str(ROOT / "tests" / "benchmarks" / "search_peers.py")
        python = sys.executable if name == "fts5" else str(BENCH_PYTHON)
        entry.pop(name, None)
        began = time.monotonic()
        try:
            entry[name] = _run([python, script, name, str(data), str(place / name), *map(str, files)], longest)
        except subprocess.SubprocessError as error:
            print(f"{name} is left out: {error}", flush=True)
            continue
        print(f"{name}, {time.monotonic() - began:.0f} s", json.dumps(entry[name]), flush=True)
        save()
    entry["load"].append(round(os.getloadavg()[0], 1))
    shutil.rmtree(place)


def _words(index: Path, place: Path) -> list[Path]:
    """Write the words of jnlp's passages and of the questions to files, and return these."""
    from jnlp_search.analyse import analyser
    from jnlp_search.store.catalog import Catalog
    from tests.benchmarks.search_data import words
    from tests.benchmarks.search_ours import questions

    with Catalog.reading(index) as catalog, (place / "texts").open("w", encoding="utf-8") as file:
        for _, text in catalog.texts():
            file.write(words(text).words + "\n")
    asked = [analyser("sudachi").query(question).match for question in questions()]
    (place / "asked").write_text("\n".join(filter(None, asked)), encoding="utf-8")
    return [place / "texts", place / "asked"]


def _run(command: list[str], longest: float | None = None) -> dict[str, Any]:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **ONE, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=longest,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def render(results: dict[str, Any], /) -> str:
    """Return the tables of all that was measured."""
    parts = [_table(size, entry) for size, entry in results.items() if "×" in size]
    if "phases" in results:
        parts.append(_phases(results["phases"]))
    return "\n\n".join(parts)


def _table(size: str, entry: dict[str, Any]) -> str:
    ours, (passages, dimension) = entry["jnlp"], (int(part) for part in size.split(" × "))
    what = f"{passages:,} × {dimension}"
    heads = ("recall@10", "queries/s", "p50 / p99 (ms)", "bytes a vector on disk", "in memory", "open (s)", "build (s)")
    lines = [
        f"| {what}, vectors alone | {' | '.join(heads)} |",
        "|---|---|---|---|---|---|---|---|",
        _row(f"jnlp, {ours['kind']}", ours, ours["vector_bytes"], ours["memory"]["own"]),
    ]
    for name in PEERS:
        if name in entry and "recall" in entry[name]:
            found = entry[name]
            lines.append(_row(name, found, found["bytes"] / passages, found["memory"] / passages))
    lines += ["", f"| {what}, words and vectors | first (ms) | p50 (ms) | p99 (ms) |", "|---|---|---|---|"]
    names = {"hybrid": "hybrid", "half": "hybrid, half of the documents", "rare": "hybrid, 1 % of the documents"}
    for key, label in names.items():
        times = ours[key]
        lines.append(f"| jnlp, {label} | {_ms(ours[f'{key} first'])} | {_ms(times['p50'])} | {_ms(times['p99'])} |")
    if "fts5" in entry:
        words = entry["fts5"]["lexical"]
        lines.append(f"| SQLite FTS5 alone, the same words | | {_ms(words['p50'])} | {_ms(words['p99'])} |")
    of_build = 100 * ours["update"] / ours["build"]
    lines += [
        "",
        "- jnlp's build has full text and passages too. An update of",
        f"  {ours['updated']:,} of {passages // 10:,} documents took {ours['update']:.2f} s, {of_build:.2f} % of that.",
        "  Both are without the model's time.",
        f"- The index takes {ours['bytes'] / ours['text_bytes']:.2f} times its text. Of its mapped files,",
        f"  {ours['memory']['mapped']:,.0f} bytes a passage were resident after the queries for vectors.",
        "- Seconds are of the processor, because the machine was shared."
        if entry.get("clock")
        else "- Seconds are real.",
        f"- Load of the machine before and after: {', '.join(map(str, entry['load']))}; {entry['date']}.",
    ]
    return "\n".join(lines)


def _row(name: str, found: dict[str, Any], disk: float, memory: float) -> str:
    dense = found["dense"]
    return (
        f"| {name} | {found['recall']:.3f} | {1 / dense['mean']:,.0f} | {_ms(dense['p50'])} / {_ms(dense['p99'])} | "
        f"{disk:,.0f} | {memory:,.0f} | {found['open']:.2f} | {found['build']:,.0f} |"
    )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f}" if seconds < 0.01 else f"{1000 * seconds:.1f}"


def _phases(runs: list[dict[str, Any]]) -> str:
    names = list(runs[0]["seconds"])
    lines = [f"| indexing | characters/s | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for found in runs:
        total = sum(found["seconds"].values())
        cells = " | ".join(f"{100 * found['seconds'][name] / total:.0f} %" for name in names)
        what = f"{found['model']}, {found['characters']:,} characters"
        lines.append(f"| {what} | {found['characters'] / total:,.0f} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
