"""Descriptions of options fields, and the type of registered targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum
from typing import Any

from jnlp.strict_json import dumps

Target = str | Callable[[], object]
"""What a plugin registers: `"package.module:attribute"` or a factory, resolved on first use."""


@dataclass(frozen=True, slots=True)
class Option:
    """Describes a field of an options dataclass: `top: Annotated[int, Option(help="…", ge=1)] = 5`.

    The click option, the config key, the JSON schema and the documentation derive from it.

    Args:
        help: One sentence for `--help`.
        ge, gt, le, lt: Bounds of a number.
        choices: The allowed values of a string.
        flags: Flags instead of the one made from the field's name, e.g. `("--top", "-k")`.
        metavar: The placeholder of the value in `--help`.
        hidden: Keeps the option out of `--help`.
        none: The word for None on the command line and in the configuration: `auto`.
        local: True if the value names something on this machine (a file, a folder, a model): requests to a server
            cannot set it.

    Example:
        >>> from dataclasses import dataclass
        >>> from typing import Annotated
        >>> @dataclass(frozen=True, slots=True)
        ... class HaikuOptions:
        ...     lines: Annotated[int, jnlp.Option(help="Lines of a poem.", ge=1)] = 3
        >>> HaikuOptions(lines=5)
        HaikuOptions(lines=5)
    """

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    hidden: bool = False
    none: str | None = None
    local: bool = False

    # pydantic and annotated-types read an object that says this and yields constraints.
    __is_annotated_types_grouped_metadata__ = True

    def __iter__(self) -> Iterator[Any]:
        """Yield the bounds as annotated-types constraints, which pydantic checks."""
        import annotated_types

        for name, kind in (("ge", "Ge"), ("gt", "Gt"), ("le", "Le"), ("lt", "Lt")):
            if (bound := getattr(self, name)) is not None:
                yield getattr(annotated_types, kind)(bound)


def to_json(value: Any, /) -> str:
    """Return options or settings, or a mapping of them, as JSON; `jnlp.options.build` reads the values back."""
    return dumps(value, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.value if isinstance(value, Enum) else str(value)
