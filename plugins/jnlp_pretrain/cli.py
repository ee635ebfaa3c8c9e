"""`jnlp pretrain RECIPE --corpus PATH -o DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.common import quiet_param
from jnlp.cli.options import SectionCommand, SectionOption, click_options, given
from jnlp.options import build
from jnlp_pretrain.options import PretrainOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECTION = "Training"


def _run(recipe: str, corpus: tuple[Path, ...], out: Path, quiet: bool, **_: object) -> None:
    from jnlp.training.loop import Stopped
    from jnlp.training.pretraining import pretrain as train
    from jnlp_pretrain.recipe import load_recipe

    options = build(PretrainOptions, given(click.get_current_context(), PretrainOptions), where="pretrain")
    try:
        report = train(
            load_recipe(recipe),
            corpus,
            out,
            runs=options.runs,
            hours=options.hours,
            progress=None if quiet else _say,
        )
    except Stopped as stopped:
        click.echo("jnlp: stopped with a checkpoint; the same command goes on from there", err=True)
        raise click.exceptions.Exit(130) from stopped
    for name, value in report.metrics.items():
        click.echo(f"{name:<32} {value:,.4f}")
    click.echo(f"model    {report.folder}")


def _say(phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
    shown = "  ".join(f"{name} {value:,.4g}" for name, value in figures.items())
    click.echo(f"jnlp: {phase} {done:,} of {total:,}  {shown}", err=True)


pretrain = SectionCommand(
    "pretrain",
    callback=_run,
    params=[
        click.Argument(["recipe"], metavar="RECIPE"),
        SectionOption(
            ["--corpus"],
            multiple=True,
            required=True,
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="A file or folder of text (txt, jsonl, jsonl.xz, jsonl.gz); may be given again.",
            section=_SECTION,
        ),
        SectionOption(
            ["-o", "--out"],
            required=True,
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="The model folder to make.",
            section=_SECTION,
        ),
        *click_options(PretrainOptions, _SECTION),
        quiet_param(),
    ],
    help="Pre-train a tokenizer and a masked LM by a recipe: a TOML file, or a shipped one by name (tiny).",
)
