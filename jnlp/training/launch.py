"""Whether a launcher (`torchrun`, `accelerate launch`) started several processes, by the variables that it sets."""

from __future__ import annotations

import os


def is_shared() -> bool:
    """Return whether there are several processes."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main() -> bool:
    """Return whether this process is the only one, or the one that writes and prints."""
    return not is_shared() or os.environ.get("RANK", "0") == "0"
