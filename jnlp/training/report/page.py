"""The report as one HTML page without scripts or outside files."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from jnlp.strict_json import dumps
from jnlp.training.report.charts import calibration_chart, curve_chart, number_chart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from jnlp.training.report.value import ClassificationReport, Near, Row

NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "exact_match": "exact match",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "auc": "ROC-AUC",
    "r2": "R²",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "mean_squared_error": "mean squared error",
    "mean_absolute_error": "mean absolute error",
}
_BELOW = 200


def write_report(report: ClassificationReport, folder: Path, /) -> None:
    """Write `report.json` and `report.html` into a folder."""
    (folder / "report.json").write_text(dumps(report, indent=2) + "\n", "utf-8")
    (folder / "report.html").write_text(page(report), "utf-8")


def page(report: ClassificationReport, /) -> str:
    """Return the page.

    Example:
        >>> from jnlp.training.report.value import ClassificationReport
        >>> made = page(ClassificationReport("<b>", "test", "regression", ("score",), 2, 2, {"r2": 0.5}))
        >>> "&lt;b&gt;" in made, "<script" in made
        (True, False)
    """
    css = files("jnlp.training.report").joinpath("page.css").read_text(encoding="utf-8")
    parts = [_head(report), _methods(report), _classes(report), _confusion(report), _charts(report)]
    parts += [_thresholds(report), _suspects(report), _near(report), _errors(report), _details(report)]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(report.title)}: report</title><style>{css}</style></head>\n"
        f"<body><main>\n{''.join(parts)}</main></body></html>\n"
    )


def _head(report: ClassificationReport) -> str:
    same = report.rows - report.distinct_rows
    rows = f"{report.rows:,} {escape(report.measured_on)} rows" + (f", {same:,} of them repeated" if same else "")
    figures = []
    for name, value in report.metrics.items():
        low_high = report.intervals.get(name)
        interval = "" if low_high is None else f"95 %: {low_high[0]:.3f} – {low_high[1]:.3f}"
        title = NAMES.get(name, name)
        figures.append(f"<div><span>{escape(title)}</span><b>{value:.3f}</b><span>{interval}</span></div>")
    if report.majority is not None:
        note = "always the commonest label"
        figures.append(f"<div><span>baseline</span><b>{report.majority:.3f}</b><span>accuracy of {note}</span></div>")
    cautions = "".join(f'<p class="caution">{escape(line)}</p>' for line in report.cautions)
    return (
        f'<h1>{escape(report.title)}</h1><p class="soft">Scores on {rows}.</p>'
        f'<div class="figures">{"".join(figures)}</div>{cautions}'
    )


def _methods(report: ClassificationReport) -> str:
    if len(report.methods) < 2:
        return ""
    part = "test" if all("test" in row for row in report.methods) else "validation"
    names = [name for name in NAMES if any(name in _scores(row, part) for row in report.methods)]
    rows = []
    for row in report.methods:
        kept = ' class="kept"' if row["method"] == report.details.get("method") else ""
        cells = "".join(f"<td>{_scores(row, part).get(name, float('nan')):.3f}</td>" for name in names)
        rows.append(f"<tr{kept}><td>{escape(str(row['method']))}</td>{cells}<td>{row.get('seconds', '')}</td></tr>")
    head = "".join(f"<th>{NAMES[name]}</th>" for name in names)
    why = f"<p>{escape(str(report.details['why']))}</p>" if report.details.get("why") else ""
    return (
        f'<h2>Methods compared on the {part} rows</h2>{why}<div class="scroll"><table><tr><th>method</th>{head}'
        f"<th>seconds</th></tr>{''.join(rows)}</table></div>"
    )


def _scores(row: object, part: str) -> dict[str, float]:
    found = row.get(part) if isinstance(row, dict) else None
    return found if isinstance(found, dict) else {}


def _classes(report: ClassificationReport) -> str:
    if not report.per_class:
        return ""
    rows = "".join(
        f"<tr><td>{escape(label)}</td><td>{s['precision']:.3f}</td><td>{s['recall']:.3f}</td><td>{s['f1']:.3f}</td>"
        f"<td>{int(s['support']):,}</td></tr>"
        for label, s in report.per_class.items()
    )
    head = "<tr><th>label</th><th>precision</th><th>recall</th><th>F1</th><th>rows</th></tr>"
    return f'<h2>By label</h2><div class="scroll"><table>{head}{rows}</table></div>'


def _confusion(report: ClassificationReport) -> str:
    if not report.confusion:
        return ""
    head = "".join(f"<th>{escape(label)}</th>" for label in report.labels)
    rows = []
    for label, counts in zip(report.labels, report.confusion, strict=True):
        whole = max(1, sum(counts))
        cells = "".join(
            f'<td style="background:color-mix(in srgb,var({"--accent" if report.labels[k] == label else "--bad"}) '
            f'{60 * count // whole}%,transparent)">{count:,}</td>'
            for k, count in enumerate(counts)
        )
        rows.append(f"<tr><th>{escape(label)}</th>{cells}</tr>")
    return (
        '<h2>Confusion matrix</h2><p class="soft">Rows: the label in the data. Columns: the guess.</p>'
        f'<div class="scroll"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'
    )


def _charts(report: ClassificationReport) -> str:
    made = []
    if report.calibration:
        made.append(
            (
                calibration_chart(report.calibration),
                "Confidence against accuracy: on the line, 0.8 means right in 8 of 10",
            )
        )
    if report.numbers:
        made.append((number_chart(report.numbers), "The number in the data against the guess"))
    made += [(curve_chart(label, points), f"Precision and recall: {label}") for label, points in report.curves.items()]
    if not made:
        return ""
    figures = "".join(f"<figure>{svg}<figcaption>{escape(text)}</figcaption></figure>" for svg, text in made)
    return f'<h2>Charts</h2><div class="charts">{figures}</div>'


def _thresholds(report: ClassificationReport) -> str:
    if not report.thresholds:
        return ""
    rows = "".join(
        f"<tr><td>{escape(t.label) or 'the guessed label'}</td><td>{t.wished:.2f}</td>"
        + (
            '<td colspan="3">not reached</td></tr>'
            if t.threshold is None
            else f"<td>{t.threshold:.3f}</td><td>{t.precision:.3f}</td><td>{t.recall:.3f}</td></tr>"
        )
        for t in report.thresholds
    )
    head = "<tr><th>label</th><th>wished precision</th><th>threshold</th><th>precision</th><th>found</th></tr>"
    lead = "A label given only from this probability on is right as often as wished; “found” is the share of its rows"
    table = f'<div class="scroll"><table>{head}{rows}</table></div>'
    return f"<h2>Thresholds</h2><p class='soft'>{lead}.</p><details><summary>show</summary>{table}</details>"


def _suspects(report: ClassificationReport) -> str:
    lead = "Models that had not seen these rows are sure of another label. Look at them first"
    return _rows("Labels that are probably wrong", lead, report.suspects, "label in the data", "probably")


def _errors(report: ClassificationReport) -> str:
    number = report.problem == "regression"
    lead = "The farthest guesses first" if number else "The most confident first"
    title = "Farthest guesses" if number else "Wrong guesses"
    return _rows(title, lead, report.errors, "label", "guess")


def _rows(title: str, lead: str, rows: Sequence[Row], label: str, guess: str) -> str:
    if not rows:
        return ""
    body = "".join(
        f'<tr><td class="text">{escape(r.text)}<div class="place">{escape(r.place)}</div></td>'
        f"<td>{escape(r.label)}</td><td>{escape(r.guess)}</td><td>{r.probability:.3f}</td></tr>"
        for r in rows[:_BELOW]
    )
    head = f'<tr><th class="text">text</th><th>{label}</th><th>{guess}</th><th></th></tr>'
    return f'<h2>{title}</h2><p class="soft">{lead}.</p><div class="scroll"><table>{head}{body}</table></div>'


def _near(report: ClassificationReport) -> str:
    if not report.near:
        return ""
    body = "".join(map(_pair, report.near))
    head = (
        '<tr><th class="text">text</th><th>label</th><th class="text">text</th><th>label</th><th>similarity</th></tr>'
    )
    return f'<h2>Nearly equal texts with different labels</h2><div class="scroll"><table>{head}{body}</table></div>'


def _pair(pair: Near) -> str:
    cells: Iterable[str] = (
        f'<td class="text">{escape(r.text)}<div class="place">{escape(r.place)}</div></td><td>{escape(r.label)}</td>'
        for r in (pair.first, pair.second)
    )
    return f"<tr>{''.join(cells)}<td>{pair.similarity:.2f}</td></tr>"


def _details(report: ClassificationReport) -> str:
    if not report.details:
        return ""
    shown = {name: value if isinstance(value, str) else dumps(value) for name, value in report.details.items()}
    body = "".join(
        f'<tr><td>{escape(name)}</td><td class="text">{escape(value)}</td></tr>' for name, value in shown.items()
    )
    table = f'<div class="scroll"><table>{body}</table></div>'
    return f"<h2>To repeat it</h2><details><summary>show</summary>{table}</details>"
