"""Results to tables: tokens a second, share of the peak, memory, and every bar met or missed."""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders import CONTENDERS, PEERS, ROOT
from tests.benchmarks.works import Shape, Work, flops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Results = dict[str, Any]

PAGE = ROOT / "docs" / "benchmarks.md"
LONGEST = "1 × 8,192"
PLAIN, KERNEL, INT8 = "jnlp bf16", "jnlp bf16, kernel", "jnlp int8, kernel"
_PRECISION = {contender.label: contender.precision for contender in CONTENDERS}
_PEERS = tuple(contender.label for contender in PEERS)


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that is to be reached: a ratio at least (or at most) so large."""

    what: str
    bar: float
    value: Callable[[Results], float | None]
    at_most: bool = False

    def row(self, results: Results, /) -> str | None:
        """Return a row of the table, or None where the figure was not measured."""
        value = self.value(results)
        if value is None:
            return None
        met = value <= self.bar if self.at_most else value >= self.bar
        sign = "at most" if self.at_most else "at least"
        return f"| {self.what} | {sign} {self.bar:g} | {value:.2f} | {'met' if met else '**missed**'} |"


def tokens_per_second(results: Results, model: str, work: str, label: str, /) -> float | None:
    """Return a contender's speed by the median of its times, or None where it was not measured."""
    entry = results["models"].get(model, {}).get("works", {}).get(work)
    run = entry["runs"].get(label) if entry else None
    return sum(entry["lengths"]) / statistics.median(run["seconds"]) if run else None


def best_peer(results: Results, model: str, work: str, /) -> tuple[str, float] | None:
    """Return the fastest peer and its speed."""
    speeds = {label: tokens_per_second(results, model, work, label) for label in _PEERS}
    known = {label: speed for label, speed in speeds.items() if speed}
    return max(known.items(), key=lambda item: item[1]) if known else None


def share(results: Results, model: str, work: str, label: str, /) -> float | None:
    """Return a contender's share of the measured matrix peak of its precision."""
    speed = tokens_per_second(results, model, work, label)
    if speed is None:
        return None
    entry = results["models"][model]
    lengths = tuple(entry["works"][work]["lengths"])
    operations = flops(Shape(**entry["shape"]), Work(work, lengths))
    peaks = entry["works"][work].get("peaks", results["peaks"])  # of the same run
    return float(operations * speed / sum(lengths) / peaks[_PRECISION[label]])


def over_best_peer(model: str, work: str, label: str, /) -> Callable[[Results], float | None]:
    """Return the function that gives a contender's speed as a multiple of the best peer's."""

    def ratio(results: Results) -> float | None:
        speed, peer = tokens_per_second(results, model, work, label), best_peer(results, model, work)
        return speed / peer[1] if speed and peer else None

    return ratio


def _growth(label: str) -> Callable[[Results], float | None]:
    def ratio(results: Results) -> float | None:
        works = results["models"].get("30m", {}).get("works", {})
        short, long = (tokens_per_second(results, "30m", work, label) for work in ("16 × 512", LONGEST))
        if not short or not long or works["16 × 512"].get("commit") != works[LONGEST].get("commit"):
            return None  # two runs, perhaps of two codes, say nothing of growth
        return short / long

    return ratio


def _memory(results: Results) -> float | None:
    runs = results["models"].get("30m", {}).get("works", {}).get(LONGEST, {}).get("runs", {})
    ours, theirs = runs.get(KERNEL), runs.get("transformers bf16")
    return ours["peak"] / theirs["peak"] if ours and theirs and theirs["peak"] else None


def _cold(name: str) -> Callable[[Results], float | None]:
    def ratio(results: Results) -> float | None:
        times = results.get("cold", {}).get(name)
        return times["ours"] / times["peer"] if times and times["peer"] else None

    return ratio


def _cold_figure(name: str, figure: str) -> Callable[[Results], float | None]:
    return lambda results: results.get("cold", {}).get(name, {}).get(figure)


def bars() -> Iterable[Bar]:
    """Yield every bar."""
    of_work = {
        "mixed": (1.6, 2.0),
        "16 × 512": (1.1, 1.45),
        "8 × 512": (1.1, 1.45),
        "4 × 2,048": (1.35, 1.9),
        LONGEST: (1.8, 3.3),
    }
    for model in ("30m", "130m", "tiny"):
        for work, levels in of_work.items():
            for label, bar in zip((PLAIN, KERNEL), levels, strict=True):
                yield Bar(f"{model}, {work}: {label}, × best peer", bar, over_best_peer(model, work, label))
        yield Bar(f"{model}, mixed: {INT8}, × best peer", 2.8, over_best_peer(model, "mixed", INT8))
    yield Bar(f"30m, {LONGEST}: peak memory with the kernel, of transformers bf16", 0.5, _memory, at_most=True)
    yield Bar("130m, mixed: bf16 with the kernel, share of the peak", 0.7, lambda r: share(r, "130m", "mixed", KERNEL))
    yield Bar("30m: cost a token at 8,192, of that at 512, plain", 4.0, _growth(PLAIN), at_most=True)
    yield Bar("30m: the same with the kernel", 3.0, _growth(KERNEL), at_most=True)
    for name, most in (("fill-mask", 0.12), ("embed", 0.4), ("search", 0.12)):
        yield Bar(f"`jnlp {name}` on one line, cold, of transformers' time", most, _cold(name), at_most=True)
    for name, most in (("fill-mask", 0.6), ("search", 0.6), ("toxicity", 0.25)):
        yield Bar(f"`jnlp {name}` on one line, cold, seconds", most, _cold_figure(name, "ours"), at_most=True)
    yield Bar("`jnlp search` on one line, cold, MB of memory", 250, _cold_figure("search", "peak"), at_most=True)


def throughput(results: Results, model: str, /) -> str:
    """Return the table of one model: tokens a second, and the share of the precision's peak in per cent."""
    entry = results["models"][model]
    works = list(entry["works"])
    lines = [f"| {model}: tokens/s (% of peak) | {' | '.join(works)} |", f"|---|{'---|' * len(works)}"]
    for contender in CONTENDERS:
        cells = [_cell(results, model, work, contender.label) for work in works]
        if any(cells):
            lines.append(f"| {contender.label} | {' | '.join(cell or '–' for cell in cells)} |")
    lines.append("")
    for work in works:
        lengths, runs = entry["works"][work]["lengths"], entry["works"][work]["runs"]
        sizes = ", ".join(f"{label} {run['batch']}" for label, run in runs.items() if run["batch"])
        commit = entry["works"][work].get("commit", results["machine"]["commit"])
        earlier = "" if commit == results["machine"]["commit"] else f" Measured earlier, at commit {commit}."
        lines.append(f"- {work}: {len(lengths)} texts, {sum(lengths):,} tokens; batch sizes: {sizes}.{earlier}")
    lines += [f"- left out: {label}: {why}" for label, why in entry["missing"].items()]
    return "\n".join(lines)


def _cell(results: Results, model: str, work: str, label: str) -> str:
    speed, of_peak = tokens_per_second(results, model, work, label), share(results, model, work, label)
    return f"{speed:,.0f} ({100 * of_peak:.0f})" if speed and of_peak else ""


def memory(results: Results, /) -> str:
    """Return the table of peak memory at 8,192 tokens, for each model that was run there."""
    models = [name for name, entry in results["models"].items() if LONGEST in entry["works"]]
    if not models:
        return ""
    lines = [f"| peak memory, {LONGEST}, MB | {' | '.join(models)} |", f"|---|{'---|' * len(models)}"]
    for contender in CONTENDERS:
        runs = [results["models"][name]["works"][LONGEST]["runs"].get(contender.label) for name in models]
        if any(runs):
            cells = " | ".join(f"{run['peak'] / 1e6:,.0f}" if run else "–" for run in runs)
            lines.append(f"| {contender.label} | {cells} |")
    return "\n".join(lines)


def machine(results: Results, /) -> str:
    """Return the line that says what the figures hold for."""
    about, top = results["machine"], results["peaks"]
    gflops = ", ".join(f"{name} {top[name] / 1e9:,.0f}" for name in ("fp32", "bf16", "int8"))
    versions = ", ".join(f"{name} {version}" for name, version in about["peers"].items())
    return (
        f"{about['processor']}, {about['cores']} cores, Python {about['python']}, {about['date']}, commit "
        f"{about['commit']}. Measured limits in GFLOP/s: {gflops}; memory reads {top['memory'] / 1e9:.0f} GB/s. "
        f"Peers: {versions}."
    )


def cold(results: Results, /) -> str:
    """Return the table of cold starts."""
    lines = ["| command, cold | jnlp (s) | jnlp (MB) | peer (s) | ratio | bar |", "|---|---|---|---|---|---|"]
    for times in results["cold"].values():
        peer, ratio = (
            ("", "") if not times["peer"] else (f"{times['peer']:.2f}", f"{times['ours'] / times['peer']:.2f}")
        )
        memory = f"{times['peak']:.0f}" if times.get("peak") else ""
        lines.append(f"| {times['name']} | {times['ours']:.2f} | {memory} | {peer} | {ratio} | {times['bar']} |")
    return "\n".join([*lines, "", f"Medians of {next(iter(results['cold'].values()))['runs']}."])


def bar_table(results: Results, /) -> str:
    """Return the table of bars, those that were measured."""
    rows = [row for bar in bars() if (row := bar.row(results))]
    return "\n".join(["| figure | bar | measured | |", "|---|---|---|---|", *rows])


def render(results: Results, page: str, /) -> str:
    """Return the page with its printed blocks made anew, as far as there are results for them."""
    if results.get("cold"):
        page = between(page, "start-up", cold(results))
    if results.get("models") and results.get("peaks"):
        tables = [throughput(results, name) for name in results["models"]]
        page = between(page, "throughput", "\n\n".join([*filter(None, [*tables, memory(results)]), machine(results)]))
        page = between(page, "bars", bar_table(results))
    return page


def table_command(about: str | None, mark: str, table: Callable[[int, int], str], /, *, steps: int) -> None:
    """Print a table of steps on some threads; with `--write`, put it between the page's marks too.

    Args:
        about: The description of the command.
        mark: The name of the marks.
        table: Makes the table of so many steps and threads.
        steps: The default.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    given = parser.parse_args()
    made = table(given.steps, given.threads)
    print(made)
    if given.write:
        PAGE.write_text(between(PAGE.read_text(encoding="utf-8"), mark, made), encoding="utf-8")


def between(page: str, name: str, body: str, /) -> str:
    """Return a page with what stands between `<!-- name -->` and `<!-- end name -->` replaced."""
    start, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
    head, found, rest = page.partition(start)
    if not found or end not in rest:
        raise ValueError(f"the page has no block {name}")
    return f"{head}{start}{body}\n{end}{rest.partition(end)[2]}"
