"""The command line as a whole: built from the plugins, and the process around it."""

from __future__ import annotations

import errno
import gc
import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from jnlp._version import __version__
from jnlp.cli.errors import InterruptedRun, Terminated
from jnlp.cli.group import RegistryGroup
from jnlp.terminal import Terminal

if TYPE_CHECKING:
    from jnlp.plugins import Plugins

OBJECTS_OF_A_START = 100_000
"""About as many objects as a command makes until it has answered for one text; nearly all of them live to its end."""


def build_cli(plugins: Plugins | None = None) -> click.Group:
    """Return a fresh command line.

    Args:
        plugins: What is registered; None loads the installed plugins.
    """
    if plugins is None:
        from jnlp.plugins import load_plugins

        plugins = load_plugins()
    loaded = plugins

    @click.group(
        cls=RegistryGroup,
        plugins=loaded,
        name="jnlp",
        help="Japanese NLP on ModernBERT-Ja: fill a mask, classify, filter, search, train.",
        epilog="`jnlp COMMAND --help` tells about one. `jnlp doctor` checks the installation.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "obj": loaded},
    )
    @click.version_option(__version__, prog_name="jnlp")
    def cli() -> None:
        pass

    return cli


def main() -> None:
    """Run the command line and exit without waiting for background threads."""
    _leave_ascii()
    _collect_late()
    _prepare_streams()
    signal.signal(signal.SIGTERM, _terminate)
    code: object = 0
    try:
        build_cli().main(prog_name="jnlp")
    except SystemExit as leaving:
        code = leaving.code
    except KeyboardInterrupt as error:  # before a command ran
        shown = InterruptedRun.from_interrupt(error)
        shown.show()
        code = shown.exit_code
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        click.echo(f"jnlp: error: {error.filename or 'standard output'}: no space left on the disk", err=True)
        code = 1
    with suppress(OSError):  # the reader has gone, or the disk is full and that has been said
        sys.stdout.flush()
        sys.stderr.flush()
    if isinstance(code, str):
        click.echo(code, err=True)
    os._exit(code if isinstance(code, int) else int(code is not None))


def _collect_late() -> None:
    """Look for garbage first when a command has started; from then on, as often as Python does by itself.

    A twelfth of the time of a start is spent on looking through modules and classes, which are no garbage.
    """
    usual = gc.get_threshold()

    def usual_again(_phase: str, _info: dict[str, int]) -> None:
        gc.set_threshold(*usual)
        gc.callbacks.remove(usual_again)

    gc.set_threshold(OBJECTS_OF_A_START, *usual[1:])
    gc.callbacks.append(usual_again)


def _leave_ascii() -> None:
    """Restart in Python's UTF-8 mode if a C locale would decode file names and arguments as ASCII."""
    if sys.getfilesystemencoding() == "ascii":
        environment = {**os.environ, "PYTHONUTF8": "1"}
        os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)


def _terminate(number: int, _frame: object) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)  # a second one ends the process; each waits for native code to return
    raise Terminated


def _prepare_streams() -> None:
    """Replace closed streams by empty ones; escape unencodable and control characters on a terminal."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for the whole run
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for name in ("stdout", "stderr"):
        if getattr(sys, name).isatty():
            setattr(sys, name, Terminal(getattr(sys, name)))
