"""`jnlp evaluate models`: encoders to compare with; and opening the model that a user names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jnlp.cli.builder import Call, build_command

if TYPE_CHECKING:
    from jnlp.engine import Engine
    from jnlp.models.folder import ModelFolder
    from jnlp_evaluate.others import OtherModel

_OURS = "modernbert"


def open_model(engine: Engine, /, *, trust: bool) -> ModelFolder | OtherModel:
    """Return the model that the settings name: a ModernBERT, or one that transformers runs.

    Raises:
        JnlpError: There is no such model, or something that it needs is missing.
    """
    from jnlp_evaluate.baselines import BASELINES

    name = engine.settings.model or "tiny"
    listed = next((one for one in BASELINES if one.repository == name), None)
    if _kind(Path(name)) in ("", _OURS) and (listed is None or listed.architecture == "ModernBERT"):
        found = engine.resolve(name)
        if found.config.get("model_type") == _OURS:
            return found
        name = str(found.folder)
    from jnlp_evaluate.others import OtherModel

    return OtherModel.open(name, trust=trust)


def _kind(folder: Path) -> str:
    """Return the architecture of a local folder, empty if there is none."""
    import json

    try:
        return str(json.loads((folder / "config.json").read_text("utf-8")).get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _work(call: Call) -> None:
    from jnlp.cli.console import Pages, is_terminal
    from jnlp.strict_json import dumps_shown
    from jnlp_evaluate.baselines import BASELINES

    people = is_terminal()
    with Pages() as pages:
        for one in BASELINES:
            note = "; ".join(filter(None, ["needs --trust-remote-code" if one.code else "", one.note]))
            row: dict[str, Any] = {"model": one.repository, "architecture": one.architecture}
            row |= {"needs": " ".join(one.packages) or "–", "note": note or "–"}
            if people:
                pages.add(row)
            else:
                click.echo(dumps_shown(row))
    if not call.quiet:
        click.echo("jnlp: jnlp evaluate TASK --model MODEL fine-tunes any of them by the same protocol", err=True)


models = build_command(
    "models",
    _work,
    summary="List encoders to compare with, and what their tokenizers need.",
    params=[],
    settings=(),
)
