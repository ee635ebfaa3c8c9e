"""Downloads a model into Hugging Face's cache: only safetensors and small files, no code."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jnlp.errors import JnlpError, UsageError
from jnlp.models.cache import cache_folder

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all), from several threads, never two at once."""

Download = Callable[[str, str, Progress | None], Path]
"""Fetches (repository, revision, progress) and returns the folder."""

PATTERNS = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "modules.json",
    "*/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "README.md",
)


class UnreachableError(JnlpError):
    """The hub cannot be reached, and the cached model is incomplete."""


def download(repo: str, revision: str, progress: Progress | None = None) -> Path:
    """Download a repository's model files into the cache and return their folder; skip files already there.

    Raises:
        UnreachableError: The hub cannot be reached.
        UsageError: There is no such repository or revision.
        JnlpError: The repository is gated, or the disk is full.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        with _quiet():
            folder = snapshot_download(
                repo,
                revision=revision,
                allow_patterns=list(PATTERNS),
                cache_dir=cache_folder(),
                endpoint=os.environ.get("HF_ENDPOINT"),
                tqdm_class=_bar(progress),
            )
    except GatedRepoError as error:
        raise JnlpError(
            f"{repo} is gated: its owner asks for agreement",
            hint="accept the terms on its page at the hub and set HF_TOKEN",
        ) from error
    except HFValidationError as error:
        raise UsageError(f"'{repo}' is not a valid model name at the hub", hint="org/name") from error
    except RevisionNotFoundError as error:
        raise UsageError(f"{repo} has no revision '{revision}'", hint="try main, or look at its page") from error
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"the hub has no model '{repo}', or it is private", hint="check the name; HF_TOKEN opens private ones"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError) as error:
        raise UnreachableError(f"the hub cannot be reached for {repo}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise JnlpError(
                f"cannot write to {cache_folder()}: {os.strerror(error.errno)}", hint="HF_HOME moves the cache"
            ) from error
        raise UnreachableError(f"the hub cannot be reached for {repo}") from error
    return Path(folder)


def _bar(progress: Progress | None) -> type[Any]:
    """Return a tqdm class that prints nothing and reports bytes to `progress`."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    lock = threading.Lock()
    done = [0, 0]

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **keywords: Any) -> None:
            self.counts_bytes = keywords.get("unit") == "B"
            keywords.pop("name", None)
            super().__init__(*args, **{**keywords, "disable": False, "file": _Nowhere(), "mininterval": 3600})

        def update(self, n: float | None = 1) -> bool | None:
            drawn: bool | None = super().update(n)
            if progress is not None and self.counts_bytes:
                with lock:  # there is a bar for what the network brings and one for what is written: tell the further
                    done[:] = max(done[0], int(self.n)), max(done[1], int(self.total or 0))
                    progress(done[0], max(done))
            return drawn

    return Bar


class _Nowhere:
    """A stream that discards everything."""

    encoding = "utf-8"

    def write(self, _: str) -> None:
        pass

    def flush(self) -> None:
        pass


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's log lines off the screen."""
    import logging

    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
