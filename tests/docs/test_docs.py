"""The docs say what the code does: printed blocks are fresh, links lead somewhere, every command is described."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from jnlp.types.search import GOOD_SCORE
from jnlp_family.tables import WEATHER_WORDS

LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)(?:#[^)]*)?\)")


def pages(root: Path) -> list[Path]:
    return [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").glob("*.md"))]


def test_printed_blocks_are_what_the_code_prints(root: Path) -> None:
    done = subprocess.run([sys.executable, root / "docs" / "build.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run `make docs`"


def test_the_first_mask_of_the_readme_is_filled_with_weather(root: Path) -> None:
    page = (root / "README.md").read_text(encoding="utf-8")
    block = page[page.index("$ jnlp fill-mask") :].partition("```")[0]
    fills = [line.split()[0] for line in block.splitlines()[3:8]]
    assert len(fills) == 5
    assert len(WEATHER_WORDS & set(fills)) >= 2


def test_links_lead_somewhere(root: Path) -> None:
    dead = [
        f"{page.relative_to(root)}: {target}"
        for page in pages(root)
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not dead


def test_files_that_the_architecture_names_exist(root: Path) -> None:
    text = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:jnlp|plugins|docs|tests)/[\w./-]+)`", text)
    assert len(named) > 10
    assert not [name for name in named if not (root / name).exists()]


def test_every_command_and_option_is_in_the_reference(root: Path) -> None:
    import click

    from jnlp.cli import build_cli
    from jnlp.plugins import installed, load_plugins

    text = (root / "docs" / "cli.md").read_text(encoding="utf-8")
    own = [candidate for candidate in installed() if candidate.distribution == "jnlp"]
    cli = build_cli(load_plugins(own))
    context = click.Context(cli, info_name="jnlp", obj=load_plugins(own))
    missing = []
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        section = text.partition(f"## `jnlp {name}`")[2].partition("\n## ")[0]
        options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
        missing += [f"{name} {param.opts[0]}" for param in options if param.opts[0] not in section]
        if not section:
            missing.append(name)
    assert not missing


def test_both_readmes_link_the_same_pages(root: Path) -> None:
    def pages(text: str, above: str) -> set[str]:
        found = re.findall(r"\]\(([^)#:]+\.md)\)", text)
        return {name.removeprefix(above) for name in found} - {"README.ja.md", "../README.md"}

    english = pages((root / "README.md").read_text(encoding="utf-8"), "docs/")
    japanese = pages((root / "docs" / "README.ja.md").read_text(encoding="utf-8"), "")
    assert english == japanese
    assert len(english) > 12


def test_the_line_of_a_good_match_is_the_one_of_the_docs(root: Path) -> None:
    text = (root / "docs" / "search.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"When the best hit scores under (\.\d+)", text)
    assert float(line) == GOOD_SCORE
