"""`jnlp doctor`: checks the installation and prints how to fix it."""

from __future__ import annotations

import click

from jnlp.engine import Engine
from jnlp.strict_json import dumps_shown


@click.command(help="Check this installation: versions, device, threads, plugins, models, and what is missing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding.")
@click.option("--build-kernels", is_flag=True, help="Compile the kernels for this processor, once.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, build_kernels: bool) -> None:
    """Print the findings; the exit status is 1 if there is a problem to fix."""
    if build_kernels:
        from jnlp.encoder.forms import kernels

        click.echo(str(kernels.build()))
        return
    from jnlp.config import load_config
    from jnlp.doctor import Level, examine

    problems = 0
    for finding in examine(Engine(ctx.find_root().obj, load_config())):
        problems += finding.level is Level.PROBLEM
        if as_json:
            click.echo(dumps_shown(finding))
            continue
        mark = {Level.OK: " ", Level.ABSENT: "-", Level.PROBLEM: "!"}[finding.level]
        click.echo(f"{mark} {finding.subject:<22} {finding.text}" + (f"  → {finding.hint}" if finding.hint else ""))
    if problems:
        click.echo(f"jnlp: {problems} to fix", err=True)
        ctx.exit(1)
