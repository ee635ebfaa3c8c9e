"""Recognises text files by name: source code, settings, logs and other kinds of `text/*` without their own reader.

The table is our own, because the operating system's differs between machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PROSE = (
    "adoc asc asciidoc bib diff ics latex log me nfo org patch po pot rest rst sgml tex texi tsx vcard vcf wiki xml"
)
_SETTINGS = "cfg cmake conf config env gradle ini json5 jsonc plist properties toml yaml yml"
_CODE = """
    ada adb ads applescript asm awk bas bash bat c cc cjs clj cljs cls cmd cob coffee cpp cs css csh cu cxx d
    dart el elm erl ex exs f f90 f95 fish for fs fsi fsx go graphql groovy h hh hpp hrl hs hxx inc java jl js
    jsx kt kts less lhs lisp lsp lua m4 mjs ml mli mm nim nix pas php pl pm pp proto ps1 psm1 py pyi pyx r
    rake rb rkt rs s sass scala scm scss sh sol sql sty svelte swift tcl tf ts v vb vba vbs vhd vhdl vim vue
    wat zig zsh
"""
_NAMES = """
    authors changelog changes contributing copying dockerfile gemfile install jenkinsfile justfile licence license
    makefile news notice procfile rakefile readme todo vagrantfile version
"""

TEXT_EXTENSIONS = frozenset(f".{name}" for name in f"{_PROSE} {_SETTINGS} {_CODE}".split())
"""Extensions of text files without their own reader."""

TEXT_NAMES = frozenset(_NAMES.split())
"""Names of text files without an extension."""


def is_text(path: Path, extension: str, /) -> bool:
    """Return True if a file is text by its name.

    Example:
        >>> from pathlib import Path
        >>> is_text(Path("src/main.py"), ".py"), is_text(Path("README"), ""), is_text(Path("a.jpg"), ".jpg")
        (True, True, False)
    """
    return extension in TEXT_EXTENSIONS or (not extension and path.name.lower() in TEXT_NAMES)
