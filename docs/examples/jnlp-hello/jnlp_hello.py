"""An example plugin: one task, which counts sentences and greets each text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import jnlp


@dataclass(frozen=True, slots=True)
class HelloOptions:
    """The options of the task: each is a flag, a config key and a keyword argument."""

    greeting: Annotated[str, jnlp.Option(help="What to say.")] = "こんにちは"


@dataclass(frozen=True, slots=True)
class Hello:
    """The result of the task: each field is a column of the output."""

    greeting: str
    sentences: int


def make(models: jnlp.Models, options: HelloOptions) -> Callable[[Sequence[str]], list[Hello]]:
    """Return the function from texts to results; `models` would hand it an encoder."""
    from jnlp.text import sentences

    return lambda texts: [Hello(options.greeting, sum(1 for _ in sentences(text))) for text in texts]


HELLO = jnlp.TaskSpec("hello", "Greet each text and count its sentences.", HelloOptions, "jnlp_hello:make", Hello)


@jnlp.hookimpl
def register_tasks(register):  # noqa: ANN001, ANN201
    """Bring the task."""
    register("hello", "jnlp_hello:HELLO", summary="Greet each text and count its sentences.")
