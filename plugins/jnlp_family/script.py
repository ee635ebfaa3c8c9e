"""What the family's scripts have in common: lines on stderr, threads, and the exit status."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from jnlp.errors import status_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def say(line: str, /) -> None:
    """Print a line on stderr."""
    sys.stderr.write(line + "\n")


def run_script(args: argparse.Namespace, work: Callable[[argparse.Namespace], None], /) -> int:
    """Run a script's work, within `--threads` if that is given, and return its exit status; 130 after Ctrl-C."""

    def run() -> None:
        if args.threads:
            from jnlp.encoder.threads import use_threads

            use_threads(args.threads)
        work(args)

    try:
        return status_of(run)
    except KeyboardInterrupt:
        return 130
