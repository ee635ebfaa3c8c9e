"""`jnlp evaluate file`: any classifier on a labelled file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.builder import Call, build_command
from jnlp.cli.options import SectionOption
from jnlp.io.reading.options import ReadOptions
from jnlp.options import fields

if TYPE_CHECKING:
    from jnlp.training.report.value import ClassificationReport


def _work(call: Call) -> None:
    from jnlp.examples import read_examples
    from jnlp.training.report.page import write_report
    from jnlp_evaluate.labelled import score_file

    inputs = call.values["inputs"]
    examples, failed = read_examples(inputs, call.reading, call.engine.readers())
    if failed and not call.quiet:
        click.echo(f"jnlp: {len(failed):,} rows were left out; the first: {failed[0].error}", err=True)
    model = call.engine.resolve(call.engine.settings.model)
    report = score_file(call.engine.models(None).classifier(None), examples, model.spec.name, Path(inputs[0]).name)
    if (out := call.values["out"]) is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_report(report, out)
    _print(report, out, quiet=call.quiet)


def _print(report: ClassificationReport, out: Path | None, *, quiet: bool) -> None:
    from jnlp.cli.console import Pages

    click.echo(f"model    {report.title}")
    click.echo(f"rows     {report.rows:,}")
    for name, value in report.metrics.items():
        interval = report.intervals.get(name)
        click.echo(
            f"{name:<24} {value:.4f}" + ("" if interval is None else f"  ({interval[0]:.4f} – {interval[1]:.4f})")
        )
    if report.majority is not None:
        click.echo(f"{'majority_baseline':<24} {report.majority:.4f}")
    if not quiet:
        with Pages() as pages:
            for label, scores in report.per_class.items():
                pages.add(
                    {"label": label}
                    | {k: f"{v:.3f}" for k, v in scores.items() if k != "support"}
                    | {"rows": int(scores["support"])}
                )
        with Pages() as pages:
            for row in report.errors[:5]:
                pages.add(
                    {
                        "error": row.place,
                        "text": row.text[:60],
                        "label": row.label,
                        "guess": row.guess,
                        "p": f"{row.probability:.2f}",
                    }
                )
        for line in report.cautions:
            click.echo(f"jnlp: {line}", err=True)
    if out is not None:
        click.echo(f"report   {out / 'report.html'}")


file = build_command(
    "file",
    _work,
    summary="Score a classifier on a labelled file: scores, classes, errors; -o writes a page.",
    params=[
        click.Argument(["inputs"], nargs=-1, required=True, metavar="FILE…"),
        SectionOption(
            ["-o", "--out"],
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Write report.html and report.json into DIR.",
            section="Output",
        ),
    ],
    reading=[field.name for field in fields(ReadOptions) if field.name not in ("unit", "literal")],
    settings=("model", "device", "dtype", "threads"),
)
