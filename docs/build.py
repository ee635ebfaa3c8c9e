"""Prints the docs that the code knows best: `make docs` rewrites them, a test compares them.

A page holds blocks between `<!-- print: WHAT -->` and `<!-- end -->`. WHAT is one of

    run COMMAND        a shell line, run in docs/examples, with its output
    train COMMAND      the same, where figures and labels depend on the processor: they are printed, not compared
    python FILE        a Python sample (docs/examples/FILE), with its output
    file PATH          a file of the project
    cli                every command's --help
    hooks              the hooks, from their docstrings
    models             the models known by name
    options            the settings of the engine
    scores, sizes      what the score of a search means, by score and by the size of an index
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "examples"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(<!-- print: (?P<kind>\w+)(?: (?P<rest>[^\n]*?))? -->\n).*?(<!-- end -->)", re.DOTALL)
TRAINED = re.compile(r"<!-- print: train .*?<!-- end -->", re.DOTALL)
NUMBER = re.compile(r"\d+\.\d+")
JUDGED = re.compile(r'"label": "[^"]*"|"scores": \{[^}]*\}')


def environment() -> dict[str, str]:
    """Return an environment in which every machine prints the same: no configuration, fp32, 80 columns."""
    ours = ("JNLP_", "OMP_", "RAYON_")  # threads too: in another number they train another model
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    fixed = {"PATH": path, "COLUMNS": "100", "JNLP_CONFIG": os.devnull, "JNLP_DTYPE": "fp32", "PYTHONUTF8": "1"}
    return {**kept, **fixed, "HF_HUB_OFFLINE": "1", "HF_HOME": str(ROOT / "docs" / "no-cache"), "NO_COLOR": "1"}


def run(line: str) -> str:
    """Return a shell line and what it prints, stdout before stderr."""
    done = subprocess.run(line, shell=True, cwd=EXAMPLES, capture_output=True, encoding="utf-8", env=environment())
    output = "\n".join(line.rstrip() for line in (done.stdout + done.stderr).rstrip().splitlines())
    if done.returncode:
        sys.exit(f"docs: {line!r} failed with status {done.returncode}:\n{output}")
    return fenced("console", f"$ {line}\n{output}".rstrip())


def python(name: str) -> str:
    """Return a Python sample and what it prints."""
    source = (EXAMPLES / name).read_text(encoding="utf-8").rstrip()
    command = [sys.executable, name]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, encoding="utf-8", env=environment())
    if done.returncode:
        sys.exit(f"docs: {name} failed:\n{done.stderr}")
    return fenced("python", source) + "\n" + fenced("text", done.stdout.rstrip())


def file(path: str) -> str:
    """Return a file of the project."""
    return fenced(Path(path).suffix[1:], (ROOT / path).read_text(encoding="utf-8").rstrip())


def cli() -> str:
    """Return every command's --help."""
    import click

    from jnlp.cli import build_cli
    from jnlp.plugins import installed, load_plugins

    plugins = load_plugins([candidate for candidate in installed() if candidate.distribution == "jnlp"])
    parts = []

    def visit(command: click.Command, name: str, parent: click.Context | None) -> None:
        names = command.context_settings.get("help_option_names")  # else those of the parent
        context = click.Context(
            command, parent, name, plugins, max_content_width=100, terminal_width=100, help_option_names=names
        )
        path = context.command_path
        parts.append(f"## `{path}`\n\n{fenced('text', command.get_help(context).rstrip())}")
        if isinstance(command, click.Group):
            for child in command.list_commands(context):
                found = command.get_command(context, child)
                assert found is not None
                visit(found, child, context)

    visit(build_cli(plugins), "jnlp", None)
    return "\n\n".join(parts)


def hooks() -> str:
    """Return the hooks with their docstrings."""
    from jnlp import hookspecs
    from jnlp.registry import Kind

    lines = []
    for kind in Kind:
        name = f"register_{kind.value}"
        lines.append(f"### `{name}(register)`\n\n{getattr(hookspecs, name).__doc__}\n")
    return "\n".join(lines).rstrip()


def models() -> str:
    """Return the models known by name as a table."""
    from jnlp.models.resolve import resolve
    from jnlp.models.specs import BUILTIN_SPECS

    rows = ["| name | heads | max length | to fetch | licence | what it is |", "|---|---|---|---|---|---|"]
    for declared in BUILTIN_SPECS:
        spec = resolve(declared.name, {declared.name: declared}).spec if declared.builtin else declared
        size = "ships with jnlp" if spec.builtin else f"{spec.size / 1e6:,.0f} MB" if spec.size else ""
        heads = ", ".join(spec.heads)
        rows.append(f"| `{spec.name}` | {heads} | {spec.max_length:,} | {size} | {spec.licence} | {spec.summary} |")
    return "\n".join(rows)


def options() -> str:
    """Return the settings of the engine as a table."""
    from jnlp import options as reading
    from jnlp.config import Settings

    rows = ["| key | variable | default | meaning |", "|---|---|---|---|"]
    for field in reading.fields(Settings):
        default = "" if field.default is None else f"`{field.default}`"
        rows.append(f"| `{field.key}` | `JNLP_{field.name.upper()}` | {default} | {field.option.help} |")
    return "\n".join(rows)


def scores() -> str:
    """Return the first hits of a search by score, and how many were right."""
    rows = [f"| {row['from']:.1f} | {row['hits']:,} | {row['right']:.2f} |" for row in measured()["first_hits"]]
    return "\n".join(["| score from | hits | right |", "|---|---|---|", *rows])


def sizes() -> str:
    """Return how well scores hold, by the size of an index."""
    names = ("right", "first_hits", "right_but_no_good_match", "wrong_and_no_good_match")
    rows = [
        f"| {int(size):,} | {' | '.join(f'{row[name]:.3f}' for name in names)} |"
        for size, row in measured()["sizes"].items()
    ]
    head = "| passages | right | error | right, no good match | not right, no good match |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def measured() -> Any:
    """Return what the scores of a hybrid search with `tiny-search` were found to mean."""
    text = (ROOT / "jnlp/models/builtin/tiny-search/search.json").read_text(encoding="utf-8")
    return json.loads(text)["measured"]["hybrid"]


def fenced(language: str, text: str) -> str:
    """Return text as a fenced block."""
    return f"```{language}\n{text}\n```"


def printed(text: str) -> str:
    """Return a page with its blocks printed again."""
    makers = {"run": run, "train": run, "python": python, "file": file}
    plain = {"cli": cli, "hooks": hooks, "models": models, "options": options, "scores": scores, "sizes": sizes}

    def make(match: re.Match[str]) -> str:
        kind, rest = match["kind"], match["rest"]
        body = makers[kind](rest) if kind in makers else plain[kind]()
        return f"{match[1]}{body}\n{match[4]}"

    return BLOCK.sub(make, text)


def same(old: str, new: str) -> bool:
    """Return True where two pages say the same: decimals may differ by rounding, seconds at will."""
    pages = [TRAINED.sub(lambda block: NUMBER.sub("N", JUDGED.sub("J", block[0])), text) for text in (old, new)]
    timeless = [re.sub(r"\d+\.\d+ s\b", "N s", text) for text in pages]
    shapes = [NUMBER.sub("N", text) for text in timeless]
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in timeless]
    close = all(abs(a - b) <= 0.002 + 0.01 * abs(a) for a, b in zip(*numbers, strict=False))
    return shapes[0] == shapes[1] and close


def main() -> None:
    """Rewrite the pages; with --check only compare them, and exit 1 where one is not what the code prints."""
    stale = []
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        new = printed(old)
        if not same(old, new):
            stale.append(page)
            if "--check" not in sys.argv:
                page.write_text(new, encoding="utf-8")
    for page in stale:
        print(f"{'stale' if '--check' in sys.argv else 'rewritten'}: {page.relative_to(ROOT)}")
    sys.exit(1 if stale and "--check" in sys.argv else 0)


if __name__ == "__main__":
    main()
