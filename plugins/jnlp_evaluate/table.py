"""Tables of results: models by tasks."""

from __future__ import annotations

import csv
import io
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.errors import JnlpError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FORMS = ("table", "markdown", "csv", "html")
QUICK = "* the quick protocol, not the card's: three rates, one fold, at most 4,000 rows and 100,000 tokens to train on"
LIMITED = "† a limited number of rows"
SIZES = "parameters"
"""The column of a csv of references that the plots need; it is no task."""

_DRAWS = 2000


def rows_of(
    results: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]] = (), /
) -> list[dict[str, str]]:
    """Return a row for each model: its scores by task (shares in percent), marked where the protocol is not the card's.

    A `*` marks the quick protocol, `†` a limited number of rows.

    Example:
        >>> rows_of([{"model": "tiny", "task": "jsts", "score": 0.5, "protocol": "quick", "limit": None}])
        [{'model': 'tiny', 'jsts': '50.00*'}]
    """
    tasks = list(
        dict.fromkeys(
            [result["task"] for result in results] + [t for r in references for t in r if t not in ("model", SIZES)]
        )
    )
    made: dict[str, dict[str, str]] = {}
    for result in results:
        mark = ("*" if result["protocol"] == "quick" else "") + ("†" if result["limit"] else "")
        made.setdefault(result["model"], {})[result["task"]] = f"{shown(result):.2f}{mark}"
    for reference in references:
        made.setdefault(f"{reference['model']} (reference)", {}).update(
            {task: str(value) for task, value in reference.items() if task not in ("model", SIZES)}
        )
    return [{"model": model} | {task: scores.get(task, "–") for task in tasks} for model, scores in made.items()]


def missing(results: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]] = (), /) -> list[str]:
    """Return the encoders of `jnlp evaluate models` that have no row; none if no result is from fine-tuning.

    An encoder has a row if a result or a reference has its hub id, whole or without the owner, as the model.

    Example:
        >>> tuned = {"model": "tiny", "task": "jsts", "score": 0.5, "protocol": "card", "limit": None}
        >>> len(missing([tuned])), len(missing([tuned], [{"model": "modernbert-ja-130m", "jsts": "90.1"}]))
        (21, 20)
    """
    from jnlp_evaluate.baselines import BASELINES

    if all(result["protocol"] == "direct" for result in results):
        return []
    here = {str(row["model"]).rpartition("/")[2].lower() for row in (*results, *references)}
    names = [one.repository for one in BASELINES]
    return [name for name in names if name.rpartition("/")[2].lower() not in here]


def missing_line(names: Sequence[str], /) -> str:
    """Return what a table says about the encoders that have no row."""
    return (
        f"No row for {len(names)} encoders of `jnlp evaluate models`, since jnlp ships no figures of other people's "
        f"models: {', '.join(names)}. `jnlp evaluate table --reference FILE.csv` adds published figures."
    )


def shown(result: Mapping[str, Any], /) -> float:
    """Return a result's score as tables show it: shares as percentages."""
    return float(result["score"] * (100 if result.get("percent", True) else 1))


def read_reference(path: Path, /) -> list[dict[str, Any]]:
    """Read figures of others, such as the model card's: a csv with the column `model` and one for each task.

    With a column `parameters` they are also in the plots.

    Raises:
        JnlpError: The file cannot be read, or has no column `model`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise JnlpError(f"{path} cannot be read: {error}", hint="give a csv file in UTF-8") from error
    if not rows or "model" not in rows[0]:
        raise JnlpError(f"{path} has no column 'model'", hint="columns: model, then the names of tasks")
    return rows


def plots(results: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]] = (), /) -> str:
    """Return a plot of scores against parameters for each task that two or more models of known size have.

    Example:
        >>> one = {"model": "a", "task": "jsts", "score": 0.5, "parameters": 4_000_000}
        >>> plots([one, one | {"model": "b", "score": 0.75, "parameters": 37_000_000}]).count("<circle")
        2
        >>> plots([one])
        ''
    """
    from jnlp.training.report.charts import scatter_chart

    points: dict[str, list[tuple[str, float, float]]] = {}
    for result in results:
        if result.get("parameters"):
            point = (result["model"], float(result["parameters"]), shown(result))
            points.setdefault(result["task"], []).append(point)
    for reference in references:
        size = _number(reference.get(SIZES))
        for task, value in reference.items():
            score = _number(value)
            if task not in ("model", SIZES) and size and score is not None:
                points.setdefault(task, []).append((f"{reference['model']} (reference)", size, score))
    return "".join(
        f"<figure>{scatter_chart(f'{task}: score against parameters', found, across=SIZES, up='score')}"
        f"<figcaption>{escape(task)}</figcaption></figure>"
        for task, found in points.items()
        if len(found) > 1
    )


def _number(text: Any) -> float | None:
    try:
        return float(str(text).replace(",", "").rstrip("*†"))
    except ValueError:
        return None


def render(rows: Sequence[Mapping[str, str]], form: str, figures: str = "", without: Sequence[str] = (), /) -> str:
    """Return the table as markdown, csv or one HTML page.

    Args:
        rows: By model.
        form: `markdown`, `csv` or `html`.
        figures: The end of the page, such as `plots` makes.
        without: The encoders that have no row; a page and markdown say so.
    """
    names = list(rows[0])
    if form == "csv":
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return buffer.getvalue()
    if form == "markdown":
        lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows)]
        note = f"\n{missing_line(without)}\n" if without else ""
        return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines) + note
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(row[name])}</td>" for name in names) + "</tr>" for row in rows)
    note = f"<p>{escape(missing_line(without))}</p>" if without else ""
    style = (
        ":root{color-scheme:light dark}"
        "body{font:16px/1.6 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
        "table{border-collapse:collapse}th,td{padding:.3rem .8rem;border-bottom:1px solid #8884;text-align:right}"
        "th:first-child,td:first-child{text-align:left}"
        "figure{display:inline-block;margin:1rem}svg{width:20rem;font-size:9px;fill:currentColor}"
        ".axis{fill:none;stroke:currentColor}.dot{fill:#27a}figcaption{text-align:center}"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>jnlp evaluate</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{style}</style></head><body><h1>Scores</h1><table><tr>{head}</tr>{body}</table>"
        f"<p>{QUICK}. {LIMITED}.</p>{note}{figures}</body></html>\n"
    )


def difference(one: Mapping[str, Any], other: Mapping[str, Any], /) -> tuple[float, float, float]:
    """Return how much better one model's accuracy is than another's on the same test rows, with its 95 % interval.

    The interval is a paired bootstrap over rows (Efron 1979) of the chosen cells' first runs.

    Raises:
        JnlpError: The two are not of the same task and rows.
    """
    sides = [_right(result) for result in (one, other)]
    if one["task"] != other["task"] or one["data_sha256"] != other["data_sha256"] or len(sides[0]) != len(sides[1]):
        raise JnlpError(
            "the two results are not of the same test rows", hint="evaluate both with the same data and --limit"
        )
    apart = sides[0] - sides[1]
    rng = np.random.default_rng(0)
    drawn = apart[rng.integers(0, len(apart), (_DRAWS, len(apart)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(apart.mean()), float(low), float(high)


def _right(result: Mapping[str, Any]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    chosen = result.get("chosen", {})
    for cell in result.get("cells", ()):
        if (cell["rate"], cell["epochs"], cell["run"]) == (chosen.get("rate"), chosen.get("epochs"), 0) and cell[
            "right"
        ]:
            return np.array([float(c) for c in cell["right"]])
    raise JnlpError(
        f"{result['model']} has no row-by-row answers on {result['task']}",
        hint="compare tasks that are scored by accuracy",
    )
