"""`jnlp pretrain RECIPE --corpus PATH… -o DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jnlp.cli.builder import build_command
from jnlp.cli.options import SectionOption
from jnlp.cli.train import saved_when_stopped
from jnlp_pretrain.cli_corpus import CorpusCommand
from jnlp_pretrain.options import PretrainOptions
from jnlp_pretrain.printing import print_progress, print_report

if TYPE_CHECKING:
    from jnlp.cli.builder import Call
    from jnlp_pretrain.recipe import Recipe

_SECTION = "Training"


def _run(call: Call) -> None:
    from jnlp.training.team import assemble
    from jnlp_pretrain.pretraining import RunOptions
    from jnlp_pretrain.pretraining import pretrain as train

    options: PretrainOptions = call.options
    corpus: tuple[Path, ...] = call.values["corpus"]
    device = call.engine.settings.device if options.device == "auto" else options.device
    chosen = RunOptions(
        runs=options.runs,
        hours=options.hours,
        start=_folder(options.start) if options.start else None,
        compiler=options.compiler,
        team=assemble(device),
    )
    with saved_when_stopped():
        report = train(
            _load(call.values["recipe"], corpus, quiet=call.quiet),
            corpus,
            call.values["out"],
            chosen,
            progress=None if call.quiet else print_progress,
        )
    if chosen.team.rank == 0:
        print_report(report)


def _load(name: str, corpus: tuple[Path, ...], *, quiet: bool) -> Recipe:
    """Return a recipe; a bundled one ignores its sources if the corpus has none of them."""
    from jnlp.io import PassedOver
    from jnlp_pretrain.corpus import files
    from jnlp_pretrain.recipe_files import bundled_recipes, for_corpus, load_recipe

    recipe = load_recipe(name)
    passed_over = PassedOver()
    found = files(corpus, passed_over)
    fitted = for_corpus(recipe, found) if name in bundled_recipes() else recipe
    if passed_over and not quiet:
        click.echo(f"jnlp: {passed_over}", err=True)
    if fitted is not recipe and not quiet:
        click.echo(f"jnlp: the sources of {name} are not in this corpus: all files get the same weight", err=True)
    return fitted


def _folder(model: str) -> Path:
    from jnlp.models.resolve import resolve
    from jnlp.models.specs import BUILTIN_SPECS

    return resolve(model, {spec.name: spec for spec in BUILTIN_SPECS}, allow_download=False).folder


def _list(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked:
        from jnlp_pretrain.recipe_files import table

        click.echo(table())
        ctx.exit()


def _show_recipe(ctx: click.Context, _param: click.Parameter, name: str | None) -> None:
    if name:
        from jnlp_pretrain.recipe_files import text_of

        click.echo(text_of(name), nl=False)
        ctx.exit()


pretrain = build_command(
    "pretrain",
    _run,
    summary="Pre-train a tokenizer and a masked LM by a recipe: a bundled one (see --list and --show) or a TOML file.",
    options=PretrainOptions,
    section=_SECTION,
    settings=(),
    cls=CorpusCommand,
    params=[
        click.Argument(["recipe"], metavar="RECIPE"),
        SectionOption(
            ["--corpus"],
            multiple=True,
            required=True,
            type=click.Path(path_type=Path),
            metavar="PATH…",
            help="Files and folders of text: txt, jsonl and any other format that jnlp reads, plain or compressed.",
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
    ],
    more=[
        SectionOption(
            ["--list"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_list,
            help="List the bundled recipes and exit.",
            section=_SECTION,
        ),
        SectionOption(
            ["--show"],
            metavar="NAME",
            is_eager=True,
            expose_value=False,
            callback=_show_recipe,
            help="Print a recipe, to copy and change, and exit.",
            section=_SECTION,
        ),
    ],
)
