"""What an actor of the cluster runs: it rebuilds the job, then processes chunks."""

from __future__ import annotations

import os
import pickle
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jnlp.executors.answers import Work
    from jnlp.types import Apply

Report = tuple[dict[str, Any], int]
"""What a worker counted since the last report, and its peak memory in bytes."""


def settle(folder: str, path: Sequence[str], variables: Mapping[str, str], /) -> None:
    """Take over what a process of the cluster needs of the one that started the command.

    Args:
        folder: The working folder, for options that name files; used if it is there.
        path: Where Python finds modules.
        variables: Environment variables.

    Example:
        >>> settle(".", [], {})
    """
    os.environ.update(variables)
    sys.path += [place for place in path if place not in sys.path]
    with suppress(OSError):
        os.chdir(folder)


class Worker:
    """A worker; its methods are called over the network.

    Args:
        job: The job as JSON.
        folder: The working folder, for options that name files; used if it is there.
        path: Where Python finds modules.
        variables: Environment variables.

    Example:
        >>> worker = Worker(nlp.job("toxicity", rules_only=True).to_json(), ".", [], {})
        >>> worker.start()
        >>> answer, _report = pickle.loads(worker.run([("1", "ありがとう。")]))
        >>> answer[0][0]
        True
    """

    def __init__(self, job: str, folder: str, path: Sequence[str], variables: Mapping[str, str]) -> None:
        settle(folder, path, variables)
        self._text = job
        self._apply: Apply[Any] | None = None

    def start(self) -> BaseException | None:
        """Prepare the job; return what it failed with, or None.

        Example:
            >>> Worker(nlp.job("toxicity", rules_only=True).to_json(), ".", [], {}).start()
        """
        from jnlp.executors.answers import portable

        try:
            from jnlp.jobs import rebuild

            engine, job = rebuild(self._text)
            self._usage = engine.usage
            self._apply = engine.prepare(job)
        except BaseException as error:  # raised in the driver
            return portable(error)
        return None

    def run(self, work: Work) -> bytes:
        """Return the pickle of the answer to a chunk, and of a `Report`.

        Args:
            work: The ids and texts.

        Example:
            >>> worker = Worker(nlp.job("toxicity", rules_only=True).to_json(), ".", [], {})
            >>> worker.start()
            >>> pickle.loads(worker.run([("1", "ありがとう。")]))[0][0][1].toxic
            False
        """
        from jnlp.executors.answers import answer, unpickled
        from jnlp.usage import peak_memory

        assert self._apply is not None
        value = answer(self._apply, work)
        report: Report = self._usage.drain(), peak_memory()
        try:
            return pickle.dumps((value, report), protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # a result that does not pickle
            return pickle.dumps((unpickled(error), report), protocol=pickle.HIGHEST_PROTOCOL)
