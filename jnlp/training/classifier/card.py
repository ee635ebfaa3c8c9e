"""The model card of a fine-tuned classifier, written from its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jnlp.training.classifier.evaluation import cautions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jnlp.training.classifier.targets import Goal

_WIDE = 100
"""Rows below which the intervals are wide."""


def card(name: str, base: str, goal: Goal, report: Mapping[str, Any], /) -> str:
    """Return a README.md in English Markdown: what the model is, how it was trained, its scores and their limits.

    Args:
        name: The model's name.
        base: The name of the model it was trained from.
        goal: The labels and the problem.
        report: What `metrics.json` holds.
    """
    parts = [
        f"---\nlanguage: ja\nlibrary_name: transformers\npipeline_tag: text-classification\nbase_model: {base}\n---",
        f"# {name}",
        f"A ModernBERT text classifier for Japanese, fine-tuned from `{base}` with jnlp.",
        f"- Problem: {goal.problem.value}\n- Labels: {', '.join(f'`{label}`' for label in goal.labels)}\n"
        f"- Temperature: {report['temperature']:.3f}; jnlp divides the logits by it before softmax or sigmoid, "
        "other programs may",
        "## Scores",
        _measured(report),
        _table(report["scores"]),
        *_classes(report["scores"]),
        *_confusion(goal, report["scores"]),
        "## Training",
        _training(report),
        "## Limits",
        _limits(report),
    ]
    return "\n\n".join(parts) + "\n"


def _measured(report: Mapping[str, Any]) -> str:
    rows, scores = report["rows"], report["scores"]
    text = f"Measured on {scores['rows']} examples of the {report['measured_on']} set; {rows['train']} were trained on"
    text += f", {rows['valid']} chose the epoch and the temperature."
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
    return (
        f"Best of {len(report['epochs'])} epochs: {report['best_epoch']}. Options: {options}. Versions: {versions}. "
        "`metrics.json` has every epoch."
    )


def _limits(report: Mapping[str, Any]) -> str:
    notes = ["The scores hold for texts like those it was trained on; measure again on yours."]
    if report["measured_on"] != "test":
        notes.append(
            f"There was no test set: the {report['measured_on']} set also chose the epoch and the temperature, "
            "so the scores are too good."
        )
    said = cautions(report["scores"], report["measured_on"])
    notes += [f"{sentence}." for sentence in said]
    if not said and report["scores"]["rows"] < _WIDE:
        notes.append(f"Only {report['scores']['rows']} examples were held out: the intervals are wide.")
    if report["cut"]:
        notes.append(f"{report['cut']} training texts were longer than the training length and were cut.")
    return "\n".join(f"- {note}" for note in notes)
