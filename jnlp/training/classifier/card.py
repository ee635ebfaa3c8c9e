"""The model card of a fine-tuned classifier, written from its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.training.classifier.evaluation import all_cautions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jnlp.training.classifier.targets import Goal

_WIDE = 100
"""Rows below which the intervals are wide."""


def card(name: str, base: str, goal: Goal, report: Mapping[str, Any], /) -> str:
    """Return a README.md in English Markdown with the model's description, training, scores and limits.

    Args:
        name: The model's name.
        base: The name of the model it was trained from.
        goal: The labels and the problem.
        report: The content of `metrics.json`.
    """
    parts = [
        _front(base, report),
        f"# {name}",
        _what(base, report),
        f"- Problem: {goal.problem.value}\n- Labels: {', '.join(f'`{label}`' for label in goal.labels)}\n"
        f"- Temperature: {report['temperature']:.3f}; jnlp divides the logits by it before softmax or sigmoid, "
        "other programs may",
        "## Scores",
        _measurement(report),
        _table(report["scores"]),
        *_classes(report["scores"]),
        *_confusion(goal, report["scores"]),
        *_methods(report),
        "## Training",
        _training(report),
        "## Limits",
        _limits(report),
    ]
    return "\n\n".join(parts) + "\n"


def _front(base: str, report: Mapping[str, Any]) -> str:
    """Return the front matter; transformers does not load a linear model."""
    library, start = ("jnlp", "") if _is_linear(report) else ("transformers", f"base_model: {base}\n")
    return f"---\nlanguage: ja\nlibrary_name: {library}\npipeline_tag: text-classification\n{start}---"


def _what(base: str, report: Mapping[str, Any]) -> str:
    if not _is_linear(report):
        return f"A ModernBERT text classifier for Japanese, fine-tuned from `{base}` with jnlp."
    tuned = ", tuned to the rows" if report["method"] == "few-shot" else ""
    vectors = f" and the vectors of `{report['vectors']}`{tuned}" if report["choice"]["vectors"] else ""
    return (
        f"A linear text classifier for Japanese, fitted with jnlp to character n-grams{vectors}. jnlp loads it wherever"
        " a classifier can be named; transformers does not."
    )


def _is_linear(report: Mapping[str, Any]) -> bool:
    return report.get("method") in ("linear", "few-shot")


def _methods(report: Mapping[str, Any]) -> list[str]:
    """Return the table of all methods on the same validation rows, and why one was kept."""
    rows = report.get("methods", [])
    if len(rows) < 2:
        return []
    names = [name for name in rows[0]["validation"] if name not in ("log_loss", "calibration_error")]
    lines = [f"| method | {' | '.join(name.replace('_', ' ') for name in names)} | seconds |"]
    lines.append("|---" * (len(names) + 2) + "|")
    for row in rows:
        shown = " | ".join(f"{row['validation'][name]:.3f}" for name in names)
        lines.append(f"| {row['method']} | {shown} | {row['seconds']:.1f} |")
    return [
        "## Methods",
        f"On the same {report['rows']['valid']} validation rows. `{report['method']}` was kept: {report['why']}.",
        "\n".join(lines),
    ]


def _measurement(report: Mapping[str, Any]) -> str:
    rows, scores = report["rows"], report["scores"]
    text = f"Measured on {scores['rows']} examples of the {report['measured_on']} set; {rows['train']} were trained on"
    text += (
        f"; the saved model was then fitted to {report['refitted_on']}."
        if _is_linear(report)
        else f", {rows['valid']} chose the epoch and the temperature."
    )
    if "majority_baseline" in scores:
        text += f" Always guessing the commonest label has accuracy {scores['majority_baseline']:.3f}."
    return text


def _table(scores: Mapping[str, Any]) -> str:
    lines = ["| score | value | 95 % interval |", "|---|---|---|"]
    for name, value in scores["metrics"].items():
        interval = scores.get("intervals", {}).get(name)
        shown = f"{interval[0]:.3f}–{interval[1]:.3f}" if interval else ""
        lines.append(f"| {name.replace('_', ' ')} | {value:.3f} | {shown} |")
    return "\n".join(lines)


def _classes(scores: Mapping[str, Any]) -> list[str]:
    if "per_class" not in scores:
        return []
    lines = ["| label | precision | recall | F1 | examples |", "|---|---|---|---|---|"]
    for label, score in scores["per_class"].items():
        row = f"{score['precision']:.3f} | {score['recall']:.3f} | {score['f1']:.3f} | {score['support']}"
        lines.append(f"| {_cell(label)} | {row} |")
    return ["\n".join(lines)]


def _confusion(goal: Goal, scores: Mapping[str, Any]) -> list[str]:
    if "confusion" not in scores or len(goal.labels) > 12:
        return []
    head = " | ".join(_cell(label) for label in goal.labels)
    lines = [f"| true \\ guessed | {head} |", "|---|" + "---|" * len(goal.labels)]
    for label, row in zip(goal.labels, scores["confusion"], strict=True):
        lines.append(f"| {_cell(label)} | {' | '.join(map(str, row))} |")
    return ["\n".join(lines)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _training(report: Mapping[str, Any]) -> str:
    details = report["details"]
    options = ", ".join(f"{key} {value}" for key, value in details["options"].items())
    versions = ", ".join(f"{key} {value}" for key, value in details["versions"].items())
    if _is_linear(report):
        choice = ", ".join(f"{key.replace('_', ' ')} {value:.3g}" for key, value in report["choice"].items())
        return f"Chosen by cross-validation: {choice}. Options: {options}. Versions: {versions}."
    return (
        f"Best of {len(report['epochs'])} epochs: {report['best_epoch']}. Options: {options}. Versions: {versions}. "
        "`metrics.json` has every epoch."
    )


def _limits(report: Mapping[str, Any]) -> str:
    notes = ["The scores hold for texts like those it was trained on; measure again on yours."]
    if report["measured_on"] != "test" and not _is_linear(report):
        notes.append(
            f"There was no test set: the {report['measured_on']} set also chose the epoch and the temperature, "
            "so the scores are too good."
        )
    said = all_cautions(report)
    notes += [f"{sentence}." for sentence in said]
    if not said and report["scores"]["rows"] < _WIDE:
        notes.append(f"Only {report['scores']['rows']} examples were held out: the intervals are wide.")
    if report["cut"]:
        notes.append(
            f"{report['cut']} training texts were not read whole: they are longer than eight windows (pairs: than one)."
        )
    return "\n".join(f"- {note}" for note in notes)
